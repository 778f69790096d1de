"""The timeline: which stretches of time can be brought back, which cannot, and what happened on the way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from stratum.core.proof import Verdict

FORMAT = 1


class Reach(StrEnum):
    """What a restore to a moment within a span brings back."""

    EXACT = "exact"
    """The moment itself: WAL covers it."""
    BACKUP_BEFORE = "backup-before"
    """The backup before it; what was written between the two is lost."""
    NOTHING = "nothing"
    """No backup that is whole, or none as recent as the schedule promises."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of time in which a restore reaches the same thing."""

    begins: datetime
    ends: datetime
    reach: Reach
    backup_id: str | None
    """What a restore to a moment in it starts from; None when there is nothing."""


class MomentKind(StrEnum):
    """What a mark on the timeline stands for."""

    BACKUP = "backup"
    DRILL = "drill"
    VERIFY = "verify"
    RESTORE = "restore"
    RELEASE = "release"


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One thing that happened."""

    at: datetime
    kind: MomentKind
    id: str
    """Of the backup, the proof or the plan."""
    backup_id: str | None
    verdict: Verdict | None
    label: str
    """One short sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """One picture of what can be brought back."""

    format: int = FORMAT
    begins: datetime
    ends: datetime
    """Now."""
    spans: tuple[Span, ...]
    """In order and without holes, from `begins` to `ends`."""
    moments: tuple[Moment, ...]
    """In order."""
