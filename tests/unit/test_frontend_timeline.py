"""The picture of the timeline: nothing is left out of it, and nothing stands where it did not happen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.core.proof import Verdict
from stratum.core.timeline import Moment, MomentKind, Reach, Span, Timeline
from stratum.frontend.timeline_svg import LANES, NEAREST_PERCENT, Mark, Picture, Range, draw_timeline

_NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)


def _moment(hours_ago: float, kind: MomentKind = MomentKind.BACKUP, verdict: Verdict | None = None) -> Moment:
    at = _NOW - timedelta(hours=hours_ago)
    return Moment(at=at, kind=kind, id=f"{kind}-{hours_ago}", backup_id=None, verdict=verdict, label="")


def _timeline(days: float, moments: tuple[Moment, ...] = (), cuts: tuple[float, ...] = ()) -> Timeline:
    begins = _NOW - timedelta(days=days)
    edges = [begins, *(begins + (_NOW - begins) * cut for cut in sorted(cuts)), _NOW]
    spans = tuple(
        Span(begins=a, ends=b, reach=tuple(Reach)[n % 3], backup_id=None) for n, (a, b) in enumerate(pairwise(edges))
    )
    return Timeline(begins=begins, ends=_NOW, spans=spans, moments=tuple(sorted(moments, key=lambda m: m.at)))


def _percent(text: str) -> float:
    return float(text.removesuffix("%"))


def _marks(picture: Picture) -> list[Mark]:
    return [mark for lane in picture.lanes for mark in lane.marks]


@given(
    days=st.floats(0.001, 900),
    cuts=st.lists(st.floats(0.01, 0.99), max_size=6),
    shown=st.sampled_from(Range),
)
def test_the_band_has_no_hole_and_no_overlap(days: float, cuts: list[float], shown: Range) -> None:
    picture = draw_timeline(_timeline(days, cuts=tuple(cuts)), shown)
    edge = 0.0
    for stretch in picture.stretches:
        assert _percent(stretch.x) == pytest.approx(edge, abs=0.01)
        edge = _percent(stretch.x) + _percent(stretch.width)
    assert edge == pytest.approx(100, abs=0.01)
    total = sum(picture.seconds(reach) for reach in Reach)
    assert total == pytest.approx((picture.ends - picture.begins).total_seconds())


@given(
    hours=st.lists(st.floats(0, 1000), max_size=60),
    kind=st.sampled_from(LANES),
    shown=st.sampled_from(Range),
)
def test_each_moment_of_the_range_is_on_the_picture_once(hours: list[float], kind: MomentKind, shown: Range) -> None:
    moments = tuple(_moment(ago, kind) for ago in hours)
    timeline = _timeline(1000 / 24, moments)
    picture = draw_timeline(timeline, shown)
    inside = sorted((m for m in moments if picture.begins <= m.at <= picture.ends), key=lambda m: m.at, reverse=True)
    assert [moment.at for moment in picture.moments] == [moment.at for moment in inside]


@given(hours=st.lists(st.floats(0, 1000), max_size=60), shown=st.sampled_from(Range))
def test_two_marks_of_a_lane_are_never_too_near_to_hit(hours: list[float], shown: Range) -> None:
    picture = draw_timeline(_timeline(1000 / 24, tuple(_moment(ago) for ago in hours)), shown)
    for left, right in pairwise(picture.lanes[0].marks):
        assert _percent(right.x) - _percent(left.x) >= NEAREST_PERCENT - 0.002


@given(days=st.floats(0.0001, 5000), shown=st.sampled_from(Range))
def test_there_are_few_enough_ticks_to_be_read(days: float, shown: Range) -> None:
    picture = draw_timeline(_timeline(days), shown)
    assert len(picture.ticks) <= 9
    assert all(picture.begins <= tick.at <= picture.ends for tick in picture.ticks)


def test_a_mark_stands_where_it_happened() -> None:
    (mark,) = _marks(draw_timeline(_timeline(30, (_moment(6),)), Range.DAY))
    assert _percent(mark.x) == pytest.approx(75)


def test_a_failure_is_not_hidden_by_neighbours_that_passed() -> None:
    verdicts = (Verdict.PROVEN, Verdict.FAILED, Verdict.PROVEN)
    moments = tuple(_moment(5 + n / 100, MomentKind.DRILL, verdict) for n, verdict in enumerate(verdicts))
    (mark,) = _marks(draw_timeline(_timeline(30, moments), Range.ALL))
    assert mark.verdict is Verdict.FAILED
    assert len(mark.moments) == 3


def test_what_could_not_be_verified_is_not_shown_as_proven() -> None:
    moments = (_moment(5, verdict=Verdict.PROVEN), _moment(5.01, verdict=None))
    (mark,) = _marks(draw_timeline(_timeline(30, moments), Range.ALL))
    assert mark.verdict is None


def test_a_timeline_of_no_length_is_drawn_all_the_same() -> None:
    picture = draw_timeline(Timeline(begins=_NOW, ends=_NOW, spans=(), moments=()), Range.ALL)
    assert picture.begins < picture.ends
    assert picture.stretches == ()
