"""The way to a moment, against histories made by chance: gaps, pruned WAL, timelines and overlapping base backups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.core.base_backup import BaseManifest
from stratum.core.recovery_path import (
    ABANDONED,
    BEFORE_FIRST,
    BEYOND,
    FUTURE,
    GAP,
    NO_BASE,
    OTHER_TIMELINE,
    OutOfReach,
    RecoveryPath,
    plan_path,
)
from stratum.core.volume_recovery import Moment
from stratum.core.wal import (
    SEGMENT_BYTES,
    Incarnation,
    SegmentName,
    StoredSegment,
    Switch,
    TimelineHistory,
    WalInventory,
    render_lsn,
)
from tests.fixtures.base_manifests import a_base
from tests.fixtures.manifests import NOW

_START = NOW - timedelta(minutes=200)


def _closed(number: int) -> timedelta:
    """Segment `number` is full that many minutes after the start."""
    return timedelta(minutes=number)


def _segment(number: int, *, timeline: int = 1, partial: bool = False, minutes: float | None = None) -> StoredSegment:
    at = _START + (_closed(number) if minutes is None else timedelta(minutes=minutes))
    name = SegmentName(timeline=timeline, number=number)
    return StoredSegment(segment=name, bytes=100, sha256="0" * 64, closed_at=at, partial=partial)


def _base(number: int, *, timeline: int = 1, minutes: float | None = None) -> BaseManifest:
    """Taken within segment `number`, whole half a minute before that is full."""
    at = _START + timedelta(minutes=number - 0.5 if minutes is None else minutes)
    made = a_base(f"base-{timeline}-{number}", first_segment=number, finished_at=at, start_timeline=timeline)
    return replace(made, started_at=at - timedelta(seconds=5))


def _inventory(
    segments: list[StoredSegment],
    *,
    histories: tuple[TimelineHistory, ...] = (),
    incarnations: tuple[Incarnation, ...] = (),
) -> WalInventory:
    begun = incarnations or (Incarnation(name="1", timeline=1, began_at=_START),)
    return WalInventory(
        system_identifier=a_base().cluster.system_identifier,
        segment_bytes=SEGMENT_BYTES,
        segments=tuple(sorted(segments, key=lambda s: (s.partial, s.segment))),
        histories=histories,
        incarnations=begun,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _World:
    bases: tuple[BaseManifest, ...]
    inventory: WalInventory
    numbers: frozenset[int]
    last: int


@st.composite
def _worlds(draw: st.DrawFn) -> _World:
    """One timeline: segments 1 to `last`, some of them gone, the last one partial."""
    last = draw(st.integers(2, 40))
    gone = draw(st.sets(st.integers(1, last - 1), max_size=4))
    numbers = frozenset(set(range(1, last + 1)) - gone)
    segments = [_segment(n, partial=n == last) for n in numbers]
    bases = tuple(_base(n) for n in sorted(draw(st.sets(st.integers(1, last), max_size=4))))
    return _World(bases=bases, inventory=_inventory(segments), numbers=numbers, last=last)


def _reaches(world: _World, base: BaseManifest, minutes: float) -> bool:
    """Counted out: every segment from the base backup's next one to the one that the moment falls into."""
    first = base.stop_lsn // SEGMENT_BYTES
    if base.finished_at > _START + timedelta(minutes=minutes):
        return False
    # The base backup holds the segment it ends in; the moment falls into the first one that was full after it.
    needed = range(first + 1, min(int(minutes) + 1, world.last) + 1)
    return all(number in world.numbers for number in needed)


@given(_worlds(), st.floats(0, 45).map(lambda minutes: round(minutes, 2) + 0.005))
def test_a_moment_is_planned_when_some_base_backup_reaches_it_and_by_the_newest_that_does(
    world: _World, minutes: float
) -> None:
    found = plan_path(world.bases, world.inventory, Moment(at=_START + timedelta(minutes=minutes)), now=NOW)

    reaching = [base for base in world.bases if _reaches(world, base, minutes)]

    if reaching:
        assert isinstance(found, RecoveryPath), found
        assert found.base.id == max(reaching, key=lambda base: base.finished_at).id
    else:
        assert isinstance(found, OutOfReach), found


@given(_worlds(), st.integers(0, 45))
def test_what_replay_needs_is_one_stretch_without_a_hole(world: _World, minutes: int) -> None:
    found = plan_path(world.bases, world.inventory, Moment(at=_START + timedelta(minutes=minutes)), now=NOW)

    if isinstance(found, RecoveryPath) and found.segments:
        numbers = [stored.segment.number for stored in found.segments]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert numbers[0] - found.base.stop_lsn // SEGMENT_BYTES in {0, 1}
        assert [stored.partial for stored in found.segments[:-1]] == [False] * (len(numbers) - 1)


