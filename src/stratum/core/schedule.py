"""When something scheduled is due: a missed time is caught up once, however many were missed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleBook:
    """When each scheduled verb was last asked for; where it never was, since when somebody watches."""

    format: int = FORMAT
    last: dict[str, datetime] = field(default_factory=dict)


def last_run(book: ScheduleBook, verb: str, evidence: Iterable[datetime], *, now: datetime) -> datetime | None:
    """The newest of what the book says and of what the archive shows was done; None when nothing is known.

    A time later than `now` is no evidence: a clock that was wrong once must not keep the schedule waiting.
    """
    known = [*evidence, *([book.last[verb]] if verb in book.last else [])]
    return max((at for at in known if at <= now), default=None)


def asked_for(book: ScheduleBook, verb: str, at: datetime) -> ScheduleBook:
    """The book after the verb was asked for, whatever comes of it: a failure waits for the next scheduled time."""
    return ScheduleBook(last=book.last | {verb: at})
