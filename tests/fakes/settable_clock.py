"""A clock that a test sets, and that otherwise goes on by a second each time it is read."""

from __future__ import annotations

from datetime import datetime, timedelta


class SettableClock:
    """Both clocks move only when asked; the wall clock may be set back, the monotonic one never is."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._seconds = 0.0

    def set(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now

    def monotonic(self) -> float:
        self._seconds += 1.0
        return self._seconds