@given(_worlds(), st.integers(0, 45))
def test_the_nearest_moments_of_a_refusal_lie_on_either_side_of_it(world: _World, minutes: int) -> None:
    at = _START + timedelta(minutes=minutes)
    found = plan_path(world.bases, world.inventory, Moment(at=at), now=NOW)

    if isinstance(found, OutOfReach):
        assert found.earlier is None or found.earlier <= at
        assert found.later is None or found.later > at


def _left_at(number: float) -> TimelineHistory:
    return TimelineHistory(
        timeline=2, ancestors=(Switch(parent=1, lsn=int(number * SEGMENT_BYTES), reason="before 2026-03-02"),)
    )


_TWO = (
    Incarnation(name="1", timeline=1, began_at=_START, ended_at=_START + timedelta(minutes=20)),
    Incarnation(name="2", timeline=2, began_at=_START + timedelta(minutes=20)),
)
"""At 20 minutes somebody went back to the middle of segment 10."""


def _forked() -> tuple[tuple[BaseManifest, ...], WalInventory]:
    old = [_segment(n) for n in range(1, 20)]
    new = [_segment(n, timeline=2, minutes=n + 11) for n in range(10, 15)]
    inventory = _inventory([*old, *new], histories=(_left_at(10.5),), incarnations=_TWO)
    return (_base(3), _base(12), _base(12, timeline=2, minutes=22.5)), inventory


def _planned(moment: Moment) -> RecoveryPath | OutOfReach:
    bases, inventory = _forked()
    return plan_path(bases, inventory, moment, now=NOW)


def _at(minutes: float) -> Moment:
    return Moment(at=_START + timedelta(minutes=minutes))


def test_a_time_belongs_to_the_timeline_that_was_live_then() -> None:
    before, left, after = _planned(_at(8)), _planned(_at(15)), _planned(_at(21.2))

    assert isinstance(before, RecoveryPath)
    assert isinstance(left, RecoveryPath)
    assert isinstance(after, RecoveryPath)
    assert (before.base.id, before.timeline) == ("base-1-3", 1)
    assert (left.base.id, left.timeline) == ("base-1-12", 1)
    assert (after.base.id, after.timeline) == ("base-1-3", 2), "12 was taken behind where the timeline was left"
    assert [(s.segment.timeline, s.segment.number) for s in after.segments][6:9] == [(1, 9), (2, 10), (2, 11)]


def test_the_last_write_is_that_of_the_newest_timeline() -> None:
    found = _planned(Moment())

    assert isinstance(found, RecoveryPath)
    assert (found.base.id, found.timeline, found.latest) == ("base-2-12", 2, True)


def test_a_left_timeline_can_be_asked_for_by_its_number() -> None:
    found = _planned(Moment(timeline=1))

    assert isinstance(found, RecoveryPath)
    assert (found.base.id, found.timeline, found.segments[-1].segment.number) == ("base-1-12", 1, 19)


def test_a_time_after_the_last_received_commit_is_planned_as_the_latest() -> None:
    idle, busy = _planned(_at(180)), _planned(_at(24.5))

    assert isinstance(idle, RecoveryPath)
    assert isinstance(busy, RecoveryPath)
    assert (idle.latest, busy.latest) == (True, False)


@pytest.mark.parametrize(
    ("moment", "why", "detail"),
    [
        (Moment(at=NOW + timedelta(minutes=5)), FUTURE, "0:05:00"),
        (_at(1), BEFORE_FIRST, ""),
        (Moment(timeline=7), OTHER_TIMELINE, "7"),
        (Moment(lsn=render_lsn(15 * SEGMENT_BYTES + 7)), ABANDONED, "1"),
        (Moment(lsn=render_lsn(99 * SEGMENT_BYTES)), BEYOND, render_lsn(99 * SEGMENT_BYTES)),
    ],
)
def test_what_cannot_be_reached_says_why(moment: Moment, why: str, detail: str) -> None:
    found = _planned(moment)

    assert isinstance(found, OutOfReach)
    assert found.why == why
    assert detail in found.why.format_map(found.details)


def test_a_hole_and_an_empty_archive_say_why() -> None:
    _, inventory = _forked()
    holed = _inventory([_segment(n) for n in (3, 4, 6, 7)])

    gap, nothing = plan_path((_base(3),), holed, _at(6.5), now=NOW), plan_path((), inventory, _at(6.5), now=NOW)

    assert isinstance(gap, OutOfReach)
    assert isinstance(nothing, OutOfReach)
    assert (gap.why, gap.details["segment"][-2:], nothing.why) == (GAP, "05", NO_BASE)
    assert gap.earlier == _START + timedelta(minutes=4)
