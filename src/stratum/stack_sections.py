"""Sections of stratum.toml that say who and where a stack is; the others are its policies in `core.stack`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stratum.core.copies import CopyPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class StackSection:
    """Who this stack is."""

    name: str
    """What you type to confirm; small letters, digits, - and _."""
    runtime: str = "embedded"
    """What runs the services: `embedded` (local processes, no Docker) or `compose` (Docker)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseSection:
    """Which databases are guarded, and where the embedded server lives."""

    databases: tuple[str, ...] = ()
    """Databases to guard; the first is the application's. Empty means POSTGRES_DB of .env."""
    directory: Path = Path(".stratum")
    """Holds the embedded server's data, logs and scratch space; relative to stratum.toml."""
    url: str = ""
    """A server of your own instead of the stack's: `$DATABASE_URL` takes the address from .env. Empty: the stack's."""
    service: str = "postgres"
    """The Compose service that runs PostgreSQL; with `runtime = "compose"` only."""
    programs: tuple[str, ...] = ()
    """Directories of PostgreSQL programs, one for each major, looked in before all others; with the embedded runtime
    only. A data directory is served by the major that wrote it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveSection:
    """Where backups, proofs and the journal go."""

    path: Path = Path("archive")
    """The archive's directory; relative to stratum.toml. Put it on another disk. With `runtime = "compose"` it is
    BACKUP_DIR of .env, which containers need as well."""
    failure_domain: str | None = None
    """Declares what the archive survives: same-disk, other-disk or other-host. Empty means: ask the kernel."""
    recipients: tuple[str, ...] = ()
    """For whom everything new in the archive is sealed: age recipients, `age1…`. Their private keys are not needed to
    back up, and belong elsewhere. Empty: nothing is sealed."""
    copies: tuple[CopyPolicy, ...] = ()
    """Second copies of the archive, elsewhere; each is a table `[[archive.copies]]`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleSection:
    """Stratum's own console: the agent, the backend and the frontend."""

    enabled: bool = False
    """Whether `stratum up` starts them. `stratum init` turns it on."""
    database: str = "stratum_console"
    """The console's own database: users, sessions and their audit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckSection:
    """Risks you accept by name."""

    accept: tuple[str, ...] = ()
    """Names of checklist lines whose risk you accept; they are shown as accepted, not as passed."""
