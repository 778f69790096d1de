"""console.json of the archive: read by the agent, changed by whoever holds the lock beside it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.records import parse, to_json
from stratum.core.console_access import FORMAT, ConsoleAccess
from stratum.core.errors import StratumError


class ConsoleFile:
    """The epoch and the one-time tokens. Each change reads, decides and writes while nobody else can."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> ConsoleAccess:
        """What is kept; a file that is not there says that nothing was ever kept. Raises `archive-unreadable`."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return ConsoleAccess()
        except OSError as error:
            raise StratumError("archive-unreadable", file=self._path.name, problem=error.strerror) from None
        return parse(ConsoleAccess, text, file=self._path.name, newest_format=FORMAT)

    def change(self, change: Callable[[ConsoleAccess], ConsoleAccess | None]) -> bool:
        """Put what `change` makes of it in its place; False when it makes nothing of it."""
        with durable.archive_errors(self._path), self._alone():
            before = self.read()
            after = change(before)
            if after is not None and after != before:
                durable.write_file(self._path, to_json(after) + "\n", mode=0o600)
        return after is not None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        handle = os.open(self._path.with_name(".console.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
