"""Which base backup and which WAL reach a moment, or why none does and what the nearest reachable moments are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from stratum.core.base_backup import BaseManifest
from stratum.core.volume_recovery import Moment
from stratum.core.wal import SegmentName, StoredSegment, WalInventory, render_lsn
from stratum.core.wal_reach import exact_spans

SKEW = timedelta(seconds=5)
"""How far two clocks of one stack may disagree before that is said."""

FUTURE = "that is {ahead} from now, by this machine's clock"
NO_BASE = "there is no base backup; a dump reaches the moment it was taken and no other"
BEFORE_FIRST = "it is before the first base backup was whole"
NO_WAL = "the archive holds no WAL of this cluster"
GAP = "WAL is missing from segment {segment} on"
OTHER_TIMELINE = "timeline {timeline} is not known to the archive"
ABANDONED = "position {lsn} was left behind when timeline {parent} was: `--timeline {parent}` goes there"
BEYOND = "position {lsn} is beyond the last received one"
NO_SUCH_NAME = "no restore point of that name is in the WAL that was received"
NO_SUCH_END = "no end of transaction {xid} is in the WAL that was received"
WHYS = (FUTURE, NO_BASE, BEFORE_FIRST, NO_WAL, GAP, OTHER_TIMELINE, ABANDONED, BEYOND, NO_SUCH_NAME, NO_SUCH_END)
"""As `str.format` templates, so that each exists once for every language."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveryPath:
    """How a moment is reached."""

    base: BaseManifest
    system_identifier: str
    timeline: int
    """The one to follow: `recovery_target_timeline`."""
    latest: bool
    """Whether all WAL is replayed, because nothing is known to have been committed between its end and the moment."""
    segments: tuple[StoredSegment, ...]
    """What replay needs beside the WAL in the base backup, in order; the last may be partial."""
    gap: SegmentName | None = None
    """What is missing behind them, although WAL goes on. A time they do not reach may lie in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutOfReach:
    """Why a moment cannot be reached, and what can be instead."""

    why: str
    """One of `WHYS`."""
    details: Mapping[str, str] = field(default_factory=dict)
    earlier: datetime | None = None
    later: datetime | None = None


def plan_path(
    bases: Iterable[BaseManifest], inventory: WalInventory, moment: Moment, *, now: datetime
) -> RecoveryPath | OutOfReach:
    """Choose for one cluster; `bases` of others are passed over.

    A time belongs to the timeline that was live then. Everything else belongs to the newest timeline unless the
    moment names one. A time at or after the last received commit is planned as `latest`: asked to stop at a time that
    never comes, a server refuses to come up.
    (https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-RECOVERY-TARGET-TIME)
    """
    own = [base for base in bases if base.cluster.system_identifier == inventory.system_identifier]
    why = _why_not(own, inventory, moment, now=now)
    if why is None:
        found = _choose(own, inventory, moment)
        if isinstance(found, RecoveryPath):
            return found
        why = found
    return _with_nearest(why, own, inventory, moment.at or now, now=now)


def never_came(
    bases: Iterable[BaseManifest],
    inventory: WalInventory,
    moment: Moment,
    *,
    now: datetime,
    gap: SegmentName | None = None,
) -> OutOfReach:
    """What is said of a moment that all WAL was replayed for, and that was not in it; with a `gap` it may lie there."""
    own = [base for base in bases if base.cluster.system_identifier == inventory.system_identifier]
    why = OutOfReach(why=BEYOND, details={"lsn": moment.lsn or ""})
    if moment.name is not None:
        why = OutOfReach(why=NO_SUCH_NAME)
    elif moment.before_xid is not None:
        why = OutOfReach(why=NO_SUCH_END, details={"xid": str(moment.before_xid)})
    elif gap is not None:
        why = OutOfReach(why=GAP, details={"segment": gap.file_name(inventory.segment_bytes)})
    return _with_nearest(why, own, inventory, now, now=now)


def _with_nearest(
    why: OutOfReach, own: list[BaseManifest], inventory: WalInventory, at: datetime, *, now: datetime
) -> OutOfReach:
    spans = exact_spans(own, (inventory,), now=now)
    return replace(
        why,
        earlier=max((span.ends for span in spans if span.ends <= at), default=None),
        later=min((span.begins for span in spans if span.begins > at), default=None),
    )


def _why_not(own: list[BaseManifest], inventory: WalInventory, moment: Moment, *, now: datetime) -> OutOfReach | None:
    """What rules a moment out before any path is looked for."""
    if moment.at is not None and moment.at > now + SKEW:
        return OutOfReach(why=FUTURE, details={"ahead": str(moment.at - now).partition(".")[0]})
    if not own:
        return OutOfReach(why=NO_BASE)
    if moment.at is not None and all(base.finished_at > moment.at for base in own):
        return OutOfReach(why=BEFORE_FIRST)
    known = {1, *(history.timeline for history in inventory.histories), *(base.start_timeline for base in own)}
    if moment.timeline is not None and moment.timeline not in known:
        return OutOfReach(why=OTHER_TIMELINE, details={"timeline": str(moment.timeline)})
    return None


def _choose(own: list[BaseManifest], inventory: WalInventory, moment: Moment) -> RecoveryPath | OutOfReach:
    lineage = _Lineage(inventory, moment.timeline or _timeline_of(own, inventory, moment))
    lsn = parse_position(moment)
    worst: OutOfReach = OutOfReach(why=BEFORE_FIRST)
    for base in sorted(own, key=lambda base: base.finished_at, reverse=True):
        too_late = (moment.at is not None and base.finished_at > moment.at) or (lsn is not None and base.stop_lsn > lsn)
        if too_late or not lineage.holds(base):
            continue
        segments, missing = lineage.follow(base)
        if lsn is not None and lsn > _end(base, segments):
            return _beyond(lsn, lineage, missing)
        if missing is not None and not _covers(segments, moment):
            worst = OutOfReach(why=GAP, details={"segment": missing.file_name(inventory.segment_bytes)})
            continue
        return RecoveryPath(
            base=base,
            system_identifier=inventory.system_identifier,
            timeline=lineage.timeline,
            latest=_is_latest(base, segments, moment),
            segments=segments,
            gap=missing,
        )
    return worst


def parse_position(moment: Moment) -> int | None:
    """The moment's WAL position as a number; None where it is of another kind."""
    from stratum.core.wal import parse_lsn

    return parse_lsn(moment.lsn) if moment.lsn is not None else None


