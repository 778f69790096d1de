"""How long the console's tokens live, as .env writes it, and until when a key that was replaced still counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

PREVIOUS, PREVIOUS_UNTIL = "JWT_SECRET_PREVIOUS", "JWT_SECRET_PREVIOUS_UNTIL"
_SESSION = timedelta(days=90)
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LIFETIME = re.compile(r"(?P<amount>\d{1,12})\s*(?P<unit>ms|s|m|h|d)?")


def parse_lifetime(text: str, *, number_means: str) -> timedelta | None:
    """`15m`, `90d`, or a bare number in `number_means` (`s` or `ms`); None for anything else or nothing at all."""
    found = _LIFETIME.fullmatch(text.strip())
    if not found or int(found["amount"]) == 0:
        return None
    try:
        return timedelta(**{_UNITS[found["unit"] or number_means]: int(found["amount"])})
    except OverflowError:
        return None


def session_lifetime(environment: Mapping[str, str]) -> timedelta:
    """How long a session goes on without a sign-in."""
    return parse_lifetime(environment.get("JWT_REFRESH_TTL_MS", ""), number_means="ms") or _SESSION


def previous_key(environment: Mapping[str, str], now: datetime) -> str | None:
    """The key before the present one, while what it signed is still taken.

    One that stands in .env without an end was put there by its owner, and counts until it is taken out.
    """
    until = previous_until(environment)
    return environment.get(PREVIOUS) or None if until is None or now < until else None


def previous_until(environment: Mapping[str, str]) -> datetime | None:
    """When the key before the present one stops counting; None where no end is set, or it cannot be read."""
    try:
        found = datetime.fromisoformat(environment.get(PREVIOUS_UNTIL, ""))
    except ValueError:
        return None
    return found if found.tzinfo else None
