"""When something scheduled is due: a missed time is caught up once, however many were missed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleBook:
    """When each scheduled verb was last asked for, or, where it never was, since when the agent watches."""

    format: int = 1
    last: dict[str, datetime]


def is_due(*, newest_due: datetime, last_run: datetime) -> bool:
    """Whether a scheduled time has passed since the last run: one run makes up for all that were missed."""
    return last_run < newest_due
