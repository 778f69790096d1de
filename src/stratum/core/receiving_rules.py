"""What the receiver of WAL decides from what it sees: when it begins anew, and whether every second is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from stratum.core.base_backup import BaseManifest
from stratum.core.receiving import ReceiverPhase, ReceiverState
from stratum.core.wal import Incarnation, WalInventory, segment_of

SLOT = "stratum_receiver"
"""Of the slot, and what the receiver calls itself (`application_name`)."""

FRESH = timedelta(seconds=10)
"""An older state was written by an agent that is no more."""
AWAY_AFTER = timedelta(seconds=30)
"""How long receiving may be interrupted, as by a restart of the server, before somebody is told."""
_BASE_PATIENCE = timedelta(minutes=30)
"""How long the first base backup may take before its absence is an alarm of its own."""

FIRST = "receiving has only begun, and the base backup it starts from does not stand yet"
SWITCHED = "the cluster went on on another timeline, and no base backup of it stands yet"
SLOT_GONE = "the slot was gone, so the server may have thrown away WAL that was not received"
SLOT_LOST = "the server gave up WAL that was not received yet: it would have filled its disk"
START_REFUSED = "the server no longer has the WAL that comes after what was received"
NOTHING_RECEIVED = "the receiver's directory was empty, so it began anew"
GAP = "WAL is missing in the archive since the newest base backup"
NO_BASE = "no base backup of this timeline stands"
REASONS = (FIRST, SWITCHED, SLOT_GONE, SLOT_LOST, START_REFUSED, NOTHING_RECEIVED, GAP, NO_BASE)
"""Why no moment can be reached exactly, in English; each stands in the catalogue of every language."""
_EXPECTED = frozenset({FIRST, SWITCHED, NO_BASE})


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceivingView:
    """A server as the receiver sees it each second."""

    system_identifier: str
    timeline: int
    flushed_lsn: int
    at: datetime
    """By the server's clock."""
    slot_exists: bool
    slot_status: str
    """`reserved`, `extended`, `unreserved` or `lost`; empty where there is no slot."""
    slot_active: bool
    written_lsn: int | None
    """How far the receiver that streams now wrote; None while none does."""
    keep_mb: int
    """What the server keeps at most for a slot, in MiB; -1 is without limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """What the archive has of the incarnation on hand."""

    incarnation: Incarnation | None
    has_files: bool
    """Whether anything of it was received."""
    start_refused: bool
    """Whether the server said that it does not have what comes next."""
    fresh: bool
    """Whether it began in this process, so that nothing could be received yet."""


def why_begin_anew(view: ReceivingView, received: Received) -> str | None:
    """Why receiving cannot go on where it stopped; None where it can.

    A slot that is `unreserved` may still have everything: it is tried, and the server says so when it does not.
    (https://www.postgresql.org/docs/current/view-pg-replication-slots.html)
    """
    if received.incarnation is None:
        return FIRST
    if received.incarnation.timeline != view.timeline:
        return SWITCHED
    if not view.slot_exists:
        return SLOT_GONE
    if view.slot_status == "lost":
        return SLOT_LOST
    if received.start_refused:
        return START_REFUSED
    # Before 15 an empty directory starts where the server writes now, and not where the slot is.
    return None if received.has_files or received.fresh else NOTHING_RECEIVED


def refuses_start(stderr: str) -> bool:
    """Whether what pg_receivewal said last means that this start will never work.

    A server that speaks another language says it otherwise; there the slot's status alone tells.
    """
    return "has already been removed" in stderr or "is not in this server's history" in stderr


@dataclass(frozen=True, kw_only=True, slots=True)
class Cover:
    """Whether a base backup and all WAL since reach what was received last."""

    base_id: str | None
    because: str = ""
    """Why nothing does; empty where something does."""


def find_cover(
    bases: tuple[BaseManifest, ...], inventory: WalInventory, *, incarnation: Incarnation, received_lsn: int
) -> Cover:
    """The newest base backup of this incarnation, where its end was received and nothing is missing since."""
    own = [
        base
        for base in bases
        if base.cluster.system_identifier == inventory.system_identifier
        and base.start_timeline == incarnation.timeline
        and base.started_at >= incarnation.began_at
        and base.stop_lsn <= received_lsn
    ]
    if not own:
        return Cover(base_id=None, because=NO_BASE)
    newest = max(own, key=lambda base: base.stop_lsn)
    there = {s.segment for s in inventory.segments if s.segment.timeline == incarnation.timeline}
    size = inventory.segment_bytes
    # Both ends are exclusive: the byte at the end of what was received is yet to come.
    first, last = max(newest.stop_lsn - 1, 0) // size, max(received_lsn - 1, 0) // size
    for number in range(first, last + 1):
        if segment_of(number * size, timeline=incarnation.timeline, segment_bytes=size) not in there:
            return Cover(base_id=None, because=GAP)
    return Cover(base_id=newest.id)


def plan_keep_mb(*, wanted_mb: int, free_bytes: int | None) -> int:
    """How much WAL the server may keep for a receiver that is away, in MiB: a quarter of what is free at most.

    Never less than four segments of the default size: below that a slot is lost at once.
    """
    quarter = wanted_mb if free_bytes is None else free_bytes // 4 >> 20
    return max(64, min(wanted_mb, quarter))


def backoff_seconds(failures: int) -> float:
    """How long to wait before the next try: 1, 2, 4 … 30 s."""
    return min(30.0, float(1 << min(max(failures - 1, 0), 5)))


def is_fresh(state: ReceiverState, now: datetime) -> bool:
    """Whether a living agent wrote it."""
    return now - state.at <= FRESH


def covers_now(state: ReceiverState | None, now: datetime) -> bool:
    """Whether what would be lost now is known from it: WAL and a base backup reach up to `safe_at`."""
    return (
        state is not None
        and is_fresh(state, now)
        and state.phase is not ReceiverPhase.OFF
        and state.unprotected_since is None
        and state.safe_at is not None
    )


def gave_up_continuity(state: ReceiverState, now: datetime) -> bool:
    """Whether moments that should be reachable are not: WAL was lost, or the base backup is overdue."""
    if state.unprotected_since is None:
        return False
    return state.unprotected_because not in _EXPECTED or now - state.unprotected_since > _BASE_PATIENCE
