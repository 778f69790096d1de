"""Alarms: told once per change of state, with the recovery, and once a day for as long as something stays red."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

FORMAT = 1
REPEAT_AFTER = timedelta(days=1)
_FIRST_RETRY, _LONGEST_RETRY = timedelta(seconds=30), timedelta(hours=1)

CHECK_DATA = "nothing was changed by looking; how the data stands is what the line says"
DISK_FORECAST = "the disk of {place} will be full {when} at the present rate, before the next backup at {next_backup}"
DISK_FORECAST_DATA = "all there still; once the disk is full, PostgreSQL stops and no backup can be taken"
DISK_FORECAST_NEXT = "free space on it, or take the backup elsewhere by [archive] path, before then"
NOT_PROVEN = "the {verb} of backup {backup} ended {verdict}"
NOT_PROVEN_DATA = "the database is untouched; that backup is not to be relied on until it is proven"
NOT_PROVEN_NEXT = "see the job's proof, run `stratum backup`, then `stratum drill`"
HEARTBEAT = "the address that is told of each backup did not answer: {problem}"
HEARTBEAT_DATA = "the backup itself was taken and is whole"
HEARTBEAT_NEXT = "see that [notify] heartbeat_url is right and can be reached from here"
TEMPLATES = (
    CHECK_DATA,
    DISK_FORECAST,
    DISK_FORECAST_DATA,
    DISK_FORECAST_NEXT,
    NOT_PROVEN,
    NOT_PROVEN_DATA,
    NOT_PROVEN_NEXT,
    HEARTBEAT,
    HEARTBEAT_DATA,
    HEARTBEAT_NEXT,
)
"""What conditions say that are neither a line of the checklist nor an error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """Something that is red now, in three parts, as `str.format` templates with their values."""

    name: str
    message: str
    data: str
    next: str
    details: dict[str, str] = field(default_factory=dict)


class NoticeKind(StrEnum):
    """Why somebody is told."""

    RAISED = "raised"
    REPEATED = "repeated"
    RECOVERED = "recovered"


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """One condition as it is remembered: since when it is red, and what people were told of it."""

    condition: Condition
    red: bool
    since: datetime
    """When it turned red."""
    told_red: bool = False
    """Whether the last thing that was delivered said that it is red."""
    told_at: datetime | None = None
    """When something about it was last delivered."""
    attempts: int = 0
    """How often telling it failed since it last changed or was delivered."""
    attempted_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmBook:
    """Every alarm that is red, or whose end was not yet delivered. Kept in the archive, so it survives restarts."""

    format: int = FORMAT
    alarms: tuple[Alarm, ...] = ()

    @property
    def red(self) -> tuple[Alarm, ...]:
        return tuple(alarm for alarm in self.alarms if alarm.red)

    @property
    def undelivered(self) -> bool:
        """Whether somebody should know something that could not be delivered at the last attempt."""
        return any(alarm.attempts for alarm in self.alarms)


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One thing to tell."""

    kind: NoticeKind
    alarm: Alarm


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenAlarm:
    """An alarm that is on, in the reader's language."""

    name: str
    since: datetime
    statement: str
    """What is red."""
    data: str
    next: str
    delivered: bool
    """Whether somebody was told of it."""


def note_conditions(
    book: AlarmBook, red: tuple[Condition, ...], *, looked_at: frozenset[str], now: datetime
) -> AlarmBook:
    """The book after a look: what is red, and what of `looked_at` is not.

    What was not looked at, or could not be, stays as it was: not knowing is neither an alarm nor a recovery.
    A recovery nobody has to hear of, because nobody heard of the alarm, is forgotten at once.
    """
    before = {alarm.condition.name: alarm for alarm in book.alarms}
    after = dict(before)
    for name in looked_at & before.keys():
        after[name] = _turned(before[name], red=False)
    for condition in red:
        known = before.get(condition.name)
        fresh = Alarm(condition=condition, red=True, since=now)
        after[condition.name] = replace(_turned(known, red=True, since=now), condition=condition) if known else fresh
    return replace(book, alarms=tuple(alarm for _, alarm in sorted(after.items()) if alarm.red or alarm.told_red))


def plan_notices(book: AlarmBook, *, now: datetime) -> tuple[Notice, ...]:
    """What is to be told now. What could not be delivered waits longer each time, an hour at most."""
    notices = (Notice(kind=kind, alarm=alarm) for alarm in book.alarms if (kind := _due(alarm, now)) is not None)
    return tuple(notice for notice in notices if not _waits(notice.alarm, now))


def record_notice(book: AlarmBook, notice: Notice, *, delivered: bool, now: datetime) -> AlarmBook:
    """The book after an attempt to tell. An alarm whose recovery was delivered is over."""
    alarm = notice.alarm
    if delivered:
        alarm = replace(alarm, told_red=alarm.red, told_at=now, attempts=0, attempted_at=None)
    else:
        alarm = replace(alarm, attempts=alarm.attempts + 1, attempted_at=now)
    kept = (alarm if one.condition.name == alarm.condition.name else one for one in book.alarms)
    return replace(book, alarms=tuple(one for one in kept if one.red or one.told_red))


def _turned(alarm: Alarm, *, red: bool, since: datetime | None = None) -> Alarm:
    if alarm.red is red:
        return alarm
    return replace(alarm, red=red, since=since or alarm.since, attempts=0, attempted_at=None)


def _due(alarm: Alarm, now: datetime) -> NoticeKind | None:
    if alarm.red is not alarm.told_red:
        return NoticeKind.RAISED if alarm.red else NoticeKind.RECOVERED
    if alarm.red and alarm.told_at is not None and now - alarm.told_at >= REPEAT_AFTER:
        return NoticeKind.REPEATED
    return None


def _waits(alarm: Alarm, now: datetime) -> bool:
    if alarm.attempted_at is None:
        return False
    doublings = max(0, min(alarm.attempts - 1, 10))
    wait: timedelta = min(_FIRST_RETRY * (1 << doublings), _LONGEST_RETRY)
    return now - alarm.attempted_at < wait