def _timeline_of(own: list[BaseManifest], inventory: WalInventory, moment: Moment) -> int:
    """The one that was live at a time; for anything else the newest."""
    begun = [one for one in inventory.incarnations if moment.at is None or one.began_at <= moment.at]
    if begun:
        return begun[-1].timeline
    usable = [base for base in own if moment.at is None or base.finished_at <= moment.at]
    return max((base.start_timeline for base in usable or own), default=1)


class _Lineage:
    """One timeline with all that it continues, and the WAL stored along it."""

    def __init__(self, inventory: WalInventory, timeline: int) -> None:
        self.timeline = timeline
        self._inventory = inventory
        history = next((h for h in inventory.histories if h.timeline == timeline), None)
        switches = history.ancestors if history else ()
        self._until: dict[int, int | None] = {switch.parent: switch.lsn for switch in switches} | {timeline: None}
        """Each timeline on the way, oldest first, and where it was left."""
        self._stored: dict[SegmentName, StoredSegment] = {}
        for stored in reversed(inventory.segments):
            self._stored[stored.segment] = stored

    def holds(self, base: BaseManifest) -> bool:
        """Whether the base backup lies on the way."""
        if base.start_timeline not in self._until:
            return False
        until = self._until[base.start_timeline]
        return until is None or base.stop_lsn <= until

    def left_behind(self, lsn: int) -> int | None:
        """The ancestor whose own WAL holds a position that lies behind where it was left."""
        number = lsn // self._inventory.segment_bytes
        for timeline, until in self._until.items():
            if until is not None and lsn >= until and SegmentName(timeline=timeline, number=number) in self._stored:
                return timeline
        return None

    def follow(self, base: BaseManifest) -> tuple[tuple[StoredSegment, ...], SegmentName | None]:
        """The segments after a base backup without a gap, and the missing one where WAL goes on behind it."""
        size = self._inventory.segment_bytes
        number = max(base.stop_lsn - 1, 0) // size
        found: list[StoredSegment] = []
        at = self._owner(number)
        if SegmentName(timeline=at, number=number) not in self._stored:
            number += 1  # the base backup itself holds the segment it ends in
        while (stored := self._at(number)) is not None:
            found.append(stored)
            number += 1
            if stored.partial:
                break
        # What a left timeline holds behind the point where it was left is no continuation.
        beyond = any(s.number > number and s.timeline in self._owners(s.number) for s in self._stored)
        missing = SegmentName(timeline=self._owner(number), number=number) if beyond else None
        return tuple(found), missing

    def _at(self, number: int) -> StoredSegment | None:
        """A segment along the way; one in which a timeline begins may be stored under either one's name."""
        for timeline in self._owners(number):
            stored = self._stored.get(SegmentName(timeline=timeline, number=number))
            if stored is not None:
                return stored
        return None

    def _owner(self, number: int) -> int:
        return self._owners(number)[0]

    def _owners(self, number: int) -> list[int]:
        """Timelines that may hold a segment of this number, the newest first."""
        size, owners, begins = self._inventory.segment_bytes, [], 0
        for timeline, until in self._until.items():
            if begins // size <= number and (until is None or number <= until // size):
                owners.append(timeline)
            begins = until if until is not None else begins
        return owners[::-1] or [self.timeline]


def _covers(segments: tuple[StoredSegment, ...], moment: Moment) -> bool:
    """Whether a gap comes after the moment: the last segment before it arrived later than that."""
    return moment.at is not None and bool(segments) and segments[-1].closed_at > moment.at


def _is_latest(base: BaseManifest, segments: tuple[StoredSegment, ...], moment: Moment) -> bool:
    if moment.at is None:
        return moment.lsn is None and moment.name is None and moment.before_xid is None
    end = segments[-1].closed_at if segments else base.finished_at
    return moment.at >= end


def _end(base: BaseManifest, segments: tuple[StoredSegment, ...]) -> int:
    if not segments:
        return base.stop_lsn
    return (segments[-1].segment.number + 1) * base.segment_bytes


def _beyond(lsn: int, lineage: _Lineage, missing: SegmentName | None) -> OutOfReach:
    if missing is not None:
        return OutOfReach(why=GAP, details={"segment": missing.file_name()})
    parent = lineage.left_behind(lsn)
    if parent is not None:
        return OutOfReach(why=ABANDONED, details={"lsn": render_lsn(lsn), "parent": str(parent)})
    return OutOfReach(why=BEYOND, details={"lsn": render_lsn(lsn)})
