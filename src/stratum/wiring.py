"""Chooses the adapters: the only place that knows both the engine and the world."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from stratum.adapters.apprise_notifier import AppriseNotifier
from stratum.adapters.archive import DirectoryArchive
from stratum.adapters.clock import SystemClock
from stratum.adapters.cluster_roles import BACKUP_ROLE, REPLICATION_ROLE
from stratum.adapters.console_programs import AGENT
from stratum.adapters.embedded_postgresql import SUPERUSER, EmbeddedPostgresql, EmbeddedSettings
from stratum.adapters.file_set_directories import FileSetDirectories
from stratum.adapters.journal import FileLock, JsonLinesJournal, observe_who
from stratum.adapters.local_services import LocalServices
from stratum.adapters.postgresql_installation import default_directory
from stratum.adapters.process import become
from stratum.adapters.read_only import ReadOnlyArchive, ReadOnlyRuntime, ReadOnlyServices
from stratum.adapters.stack_files import OWN_SERVER_SECRETS, StackFilesOnDisk, lay_down
from stratum.adapters.wal_store import DirectoryWalStore
from stratum.config import Settings, find_stack, load_settings
from stratum.core.errors import StratumError
from stratum.core.plan import Plan
from stratum.core.receiving import ProtectMode
from stratum.core.services import ServicePhase
from stratum.engine.run_plan import run_plan, show_plan
from stratum.ports import Archive, Consent, Ports, Progress, Runtime, Services
from stratum.project import Project
from stratum.recovery_wiring import recovery_of, rehearsals_of, replication_of
from stratum.rotation_wiring import rotation_of
from stratum.sealing_wiring import seal_of
from stratum.served_wiring import console_of, served_postgresql
from stratum.services_wiring import local_services
from stratum.upgrade_wiring import host_upgrade_of, local_upgrade_of, major_of

if TYPE_CHECKING:
    from stratum.adapters.canary_row import CanaryRow
    from stratum.adapters.compose_project import ComposeProject
    from stratum.adapters.copies import Copies
    from stratum.adapters.seal import Seal
    from stratum.adapters.wal_receiver import WalReceiver


def _declined(plan: Plan, question: str, lines: Sequence[str]) -> bool:
    del plan, question, lines
    return False


class _Silence:
    """No person sees work move here."""

    @contextmanager
    def task(self, what: str, *, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        del what, total, unit
        yield lambda _: None

    def say(self, line: str) -> None:
        del line


def open_stack(
    directory: Path,
    *,
    consent: Consent,
    progress: Progress,
    dry_run: bool = False,
    who: str | None = None,
    profiles: tuple[str, ...] = (),
    identity: Path | None = None,
) -> Ports:
    """The stack at or above `directory`, ready for the engine. Reads its files; connects to nothing.

    `who` is named by the journal and the lock: by default the account and the process. `profiles` are Compose's.
    `identity` is a file with the key that opens what is sealed; by default it is what .env names.
    """
    settings = load_settings(find_stack(directory.absolute()))
    clock, who = SystemClock(), who or observe_who()
    seal = seal_of(settings, identity)
    runtime, services, project = _runtime(settings, profiles)
    wal = DirectoryWalStore(settings.archive_path, stack=settings.stack.name, seal=seal)
    ports = Ports(
        stack=settings.as_stack(),
        runtime=runtime,
        archive=_archive(settings, seal),
        wal=wal,
        replication=replication_of(runtime, seal),
        recovery=recovery_of(settings, runtime, wal),
        rehearsals=rehearsals_of(settings, runtime),
        journal=JsonLinesJournal(settings.archive_path),
        lock=FileLock(settings.archive_path, clock=clock, who=who, under=os.environ.get("STRATUM_UNDER")),
        clock=clock,
        progress=progress,
        consent=consent,
        files=stack_files(settings),
        file_sets=FileSetDirectories(settings.file_set_places, workspace=settings.database_directory / "scratch"),
        services=services,
        project=project,
        inside=settings.inside,
        rotation=rotation_of(settings, runtime, lambda now: local_services(now, runtime)),
        upgrade=local_upgrade_of(
            settings, runtime, embedded_settings(settings) if isinstance(runtime, EmbeddedPostgresql) else None
        ),
        host_upgrade=host_upgrade_of(settings),
        run=run_plan,
        who=who,
    )
    return read_only(ports) if dry_run else ports


def _archive(settings: Settings, seal: Seal) -> DirectoryArchive:
    return DirectoryArchive(
        settings.archive_path,
        stack=settings.stack.name,
        data_directory=_data_place(settings),
        declared_domain=settings.archive.failure_domain,
        seal=seal,
    )


def stack_files(settings: Settings) -> StackFilesOnDisk:
    """The stack's own files. A server of the user's own has other passwords, the superuser's not among them."""
    if not settings.is_external:
        return StackFilesOnDisk(directory=settings.directory, environment=settings.environment)
    shared = settings.environment.get("MAINTENANCE_USER")
    wanted = tuple(name for name in OWN_SERVER_SECRETS if not (shared and name == "MAINTENANCE_PASSWORD"))
    return StackFilesOnDisk(directory=settings.directory, environment=settings.environment, wanted=wanted)


