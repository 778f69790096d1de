"""How a stack stands: the sentence, the database, the archive, and what the agent adds while it watches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stratum.core.alarm import SpokenAlarm
from stratum.core.protection import Protection
from stratum.core.receiving import ReceiverState
from stratum.core.services import ServiceState

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """What `stratum status --json` prints."""

    format: int = FORMAT
    stack: str
    protection: Protection
    database: str
    """`running`, `stopped`, `absent` or `damaged`."""
    database_detail: str
    port: int | None
    cluster: str | None
    """System identifier recorded in the archive."""
    backups: int
    broken_backups: tuple[str, ...]
    foreign_files: tuple[str, ...]
    cut_plans: tuple[str, ...]
    services: tuple[ServiceState, ...] = ()
    """The console's programs; none where there is no console."""
    receiver: ReceiverState | None = None
    """How the receiver of WAL stood when the agent wrote it down last; None where it never received."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentStatus:
    """How things stand, as the agent last saw them: at most two seconds ago."""

    format: int = FORMAT
    status: Status
    canary_at: datetime | None
    """When the last acknowledged write of the canary was committed; None since the agent started means none was."""
    next_backup_at: datetime | None
    """None where no backup is scheduled."""
    next_drill_at: datetime | None
    alarms: tuple[SpokenAlarm, ...]
    """Those that are on, in the reader's language."""
    job: str | None
    """The job that runs or asks now."""
