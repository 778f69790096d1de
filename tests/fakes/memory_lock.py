"""A lock in memory, shared by all holders of one book, that says who has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from stratum.core.errors import StratumError
from stratum.ports import Clock


class MemoryLock:
    """One of several locks on the same `book`; only one is held at a time."""

    def __init__(self, book: dict[str, str], *, clock: Clock, who: str) -> None:
        self._book = book
        self._clock = clock
        self._who = who

    @property
    def token(self) -> str:
        return self._who

    @contextmanager
    def hold(self, *, why: str) -> Iterator[None]:
        if self._book:
            raise StratumError("locked", **self._book)
        self._book |= {"who": self._who, "why": why, "since": self._clock.now().isoformat(timespec="seconds")}
        try:
            yield
        finally:
            self._book.clear()

    def held_since(self) -> datetime | None:
        return datetime.fromisoformat(self._book["since"]) if self._book else None
