"""Where things stand on the picture of the timeline: pure geometry, in percent of its width."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from stratum.core.proof import Verdict
from stratum.core.timeline import Moment, MomentKind, Reach, Span, Timeline

LANES = (
    MomentKind.BACKUP,
    MomentKind.BASE_BACKUP,
    MomentKind.DRILL,
    MomentKind.VERIFY,
    MomentKind.RESTORE,
    MomentKind.RELEASE,
    MomentKind.RESTORE_POINT,
)
"""From top to bottom, below the band of recoverable time."""
NEAREST_PERCENT = 2.6
"""Marks of one lane that stand closer are drawn as one: a finger has to hit it, and the narrowest picture is 940
pixels wide (24 pixels between targets: https://www.w3.org/TR/WCAG22/#target-size-minimum)."""
_MOST_TICKS = 8
_STEPS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7 * 1440, 14 * 1440, 28 * 1440, 91 * 1440)
)


class Range(StrEnum):
    """How much of the timeline the picture shows; it always ends now."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ALL = "all"


_LENGTHS = {Range.DAY: timedelta(days=1), Range.WEEK: timedelta(days=7), Range.MONTH: timedelta(days=30)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A span as a piece of the band."""

    x: str
    width: str
    span: Span
    """Cut to what the picture shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One moment, or several too near to tell apart."""

    x: str
    kind: MomentKind
    moments: tuple[Moment, ...]
    """Newest last."""

    @property
    def newest(self) -> Moment:
        return self.moments[-1]

    @property
    def verdict(self) -> Verdict | None:
        """The worst there is: a failure is never hidden behind a neighbour that passed."""
        found = {moment.verdict for moment in self.moments}
        worst_first = (Verdict.FAILED, Verdict.COULD_NOT_VERIFY, None, Verdict.PROVEN)
        return next(verdict for verdict in worst_first if verdict in found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A time written below the picture."""

    x: str
    at: datetime
    has_hour: bool
    """Whether the hour says more than the day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """One row of marks."""

    kind: MomentKind
    marks: tuple[Mark, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """Everything the template draws."""

    begins: datetime
    ends: datetime
    stretches: tuple[Stretch, ...]
    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]

    @property
    def moments(self) -> tuple[Moment, ...]:
        """All that the picture shows, newest first: its alternative in words."""
        shown = [moment for lane in self.lanes for mark in lane.marks for moment in mark.moments]
        return tuple(sorted(shown, key=lambda moment: moment.at, reverse=True))

    def seconds(self, reach: Reach) -> float:
        """How much of the time shown is of this reach."""
        spans = (stretch.span for stretch in self.stretches if stretch.span.reach == reach)
        return sum((span.ends - span.begins).total_seconds() for span in spans)


def draw_timeline(timeline: Timeline, shown: Range) -> Picture:
    """Place what falls into the range. A timeline shorter than the range is shown whole."""
    ends = max(timeline.ends, timeline.begins + timedelta(seconds=1))
    length = _LENGTHS.get(shown, ends - timeline.begins)
    begins = max(timeline.begins, ends - length)
    scale = _Scale(begins=begins, ends=ends)
    inside = [moment for moment in timeline.moments if begins <= moment.at <= ends]
    return Picture(
        begins=begins,
        ends=ends,
        stretches=tuple(_stretches(timeline.spans, scale)),
        lanes=tuple(Lane(kind=kind, marks=_marks(kind, inside, scale)) for kind in LANES),
        ticks=_ticks(scale),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    begins: datetime
    ends: datetime

    def percent(self, at: datetime) -> float:
        return 100 * ((at - self.begins) / (self.ends - self.begins))

    def text(self, at: datetime) -> str:
        return f"{self.percent(at):.3f}%"


def _stretches(spans: Iterable[Span], scale: _Scale) -> Iterable[Stretch]:
    for span in spans:
        begins, ends = max(span.begins, scale.begins), min(span.ends, scale.ends)
        if begins < ends:
            yield Stretch(
                x=scale.text(begins),
                width=f"{scale.percent(ends) - scale.percent(begins):.3f}%",
                span=Span(begins=begins, ends=ends, reach=span.reach, backup_id=span.backup_id),
            )


def _marks(kind: MomentKind, moments: Iterable[Moment], scale: _Scale) -> tuple[Mark, ...]:
    """A group begins at its first moment and takes all that stand nearer to it than two marks may."""
    groups: list[list[Moment]] = []
    for moment in sorted((m for m in moments if m.kind is kind), key=lambda m: m.at):
        if groups and scale.percent(moment.at) - scale.percent(groups[-1][0].at) < NEAREST_PERCENT:
            groups[-1].append(moment)
        else:
            groups.append([moment])
    return tuple(Mark(x=scale.text(group[0].at), kind=kind, moments=tuple(group)) for group in groups)


def _ticks(scale: _Scale) -> tuple[Tick, ...]:
    length = scale.ends - scale.begins
    step = next((step for step in _STEPS if length / step <= _MOST_TICKS), length / _MOST_TICKS)
    midnight = scale.begins.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + step * -((midnight - scale.begins) // step)
    count = int((scale.ends - first) / step) + 1
    times = [first + step * number for number in range(max(0, count))]
    whole_days = step >= timedelta(days=1)
    return tuple(Tick(x=scale.text(at), at=at, has_hour=not whole_days) for at in times if 2 <= scale.percent(at) <= 98)
