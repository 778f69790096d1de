"""Chooses the adapters: the only place that knows both the engine and the world."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from stratum.adapters.apprise_notifier import AppriseNotifier
from stratum.adapters.archive import DirectoryArchive
from stratum.adapters.clock import SystemClock
from stratum.adapters.cluster_roles import BACKUP_ROLE, REPLICATION_ROLE
from stratum.adapters.embedded_postgresql import SUPERUSER, EmbeddedPostgresql, EmbeddedSettings
from stratum.adapters.journal import FileLock, JsonLinesJournal, observe_who
from stratum.adapters.postgresql_installation import default_directory
from stratum.adapters.read_only import ReadOnlyArchive, ReadOnlyRuntime
from stratum.adapters.stack_files import StackFilesOnDisk, lay_down
from stratum.config import Settings, find_stack, load_settings
from stratum.core.plan import Plan
from stratum.engine.run_plan import run_plan, show_plan
from stratum.ports import Archive, Consent, Ports, Progress, Runtime

if TYPE_CHECKING:
    from stratum.adapters.canary_row import CanaryRow


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
) -> Ports:
    """The stack at or above `directory`, ready for the engine. Reads its files; connects to nothing."""
    settings = load_settings(find_stack(directory.absolute()))
    clock, who = SystemClock(), observe_who()
    archive = DirectoryArchive(
        settings.archive_path,
        stack=settings.stack.name,
        data_directory=settings.database_directory,
        declared_domain=settings.archive.failure_domain,
    )
    ports = Ports(
        stack=settings.as_stack(),
        runtime=EmbeddedPostgresql(embedded_settings(settings)),
        archive=archive,
        journal=JsonLinesJournal(settings.archive_path),
        lock=FileLock(settings.archive_path, clock=clock, who=who),
        clock=clock,
        progress=progress,
        consent=consent,
        files=StackFilesOnDisk(directory=settings.directory, environment=settings.environment),
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
    )


def open_watched(directory: Path) -> Ports:
    """The stack for somebody who only looks at it again and again: no plan runs, nothing is asked or said."""
    return open_stack(directory, consent=_declined, progress=_Silence(), dry_run=True)


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
    )


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
