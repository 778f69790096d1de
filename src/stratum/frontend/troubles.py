"""What is wrong with the protection of every second, judged from the receiver's own record; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState

SILENT_AFTER = timedelta(seconds=30)
"""The record is written each second; a page may be some seconds old when it is read."""


class TroubleKind(StrEnum):
    """What can be wrong, the most pressing first."""

    COMMITS_WAIT = "commits-wait"
    """Zero-loss: the server acknowledges nothing until the receiver is back."""
    DEGRADED = "degraded"
    """Zero-loss was asked for, and what is acknowledged now could be lost."""
    UNPROTECTED = "unprotected"
    """No moment since then can be reached exactly."""
    AWAY = "away"
    """Nothing is received now; the server keeps what is to come, for a while."""
    SILENT = "silent"
    """Nobody has written down how the receiver stands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """One thing that is wrong, since when and why."""

    kind: TroubleKind
    since: datetime | None
    because: str
    sessions: int = 0
    """How many wait because of it."""


def find_troubles(receiver: ReceiverState | None, now: datetime) -> tuple[Trouble, ...]:
    """Everything that is wrong, the most pressing first; nothing where no WAL is meant to be received."""
    if receiver is None or receiver.mode is ProtectMode.DUMPS:
        return ()
    if now - receiver.at > SILENT_AFTER:
        return (Trouble(kind=TroubleKind.SILENT, since=receiver.at, because=""),)
    return tuple(_troubles(receiver))


def _troubles(receiver: ReceiverState) -> Iterator[Trouble]:
    away = receiver.phase is ReceiverPhase.AWAY
    zero_loss = receiver.mode is ProtectMode.ZERO_LOSS
    because = receiver.armed_problem or receiver.problem
    stuck = receiver.phase is not ReceiverPhase.RECEIVING or bool(receiver.armed_problem)
    waits = zero_loss and receiver.armed and stuck
    degraded = zero_loss and not receiver.armed and (receiver.degraded_since or receiver.armed_problem)
    if waits:
        yield Trouble(
            kind=TroubleKind.COMMITS_WAIT,
            since=receiver.away_since,
            because=because,
            sessions=receiver.waiting_sessions,
        )
    if degraded:
        yield Trouble(kind=TroubleKind.DEGRADED, since=receiver.degraded_since, because=because)
    if receiver.unprotected_since is not None:
        yield Trouble(
            kind=TroubleKind.UNPROTECTED, since=receiver.unprotected_since, because=receiver.unprotected_because
        )
    if away and not waits and not degraded:
        yield Trouble(kind=TroubleKind.AWAY, since=receiver.away_since, because=receiver.problem)
