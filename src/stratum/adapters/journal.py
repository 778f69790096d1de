"""The journal as JSON lines in the archive, and the lock that keeps plans one at a time."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.archive import read_lines
from stratum.adapters.records import parse, to_json
from stratum.core.errors import StratumError
from stratum.core.plan import JournalEntry
from stratum.ports import Clock


def observe_who() -> str:
    """Who runs this, as the journal and the lock name them."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run us under a number that no account has.
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()} (process {os.getpid()})"


class JsonLinesJournal:
    """Append-only; each entry is on disk before `append` returns."""

    def __init__(self, archive: Path) -> None:
        self._folder = archive / "journal"

    def append(self, entry: JournalEntry) -> None:
        with durable.archive_errors(self._folder):
            durable.append_line(self._folder / f"{entry.at:%Y-%m}.jsonl", to_json(entry))

    def entries(self) -> tuple[JournalEntry, ...]:
        return tuple(parse(JournalEntry, line, file="journal") for line in read_lines(self._folder))


class FileLock:
    """An `flock` in the archive: the kernel lets go of it when its holder dies, whatever the cause.

    Process ids mean nothing across containers, so the lock file says who, when and why in words.
    """

    def __init__(self, archive: Path, *, clock: Clock, who: str) -> None:
        self._path = archive / "lock"
        self._clock = clock
        self._who = who

    @contextmanager
    def hold(self, *, why: str) -> Iterator[None]:
        """Hold the lock while the block runs. Raises `locked`, saying who holds it."""
        if not (self._path.parent / "archive.json").exists():
            # A mount point without its disk is an empty directory, and nothing may be left in it.
            raise StratumError("archive-missing", path=self._path.parent)
        with durable.archive_errors(self._path):
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o660)
        try:
            self._take(handle, why)
            yield
        finally:
            os.close(handle)

    def held_since(self) -> datetime | None:
        """When whoever holds it took it, to the second; None while nobody does.

        Looking keeps others from taking it for a moment: only for somebody who has found a plan without an end.
        """
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _since(os.pread(handle, 4096, 0))
        finally:
            os.close(handle)
        return None

    def _take(self, handle: int, why: str) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _locked(os.pread(handle, 4096, 0)) from None
        holder = {"who": self._who, "since": self._clock.now().isoformat(timespec="seconds"), "why": why}
        with durable.archive_errors(self._path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(holder).encode(), 0)


def _since(beside: bytes) -> datetime:
    """A holder that has not written yet when it came holds it from the beginning of time, as far as anyone knows."""
    try:
        return datetime.fromisoformat(json.loads(beside)["since"])
    except (ValueError, KeyError, TypeError):
        return datetime.min.replace(tzinfo=UTC)


def _locked(beside: bytes) -> StratumError:
    unknown = {"who": "an unnamed holder", "since": "an unknown time", "why": "unknown"}
    try:
        holder = unknown | json.loads(beside)
    except ValueError:
        holder = unknown
    return StratumError("locked", why=holder["why"], who=holder["who"], since=holder["since"])
