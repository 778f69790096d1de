"""Chooses the adapters: the only place that knows both the engine and the world."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import cast

from stratum.adapters.archive import DirectoryArchive
from stratum.adapters.clock import SystemClock
from stratum.adapters.cluster_roles import BACKUP_ROLE, REPLICATION_ROLE
from stratum.adapters.embedded_postgresql import SUPERUSER, EmbeddedPostgresql, EmbeddedSettings
from stratum.adapters.journal import FileLock, JsonLinesJournal, observe_who
from stratum.adapters.postgresql_installation import default_directory
from stratum.adapters.read_only import ReadOnlyArchive, ReadOnlyRuntime
from stratum.adapters.stack_files import StackFilesOnDisk, lay_down
from stratum.config import Settings, find_stack, load_settings
from stratum.engine.run_plan import run_plan, show_plan
from stratum.ports import Archive, Consent, Ports, Progress, Runtime


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


def init_stack(directory: Path, *, name: str, archive: str) -> tuple[Path, ...]:
    """Lay down a stack and its archive; an archive of the same stack that exists is taken up as it is."""
    token = secrets.token_hex(3)
    beside = default_directory(directory.absolute(), name, token)
    home = ".stratum" if beside.parent == directory.absolute() else str(beside)
    path = directory.absolute() / Path(archive).expanduser()
    store = DirectoryArchive(path, stack=name, data_directory=beside, declared_domain=None)
    if (path / "archive.json").exists():
        store.lineage()
    written = lay_down(directory, name=name, database_directory=home, archive=archive)
    store.initialise(name)
    return written
