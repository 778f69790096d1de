"""How each layer of the protection stands, judged from the agent's status alone; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from stratum.adapters.records import parse_plain
from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.frontend.render import parse_time
from stratum.frontend.troubles import find_troubles

RECENT = timedelta(hours=24)
"""The checklist's `recent-backup`: older than this, too much of the writes is in no backup."""
PROVEN_WITHIN = timedelta(days=7)
"""The checklist's `backup-proven`."""
CANARY_WITHIN = timedelta(seconds=30)
"""The canary beats each second; the status may be 2 s old, and a checkpoint may hold it up for some more."""


class LayerState(StrEnum):
    """What a layer is worth now. Not known is never shown as good."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Layers:
    """Every layer between the data and its loss."""

    database: LayerState
    canary: LayerState
    seconds: LayerState
    """Whether what is written now can be brought back to the second."""
    backup: LayerState
    proof: LayerState
    copies: LayerState
    schedule: LayerState
    alarms: LayerState

    @property
    def safe(self) -> bool:
        """Whether the layers that the sentence rests on hold."""
        resting = (self.database, self.backup, self.proof, self.copies)
        return all(state is LayerState.GOOD for state in resting) and self.seconds is not LayerState.BAD


def describe_layers(status: Mapping[str, Any], now: datetime) -> Layers:
    """Judge each layer of an `AgentStatus`, as the API gives it."""
    standing = status["status"]
    protection = standing["protection"]
    return Layers(
        database=LayerState.GOOD if standing["database"] == "running" else LayerState.BAD,
        canary=_recent(status["canary_at"], now, CANARY_WITHIN, missing=LayerState.UNKNOWN),
        seconds=_seconds(observe_receiver(status), now),
        backup=_recent(protection["newest_backup_at"], now, RECENT, missing=LayerState.BAD),
        proof=_proof(protection, now),
        copies=_COPIES.get(protection["failure_domain"], LayerState.UNKNOWN),
        schedule=_schedule(status),
        alarms=LayerState.BAD if status["alarms"] else LayerState.GOOD,
    )


def observe_receiver(status: Mapping[str, Any]) -> ReceiverState | None:
    """The receiver of an `AgentStatus`; None where it never received."""
    plain = status["status"].get("receiver")
    return parse_plain(ReceiverState, plain, file="the API's answer") if plain else None


def _seconds(receiver: ReceiverState | None, now: datetime) -> LayerState:
    if receiver is None or receiver.mode is ProtectMode.DUMPS:
        return LayerState.UNKNOWN
    if find_troubles(receiver, now):
        return LayerState.BAD
    return LayerState.GOOD if receiver.phase is ReceiverPhase.RECEIVING else LayerState.WARN


_COPIES = {"same-disk": LayerState.BAD, "other-disk": LayerState.GOOD, "other-host": LayerState.GOOD}


def _recent(text: str | None, now: datetime, within: timedelta, *, missing: LayerState) -> LayerState:
    if text is None:
        return missing
    return LayerState.GOOD if now - parse_time(text) <= within else LayerState.BAD


def _proof(protection: Mapping[str, Any], now: datetime) -> LayerState:
    if protection["newest_drill"] == "failed":
        return LayerState.BAD
    if protection["newest_drill"] == "could-not-verify":
        return LayerState.WARN
    return _recent(protection["proven_at"], now, PROVEN_WITHIN, missing=LayerState.BAD)


def _schedule(status: Mapping[str, Any]) -> LayerState:
    if status["next_backup_at"] is None:
        return LayerState.BAD
    return LayerState.GOOD if status["next_drill_at"] is not None else LayerState.WARN
