"""Callers that were looked up a moment ago, so that a page of many parts asks the database once."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from stratum.backend.roles import Caller

_FOR = timedelta(seconds=1)
_MOST = 1000


class SeenCallers:
    """Remembers for a second who a token spoke for, and forgets everybody when anything may have changed.

    One process serves the console, so all changes to users and sessions pass through it; what is done to the database
    from elsewhere counts after a second.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[datetime, int, Caller]] = {}
        self._generation = 0

    @property
    def generation(self) -> int:
        """Rises with each `forget`: to be read before the database is asked."""
        return self._generation

    def recall(self, token: str, *, epoch: int | None, now: datetime) -> Caller | None:
        """Who it spoke for in this epoch, if that is known well enough."""
        at, known_epoch, caller = self._known.get(token, (now, None, None))
        return caller if caller is not None and epoch == known_epoch and now - _FOR < at <= now else None

    def remember(self, token: str, caller: Caller, *, epoch: int, now: datetime, generation: int) -> None:
        """Keep it, unless something has changed since the database was asked."""
        with self._lock:
            if generation != self._generation:
                return
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[token] = (now, epoch, caller)

    def forget(self) -> None:
        """Nobody is taken for granted any more: before and after every request that may change something."""
        with self._lock:
            self._generation += 1
            self._known.clear()
