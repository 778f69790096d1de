"""The journal as JSON lines in the archive, and the lock that keeps plans one at a time."""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import socket
import time
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


BY_ITSELF = "receiver"
"""Who takes the base backup that receiving begins with. Nobody asked for it, so nobody is refused because of it."""
_PATIENCE_SECONDS, _POLL_SECONDS = 60.0, 0.1


class FileLock:
    """An `flock` in the archive: the kernel lets go of it when its holder dies, whatever the cause.

    Process ids mean nothing across containers, so the lock file says who, when and why in words. A verb that a plan
    on the host runs inside a container works under that plan's lock: it is told the plan's name (`under`), and holds
    a second lock, so that nobody else begins should its host be killed while it goes on.
    """

    def __init__(self, archive: Path, *, clock: Clock, who: str, under: str | None = None) -> None:
        self._path = archive / "lock"
        self._inner = archive / ".lock-inside"
        self._clock = clock
        self._who = who
        self._under = under

    @contextmanager
    def hold(self, *, why: str) -> Iterator[None]:
        """Hold the lock while the block runs. Raises `locked`, saying who holds it.

        The base backup that receiving begins with is waited for, a minute at most.
        """
        if not (self._path.parent / "archive.json").exists():
            # A mount point without its disk is an empty directory, and nothing may be left in it.
            raise StratumError("archive-missing", path=self._path.parent)
        with durable.archive_errors(self._path):
            outer = durable.open_shared(self._path)
        try:
            works_under = self._under is not None and self._works_under(outer)
            if not works_under:
                self._take(outer, why)
            with self._alone_inside(why, keep=works_under):
                yield
        finally:
            os.close(outer)

    @contextmanager
    def _alone_inside(self, why: str, *, keep: bool) -> Iterator[None]:
        """See that no verb goes on whose host is gone; with `keep` be that verb, for as long as the block runs."""
        if not keep and not self._inner.exists():
            yield
            return
        with durable.archive_errors(self._inner):
            inner = durable.open_shared(self._inner)
        try:
            self._take(inner, why)
            if not keep:
                fcntl.flock(inner, fcntl.LOCK_UN)
            yield
        finally:
            os.close(inner)

    def _works_under(self, outer: int) -> bool:
        """Whether the plan that asked for this work holds the lock now."""
        try:
            fcntl.flock(outer, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(os.pread(outer, 4096, 0)).get("token") == self._under
        fcntl.flock(outer, fcntl.LOCK_UN)
        return False

    @property
    def token(self) -> str:
        """What a verb that works under this lock is told; it opens nothing."""
        return hashlib.sha256(self._who.encode()).hexdigest()[:16]

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
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _is_taken(handle):
            beside = os.pread(handle, 4096, 0)
            if _holder(beside).get("who") != BY_ITSELF or time.monotonic() > deadline:
                raise _locked(beside)
            time.sleep(_POLL_SECONDS)
        holder = {"who": self._who, "since": self._clock.now().isoformat(timespec="seconds"), "why": why}
        holder |= {"token": self.token}
        with durable.archive_errors(self._path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(holder).encode(), 0)


def _is_taken(handle: int) -> bool:
    """Take the lock, unless somebody holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _since(beside: bytes) -> datetime:
    """A holder that has not written yet when it came holds it from the beginning of time, as far as anyone knows."""
    try:
        return datetime.fromisoformat(json.loads(beside)["since"])
    except (ValueError, KeyError, TypeError):
        return datetime.min.replace(tzinfo=UTC)


def _holder(beside: bytes) -> dict[str, str]:
    """What a holder wrote; nothing when it has not come to it yet."""
    try:
        found = json.loads(beside)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _locked(beside: bytes) -> StratumError:
    holder = {"who": "an unnamed holder", "since": "an unknown time", "why": "unknown"} | _holder(beside)
    return StratumError("locked", why=holder["why"], who=holder["who"], since=holder["since"])
