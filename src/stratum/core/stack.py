"""The stack: what stratum.toml describes, as frozen records the engine reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from stratum.core.backup import DigestMode
from stratum.core.receiving import ProtectMode
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
    """A dump that lost more than this share of the rows, or of the entries of a file set, is not called a backup."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillPolicy:
    """What a drill asks beside its own comparisons. `[drill]` of stratum.toml."""

    schedule: str = ""
    """When the agent drills the newest backup or, in turns with it, a moment that WAL reaches: a cron expression.
    Empty: never."""
    smoke_sql: tuple[str, ...] = ()
    """Statements the restored database must answer with a first value that is neither false nor NULL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtectPolicy:
    """How much a sudden end may cost, and how far back every second stays reachable. `[protect]` of stratum.toml."""

    mode: ProtectMode = ProtectMode.STREAMING
    """`streaming` loses about a second, `zero-loss` nothing that was acknowledged, `dumps` what no dump holds."""
    schedule: str = "30 2 * * *"
    """When the agent takes a base backup: a cron expression. Empty: only when one is needed to go on."""
    recovery_window: timedelta = timedelta(days=7)
    """How far back every second stays reachable: older base backups, and WAL that only they need, go."""
    degrade_after: timedelta = timedelta(0)
    """zero-loss: how long commits wait for a receiver that is away before they stop waiting, with an alarm.
    0s: they wait until it is back."""
    slot_keep_mb: int = 4096
    """How many MiB of WAL the server keeps for a receiver that is away; beyond it continuity is given up, not the
    disk. Never more than a quarter of what is free there."""
    rate_limit_mb: int = 0
    """How many MiB a second a base backup may read at most. 0: as fast as it goes."""
    canary_seconds: float = 1.0
    """How often the canary writes: what could be lost is measured this finely."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RestorePolicy:
    """How a restore may be undone. `[restore]` of stratum.toml."""

    undo_window: timedelta = timedelta(hours=72)
    """How long what a restore replaced is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Commands:
    """The application's own commands, each a list of words and run without a shell. `[commands]` of stratum.toml."""

    service: str = "backend"
    """With `runtime = "compose"`: the service in whose image the commands run, in a container of their own."""
    migrate: tuple[str, ...] = ()
    """Brings the schema up to date. Run with DATABASE_URL set."""
    seed: tuple[str, ...] = ()
    """Loads first data, idempotently."""
    health: tuple[str, ...] = ()
    """Exits 0 when the application is well. `STRATUM_HOST` names where it is asked."""
    smoke: tuple[str, ...] = ()
    """With Compose: exits 0 when a new release does its work. Run after `health`, first on the clone of a rehearsal and
    then, in an update, before anybody else reaches it; what it writes there stays, so it should only read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RehearsalPolicy:
    """How a new version is tried on a clone. `[rehearsal]` of stratum.toml."""

    env: dict[str, str] = field(default_factory=dict)
    """Variables the new version is given there instead of its own: keys of services it must not be able to call.
    `STRATUM_REHEARSAL=true` is always among them."""
    start: bool = True
    """With Compose: whether the new version's service is started on the clone as well, and has to become healthy.
    false for one that needs other services for that: on the clone there are none."""
    lock_limit: timedelta = timedelta(seconds=1)
    """How long a migration may keep others from a table before the verdict is that it needs downtime."""


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
    protect: ProtectPolicy = field(default_factory=ProtectPolicy)
    restore: RestorePolicy = field(default_factory=RestorePolicy)
    commands: Commands = field(default_factory=Commands)
    rehearsal: RehearsalPolicy = field(default_factory=RehearsalPolicy)
    notify: NotifyPolicy = field(default_factory=NotifyPolicy)
    console_database: str | None = None
    """The console's own database; restoring it ends all sessions. None where there is no console."""
    external: bool = False
    """Whether the database is a server of the user's own, which Stratum can neither start nor replace."""
    copies: tuple[str, ...] = ()
    """Names of the places that hold a second copy of the archive."""
    sealed: bool = False
    """Whether everything new in the archive is sealed."""
    file_sets: tuple[str, ...] = ()
    """Names of the directories that every dump takes along."""
    accepted_risks: tuple[str, ...] = ()
    """Checklist lines the owner accepted by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StackFilesState:
    """How safely the stack's own files are kept."""

    env_mode: int | None
    """Permission bits of .env, None when there is none."""
    env_ignored_by_git: bool | None
    """None when the stack is in no git checkout."""
    weak_secrets: tuple[str, ...]
    """Names of secrets in .env that are empty, short or a well-known default."""
    certificate_ends_at: datetime | None = None
    """When the certificate NGINX_CERT_PATH names ends; None where none is named."""
    certificate_problem: str = ""
    """Why the certificate that is named, or its key, cannot serve."""