def _runtime(settings: Settings, profiles: tuple[str, ...] = ()) -> tuple[Runtime, Services, Project | None]:
    """What runs the database and the services, as seen from where this process is."""
    if settings.is_compose and not settings.inside:
        from stratum.compose_wiring import compose_runtime

        return compose_runtime(settings, profiles)
    if settings.is_compose or settings.is_external:
        runtime = served_postgresql(settings)
        return runtime, _NO_SERVICES if settings.is_compose else local_services(settings, runtime), None
    embedded = EmbeddedPostgresql(embedded_settings(settings))
    return embedded, local_services(settings, embedded), None


def _data_place(settings: Settings) -> Callable[[], Path]:
    """A directory on the data's disk."""
    if settings.is_compose and not settings.inside:
        from stratum.adapters.docker import Docker
        from stratum.compose_wiring import data_directory

        chosen = data_directory(settings)
        return (lambda: chosen) if chosen else Docker(directory=settings.directory).root
    return lambda: settings.database_directory


def is_compose_host(directory: Path) -> bool:
    """Whether this process is on the host of a Compose stack. Raises `no-stack-here`."""
    settings = load_settings(find_stack(directory.absolute()))
    return settings.is_compose and not settings.inside


def pass_on_inside(
    directory: Path, arguments: Sequence[str], *, file: Path | None = None, file_set: str | None = None
) -> None:
    """On the host of a Compose stack: run the same command in its service `backup`, and end with its exit code.

    Elsewhere nothing happens. A `file` of this machine goes with it. For a `file_set` that is to be written to, the
    command runs in a container of its own. Raises `docker-…`, `backup-service-away` and `files-away`.
    """
    settings = load_settings(find_stack(directory.absolute()))
    if not settings.is_compose or settings.inside:
        return
    project = open_project(settings)
    if file_set is not None:
        raise SystemExit(project.pass_on_writing(arguments, file_set=file_set))
    if file is not None:
        there = project.take_inside(file, archive=settings.archive_path)
        arguments = with_file(arguments, there)
    raise SystemExit(project.pass_on(arguments))


def with_file(arguments: Sequence[str], there: str) -> tuple[str, ...]:
    """The same command with another `--file`; every other word stays, whatever the file and the database are called."""
    found: list[str] = []
    for before, word in zip(("", *arguments), arguments, strict=False):
        is_inline = word.startswith("--file=")
        found.append(there if before == "--file" else f"--file={there}" if is_inline else word)
    return tuple(found)


def open_shell(directory: Path, service: str) -> NoReturn:
    """Go on as a shell in a container of the stack. Raises `not-from-here` without Compose."""
    _project_at(directory).shell(service, ("sh",))


def open_psql(directory: Path) -> NoReturn:
    """Go on as psql in the application's database, as its owner. Raises `not-from-here` without Compose."""
    settings = load_settings(find_stack(directory.absolute()))
    owner, database = settings.value("POSTGRES_USER"), settings.value("POSTGRES_DB")
    argv = ("psql", f"--username={owner}", f"--dbname={database}")
    _project_at(directory).shell(settings.database.service, argv, user="postgres")


def _project_at(directory: Path) -> ComposeProject:
    settings = load_settings(find_stack(directory.absolute()))
    if not settings.is_compose or settings.inside:
        raise StratumError("not-from-here", what="open a shell in a container")
    return open_project(settings)


def open_project(settings: Settings) -> ComposeProject:
    """The Compose project of a stack, to be driven from its host."""
    from stratum.compose_wiring import compose_runtime

    return compose_runtime(settings)[2]


def read_only(ports: Ports) -> Ports:
    """The same stack for a dry run: plans are shown instead of run, and looking leaves no trace."""
    return replace(
        ports,
        run=show_plan,
        archive=cast("Archive", ReadOnlyArchive(ports.archive)),
        runtime=cast("Runtime", ReadOnlyRuntime(ports.runtime)),
        services=cast("Services", ReadOnlyServices(ports.services)),
    )


def without_console(ports: Ports) -> Ports:
    """The same stack with its application's database alone: no service is started, and none is looked for."""
    stack = replace(ports.stack, databases=ports.stack.databases[:1], console_database=None)
    return replace(ports, stack=stack, services=_NO_SERVICES)


def open_watched(directory: Path) -> Ports:
    """The stack for somebody who only looks at it again and again: no plan runs, nothing is asked or said."""
    return open_stack(directory, consent=_declined, progress=_Silence(), dry_run=True)


def open_silent(directory: Path, *, who: str) -> Ports:
    """The stack for somebody whom nobody watches: whatever asks is declined. `who` is named by the journal."""
    return open_stack(directory, consent=_declined, progress=_Silence(), who=who)


