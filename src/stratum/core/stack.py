"""The stack: what stratum.toml describes, as frozen records the engine reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from stratum.core.backup import DigestMode
from stratum.core.retention import RetentionPolicy


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A value that shows itself only when asked to by name."""

    reveal: str

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupPolicy:
    """How closely a dump looks at the data, and when it is not called a backup. `[backup]` of stratum.toml."""

    schedule: str = ""
    """When the agent takes a backup and then applies retention: a cron expression such as `0 1 * * *`. Empty: never."""
    timezone: str = "UTC"
    """The time zone of all schedules, such as Europe/Paris."""
    digest: DigestMode = DigestMode.FULL
    """How much of the content is digested: full, sampled or counts."""
    collapse_limit: float = 0.5
    """A dump that lost more than this share of the previous one's rows is not called a backup."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillPolicy:
    """What a drill asks beside its own comparisons. `[drill]` of stratum.toml."""

    schedule: str = ""
    """When the agent drills the newest backup: a cron expression. Empty: never."""
    smoke_sql: tuple[str, ...] = ()
    """Statements the restored database must answer with a first value that is neither false nor NULL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RestorePolicy:
    """How a restore may be undone. `[restore]` of stratum.toml."""

    undo_window: timedelta = timedelta(hours=72)
    """How long what a restore replaced is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Commands:
    """The application's own commands, each a list of words and run without a shell. `[commands]` of stratum.toml."""

    migrate: tuple[str, ...] = ()
    """Brings the schema up to date. Run with DATABASE_URL set."""
    seed: tuple[str, ...] = ()
    """Loads first data, idempotently."""
    health: tuple[str, ...] = ()
    """Exits 0 when the application is well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotifyPolicy:
    """Who is told when something turns red. `[notify]` of stratum.toml."""

    urls: tuple[str, ...] = ()
    """Where alarms go, as Apprise addresses. `$NAME` is taken from .env, where addresses with a token belong."""
    heartbeat_url: str = ""
    """Asked for after each backup that succeeded, so that silence raises the alarm elsewhere. `$NAME` as above."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """One stack, without a path or a secret in it."""

    name: str
    databases: tuple[str, ...]
    """The databases Stratum guards; the first is the application's."""
    backup: BackupPolicy = field(default_factory=BackupPolicy)
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    drill: DrillPolicy = field(default_factory=DrillPolicy)
    restore: RestorePolicy = field(default_factory=RestorePolicy)
    commands: Commands = field(default_factory=Commands)
    notify: NotifyPolicy = field(default_factory=NotifyPolicy)
    console_database: str | None = None
    """The console's own database; restoring it ends all sessions. None where there is no console."""
    accepted_risks: tuple[str, ...] = ()
    """Checklist lines the owner accepted by name."""
