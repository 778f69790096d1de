"""The archive and the journal for who asks often: read again only when a file of theirs has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from stratum.core.backup import BrokenBackup, Manifest
from stratum.core.plan import JournalEntry
from stratum.core.proof import Proof
from stratum.ports import Archive, Journal

T = TypeVar("T")
State = tuple[tuple[str, int, int, int], ...]


class Remembered(Generic[T]):
    """What was read, for as long as the files it was read from stay as they are."""

    def __init__(self, read: Callable[[], T], look: Callable[[], State]) -> None:
        self._read = read
        self._look = look
        self._lock = threading.Lock()
        self._last: tuple[State, T] | None = None

    def __call__(self) -> T:
        """As of now. Raises what reading raises, and forgets then."""
        with self._lock:
            state = self._look()
            if self._last is None or self._last[0] != state or not state:
                self._last = None
                self._last = (state, self._read())
            return self._last[1]


class RememberingArchive:
    """An archive whose manifests and proofs are parsed once for each change."""

    def __init__(self, archive: Archive, path: Path) -> None:
        self._archive = archive
        self._manifests = Remembered(archive.manifests, lambda: look_at(path, "archive.json", "dumps/*/manifest.json"))
        self._broken = Remembered(
            archive.broken, lambda: look_at(path, "archive.json", "dumps/*", "dumps/*/manifest.json")
        )
        self._proofs = Remembered(archive.proofs, lambda: look_at(path, "archive.json", "proofs/*.jsonl"))

    def manifests(self) -> tuple[Manifest, ...]:
        return self._manifests()

    def broken(self) -> tuple[BrokenBackup, ...]:
        return self._broken()

    def proofs(self) -> tuple[Proof, ...]:
        return self._proofs()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the archive itself answers
        return getattr(self._archive, name)


class RememberingJournal:
    """A journal that is parsed once for each entry that is added."""

    def __init__(self, journal: Journal, path: Path) -> None:
        self._journal = journal
        self._entries = Remembered(journal.entries, lambda: look_at(path, "journal/*.jsonl"))

    def append(self, entry: JournalEntry) -> None:
        self._journal.append(entry)

    def entries(self) -> tuple[JournalEntry, ...]:
        return self._entries()


def look_at(path: Path, *patterns: str) -> State:
    """Name, time, size and number of each file; empty where nothing can be looked at."""
    return tuple(found for pattern in patterns for found in _files(path, pattern))


def _files(path: Path, pattern: str) -> Iterator[tuple[str, int, int, int]]:
    for file in sorted(path.glob(pattern)):
        try:
            facts = file.stat()
        except OSError:
            continue  # it went between the two looks, and the next one sees it gone
        yield str(file.relative_to(path)), facts.st_mtime_ns, facts.st_size, facts.st_ino
