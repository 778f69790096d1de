"""Rounds of what stands elsewhere: the stack's files, copies of the archive, and reading it again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from stratum.adapters.scrub import SHARES, scrub
from stratum.ports import Ports
from stratum.wiring import keep_stack_files, open_copies

WAL_SECONDS = 60.0
WHOLE_SECONDS = 3600.0
LOOK_SECONDS = 600.0
_LONGEST_PATIENCE = int(WHOLE_SECONDS / WAL_SECONDS)
_DAILY = timedelta(days=1)


class Elsewhere:
    """Each method is called by a thread of its own, and does nothing where there is nothing to do.

    `again` asks for the next whole round at once: what was cut off goes on after 1, 2, 4 … 60 minutes.
    """

    def __init__(self, directory: Path, archive: Path, ports: Ports, *, again: Callable[[], None]) -> None:
        self._directory = directory
        self._archive = archive
        self._ports = ports
        self._copies = open_copies(directory, ports)
        self._again = again
        self._rounds, self._patience = 0, 1

    def copy(self) -> None:
        """Keep the stack's own files, then send each copy all it lacks; what goes wrong is in its state."""
        keep_stack_files(self._directory)
        self._copies.bring_up_to_date()

    def copy_wal(self) -> None:
        """What was received since, to each copy; one that lacks more than WAL since it was away is asked for again."""
        if not any(state.problem for state in self._copies.bring_wal()):
            self._rounds, self._patience = 0, 1
            return
        self._rounds += 1
        if self._rounds >= self._patience:
            self._rounds, self._patience = 0, min(2 * self._patience, _LONGEST_PATIENCE)
            self._again()

    def reread(self) -> None:
        """Once a day, the share of the archive whose turn it is."""
        now, last = self._ports.clock.now(), self._ports.archive.scrubbed()
        if last is None or now - last.at >= _DAILY:
            scrub(self._archive, now=now, share=_share(now), fetch=self._fetch)

    def _fetch(self, path: str, target: Path, sha256: str) -> bool:
        return self._copies.fetch(path, target, sha256=sha256) is not None


def _share(now: datetime) -> int:
    return now.toordinal() % SHARES
