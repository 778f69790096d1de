"""What `stratum protect` and `stratum restore-point` answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stratum.core.receiving import ProtectMode

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingSession:
    """A session whose commit waits for the receiver."""

    pid: int
    """Of its server process."""
    user: str
    database: str
    application: str
    seconds: float
    """How long its statement runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtectAnswer:
    """What `stratum protect --json` prints."""

    format: int = FORMAT
    mode: ProtectMode
    """What `[protect] mode` asks for."""
    armed: bool
    """Whether commits wait for the receiver before they are acknowledged."""
    receiver: str
    """What the agent says the receiver does; `silent` where no agent says anything."""
    receiving: bool
    """Whether the server sees a receiver that has caught up."""
    behind_bytes: int | None
    """How much WAL the server has on disk beyond what the receiver has; None while it is away."""
    waiting: tuple[WaitingSession, ...]
    """Sessions whose commit waits now, the longest first."""
    lowered_for: tuple[str, ...]
    """Roles and databases that were given less than `synchronous_commit = on`: they do not wait."""
    lowered_sessions: int
    """Sessions seen that do not wait."""
    cancelled_waits: int
    """Commits that the agent saw stop waiting before they were received."""
    degraded_since: datetime | None
    """Since when commits do not wait although they should."""
    problem: str
    """Why commits cannot be made to wait; empty where they can."""
    at_risk: bool
    """Whether less is kept than `mode` promises; the command then exits with 13."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RestorePointAnswer:
    """What `stratum restore-point --json` prints."""

    format: int = FORMAT
    name: str
    at: datetime
    """By the server's clock."""
    timeline: int
    lsn: str
    """Where it lies in the WAL."""
