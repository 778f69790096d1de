"""Chooses the adapters: the only place that knows both the engine and the world."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from stratum.adapters.apprise_notifier import AppriseNotifier
from stratum.adapters.archive import DirectoryArchive
from stratum.adapters.clock import SystemClock
from stratum.adapters.cluster_roles import BACKUP_ROLE, REPLICATION_ROLE
from stratum.adapters.console_programs import AGENT, BACKEND, FRONTEND, ConsoleSettings, build_services
from stratum.adapters.embedded_postgresql import SUPERUSER, EmbeddedPostgresql, EmbeddedSettings
from stratum.adapters.journal import FileLock, JsonLinesJournal, observe_who
from stratum.adapters.local_services import LocalServices
from stratum.adapters.postgresql_installation import default_directory, observe_run_as
from stratum.adapters.process import become
from stratum.adapters.read_only import ReadOnlyArchive, ReadOnlyRuntime, ReadOnlyServices
from stratum.adapters.stack_files import StackFilesOnDisk, lay_down
from stratum.config import Settings, find_stack, load_settings
from stratum.core.errors import StratumError
from stratum.core.plan import Plan
from stratum.core.services import ServicePhase
from stratum.engine.run_plan import run_plan, show_plan
from stratum.ports import Archive, Consent, Ports, Progress, Runtime, Services

if TYPE_CHECKING:
    from stratum.adapters.canary_row import CanaryRow
    from stratum.adapters.service_record import ServiceSpec


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
) -> Ports:
    """The stack at or above `directory`, ready for the engine. Reads its files; connects to nothing.

    `who` is named by the journal and the lock: by default the account and the process.
    """
    settings = load_settings(find_stack(directory.absolute()))
    clock, who = SystemClock(), who or observe_who()
    archive = DirectoryArchive(
        settings.archive_path,
        stack=settings.stack.name,
        data_directory=settings.database_directory,
        declared_domain=settings.archive.failure_domain,
    )
    runtime = EmbeddedPostgresql(embedded_settings(settings))
    ports = Ports(
        stack=settings.as_stack(),
        runtime=runtime,
        archive=archive,
        journal=JsonLinesJournal(settings.archive_path),
        lock=FileLock(settings.archive_path, clock=clock, who=who),
        clock=clock,
        progress=progress,
        consent=consent,
        files=StackFilesOnDisk(directory=settings.directory, environment=settings.environment),
        services=local_services(settings, runtime),
        run=run_plan,
        who=who,
    )
    return read_only(ports) if dry_run else ports


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


def open_canary(directory: Path) -> CanaryRow:
    """The canary of this stack's cluster; it connects at its first beat."""
    from stratum.adapters.canary_row import CanaryRow

    settings = load_settings(find_stack(directory.absolute()))
    return CanaryRow(EmbeddedPostgresql(embedded_settings(settings)).endpoint)


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
        console=(settings.console.database, settings.secret("CONSOLE_PASSWORD")) if settings.console.enabled else None,
    )


_NO_SERVICES = LocalServices(Path(os.devnull), wishes={}, build=lambda _: ())
_HANDED_ON = ("JWT_ACCESS_TTL", "JWT_REFRESH_TTL_MS", "JWT_SECRET_PREVIOUS", "AUTORUN_MIGRATIONS", "SEED_ON_START")
_PORTS = {AGENT: ("AGENT_PORT", 4002), BACKEND: ("BACKEND_PORT", 4001), FRONTEND: ("FRONTEND_PORT", 3000)}


def local_services(settings: Settings, runtime: EmbeddedPostgresql) -> LocalServices:
    """The console's programs, or none where it is off. Raises `missing-secret` and `invalid-setting`."""
    if not settings.console.enabled:
        return LocalServices(settings.database_directory, wishes={}, build=lambda _: ())
    console = ConsoleSettings(
        stack_directory=settings.directory,
        directory=settings.database_directory,
        database=settings.console.database,
        password=settings.secret("CONSOLE_PASSWORD"),
        jwt_secret=settings.secret("JWT_SECRET"),
        options={name: settings.environment[name] for name in _HANDED_ON if settings.environment.get(name)},
    )

    def build(ports: Mapping[str, int]) -> tuple[ServiceSpec, ...]:
        database_port = runtime.observe().port or settings.port()
        return build_services(console, ports, database_port=database_port, run_as=observe_run_as())

    wishes = {name: settings.port(variable, otherwise=port) for name, (variable, port) in _PORTS.items()}
    return LocalServices(settings.database_directory, wishes=wishes, build=build)


def become_agent(directory: Path) -> NoReturn:
    """Go on as the agent's program, told what `up` would tell it. Raises `agent-runs-already`."""
    settings = load_settings(find_stack(directory.absolute()))
    services = local_services(settings, EmbeddedPostgresql(embedded_settings(settings)))
    if any(state.name == AGENT and state.phase is not ServicePhase.STOPPED for state in services.observe(ask=False)):
        raise StratumError("agent-runs-already", stack=settings.stack.name)
    told = {"STACK_DIRECTORY": str(settings.directory)}
    for spec in services.specs():
        told |= spec.environment if spec.name == AGENT else {}
    become((sys.executable, "-P", "-m", "stratum.agent"), env=os.environ | told)


def init_stack(directory: Path, *, name: str, archive: str, console: bool = True) -> tuple[Path, ...]:
    """Lay down a stack and its archive; an archive of the same stack that exists is taken up as it is."""
    token = secrets.token_hex(3)
    beside = default_directory(directory.absolute(), name, token)
    home = ".stratum" if beside.parent == directory.absolute() else str(beside)
    path = directory.absolute() / Path(archive).expanduser()
    store = DirectoryArchive(path, stack=name, data_directory=beside, declared_domain=None)
    if (path / "archive.json").exists():
        store.lineage()
    written = lay_down(directory, name=name, database_directory=home, archive=archive, console=console)
    store.initialise(name)
    return written