def open_notifier(directory: Path) -> AppriseNotifier:
    """Who is told of this stack. Reads its files; connects to nothing."""
    settings = load_settings(find_stack(directory.absolute()))
    return AppriseNotifier(
        urls=settings.notify.urls, heartbeat_url=settings.notify.heartbeat_url, environment=settings.environment
    )


def open_copies(directory: Path, ports: Ports) -> Copies:
    """The copies of this stack's archive. Reads its files; connects to nothing."""
    from stratum.adapters.copies import Copies

    settings = load_settings(find_stack(directory.absolute()))
    return Copies(
        settings.archive_path,
        settings.archive.copies,
        environment=settings.environment,
        seal=seal_of(settings),
        ports=ports,
    )


def read_key(directory: Path, identity: Path | None) -> str:
    """The private key of this machine, for a kit that is to hold it. Raises `sealed-no-key`, `identity-unreadable`."""
    settings = load_settings(find_stack(directory.absolute()))
    return seal_of(settings, identity).read_key()


def keep_stack_files(directory: Path) -> None:
    """Seal the stack's own files into its archive where they changed; nothing in a container, which does not see them.

    Raises the archive's errors.
    """
    settings = load_settings(find_stack(directory.absolute()))
    if settings.inside or not settings.archive.recipients:
        return
    from stratum.adapters.stack_tar import keep_stack_files as keep

    keep(
        settings.archive_path,
        settings.directory,
        environment=settings.environment,
        seal=seal_of(settings),
        now=SystemClock().now(),
    )


def open_canary(directory: Path) -> CanaryRow:
    """The canary of this stack's cluster; it connects at its first beat."""
    from stratum.adapters.canary_row import CanaryRow

    settings = load_settings(find_stack(directory.absolute()))
    if settings.is_compose or settings.is_external:
        return CanaryRow(served_postgresql(settings).endpoint)
    return CanaryRow(EmbeddedPostgresql(embedded_settings(settings)).endpoint)


def open_receiver(directory: Path) -> WalReceiver:
    """Who receives the WAL of this stack's cluster; it connects when it is first asked to look."""
    from stratum.adapters.wal_receiver import WalReceiver

    settings = load_settings(find_stack(directory.absolute()))
    served = settings.is_compose or settings.is_external
    runtime = served_postgresql(settings) if served else EmbeddedPostgresql(embedded_settings(settings))
    return WalReceiver(
        endpoint=runtime.endpoint,
        installation=runtime.installation,
        synchronous=settings.as_stack().protect.mode is ProtectMode.ZERO_LOSS,
    )


def embedded_settings(settings: Settings) -> EmbeddedSettings:
    """What the embedded runtime is told of a stack. Raises `missing-secret` for a password .env does not set."""
    owner = settings.value("POSTGRES_USER")
    return EmbeddedSettings(
        directory=settings.database_directory,
        stack_directory=settings.directory,
        port=settings.port(),
        owner=owner,
        database=settings.value("POSTGRES_DB"),
        passwords={
            SUPERUSER: settings.secret("POSTGRES_SUPERUSER_PASSWORD"),
            owner: settings.secret("POSTGRES_PASSWORD"),
            BACKUP_ROLE: settings.secret("BACKUP_PASSWORD"),
            REPLICATION_ROLE: settings.secret("REPLICATION_PASSWORD"),
        },
        console=console_of(settings),
        places=tuple(settings.directory / Path(place).expanduser() for place in settings.database.programs),
        major=major_of(settings),
    )


_NO_SERVICES = LocalServices(Path(os.devnull), wishes={}, build=lambda _: ())


def become_agent(directory: Path) -> NoReturn:
    """Go on as the agent's program, told what `up` would tell it. Raises `agent-runs-already`."""
    settings = load_settings(find_stack(directory.absolute()))
    if settings.inside:
        become((sys.executable, "-P", "-m", "stratum.agent"), env=os.environ)
    if settings.is_compose:
        raise StratumError("not-from-here", what="run the agent: the service backup of the stack does")
    services = local_services(settings, _runtime(settings)[0], with_agent=True)
    if any(state.name == AGENT and state.phase is not ServicePhase.STOPPED for state in services.observe(ask=False)):
        raise StratumError("agent-runs-already", stack=settings.stack.name)
    told = next(spec.environment for spec in services.specs() if spec.name == AGENT)
    become((sys.executable, "-P", "-m", "stratum.agent"), env=os.environ | told)


def init_stack(directory: Path, *, name: str, archive: str, console: bool = True) -> tuple[Path, ...]:
    """Lay down a stack and its archive; an archive of the same stack that exists is taken up as it is."""
    token = secrets.token_hex(3)
    beside = default_directory(directory.absolute(), name, token)
    home = ".stratum" if beside.parent == directory.absolute() else str(beside)
    path = directory.absolute() / Path(archive).expanduser()
    store = DirectoryArchive(path, stack=name, data_directory=lambda: beside, declared_domain=None)
    if (path / "archive.json").exists():
        store.lineage()
    written = lay_down(directory, name=name, database_directory=home, archive=archive, console=console)
    store.initialise(name)
    return written
