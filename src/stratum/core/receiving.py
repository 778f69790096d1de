"""How the WAL receiver stands: what the agent writes down every second, and every status reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FORMAT = 1


class ProtectMode(StrEnum):
    """How much a sudden end may cost. `[protect] mode` of stratum.toml."""

    DUMPS = "dumps"
    """What was written since the newest dump: no WAL is received."""
    STREAMING = "streaming"
    """About a second: WAL is received as it is written."""
    ZERO_LOSS = "zero-loss"
    """Nothing that was acknowledged: a commit returns when its WAL is on the archive's disk."""


class ReceiverPhase(StrEnum):
    """What the receiver does now."""

    OFF = "off"
    """Not asked for."""
    STARTING = "starting"
    RECEIVING = "receiving"
    AWAY = "away"
    """It does not receive, and is tried again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiverState:
    """The receiver as of `at`; `wal/receiver.json` of the archive. An old one means that the agent is dead."""

    format: int = FORMAT
    at: datetime
    mode: ProtectMode
    phase: ReceiverPhase
    problem: str = ""
    """Why it is away, or what else is wrong with it, in one sentence."""
    away_since: datetime | None = None
    """Since when nothing is received; None while it is."""
    system_identifier: str | None = None
    timeline: int | None = None
    incarnation: str | None = None
    slot: str | None = None
    received_lsn: int | None = None
    """The archive's disk has everything before it."""
    behind_bytes: int | None = None
    """How much WAL the server has flushed beyond that."""
    safe_at: datetime | None = None
    """Commit time of the newest canary row whose WAL is on the archive's disk: the measured loss is now minus this."""
    unprotected_since: datetime | None = None
    """From here on no moment can be reached exactly; None when a base backup and WAL cover now."""
    unprotected_because: str = ""
    armed: bool = False
    """Zero-loss: whether the server waits for the receiver before it acknowledges."""
    degraded_since: datetime | None = None
    """Zero-loss was asked for, and commits do not wait since then."""
    armed_problem: str = ""
    """Zero-loss was asked for: why commits do not wait, or wait in vain, in one sentence; empty while all is well."""
    waiting_sessions: int = 0
    """Sessions whose commit waits for the receiver now."""
    cancelled_waits: int = 0
    """Commits seen that stopped waiting early, and so were acknowledged without being safe."""
    lowered_sessions: int = 0
    """Sessions seen that had turned `synchronous_commit` down for themselves."""
