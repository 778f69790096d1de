"""A moment that somebody picks: read in the time zone they think in, and written back for the field; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class TimeNotReadError(ValueError):
    """The time that was typed is none."""


def parse_moment(text: str, zone: str) -> datetime:
    """A time as typed, in UTC; what the text says of its own zone counts for more than `zone`.

    Of an hour that a clock change gives twice the first is meant. Raises `TimeNotReadError` also for an hour that a
    clock change leaves out.
    """
    try:
        at = datetime.fromisoformat(text.strip())
        if at.tzinfo is not None:
            return at.astimezone(UTC)
        known = find_zone(zone)
        utc = at.replace(tzinfo=known).astimezone(UTC)
    except (ValueError, OverflowError):
        raise TimeNotReadError(text) from None
    if utc.astimezone(known).replace(tzinfo=None) != at:
        raise TimeNotReadError(text)
    return utc


def find_zone(name: str) -> ZoneInfo:
    """A time zone by its name; nothing is UTC. Raises ValueError for one that nobody knows."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, OSError, ValueError):
        # ZoneInfo answers some odd names with the errors of the files it looks for.
        raise ValueError(name) from None


def field_text(at: datetime | None, zone: str) -> str:
    """A moment as a field of date and time takes it: local, to the second, without its zone.

    (https://html.spec.whatwg.org/multipage/input.html#local-date-and-time-state-(type=datetime-local))
    """
    return f"{at.astimezone(find_zone(zone)):%Y-%m-%dT%H:%M:%S}" if at else ""


def offered_zones(settings: Mapping[str, str], wanted: str) -> tuple[str, ...]:
    """What the field offers: UTC, the zone of the stack's schedules, and the one in use. A script adds the reader's."""
    schedule = settings.get("[backup] timezone", "").strip('"')
    return tuple(dict.fromkeys(zone for zone in ("UTC", schedule, wanted) if _is_zone(zone)))


def whole_second_after(at: datetime) -> datetime:
    """The first whole second that is not before `at`."""
    whole = at.replace(microsecond=0)
    return whole if whole == at else whole + timedelta(seconds=1)


def known_zone(candidates: Iterable[str]) -> str:
    """The first that is one; else UTC."""
    return next((zone for zone in candidates if _is_zone(zone)), "UTC")


def _is_zone(name: str) -> bool:
    if not name:
        return False
    try:
        find_zone(name)
    except ValueError:
        return False
    return True
