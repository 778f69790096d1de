"""A journal in memory that can be told to fail, as a full disk would make it."""

from __future__ import annotations

from stratum.core.errors import StratumError
from stratum.core.plan import JournalEntry


class MemoryJournal:
    """Keeps entries as they were appended; after `fails_after` of them it takes no more."""

    def __init__(self, *, fails_after: int | None = None) -> None:
        self._entries: list[JournalEntry] = []
        self.fails_after = fails_after

    def append(self, entry: JournalEntry) -> None:
        if self.fails_after is not None and len(self._entries) >= self.fails_after:
            raise StratumError("archive-full", path="memory")
        self._entries.append(entry)

    def entries(self) -> tuple[JournalEntry, ...]:
        return tuple(self._entries)
