"""The canary: a commit every second, so that what would be lost is measured and an old copy is recognised."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from stratum.adapters.canary_row import CanaryRow
from stratum.core.errors import StratumError
from stratum.core.identity import Seen
from stratum.ports import Archive, Clock

SEEN_EVERY_SECONDS = 10.0
_LONGEST_WAIT_SECONDS = 15.0


class Canary:
    """Beats, remembers the last acknowledged beat, and notes in the archive how far the cluster came.

    Takes no lock of the stack. `heard` is told of each acknowledged beat. Away from the server it tries again after
    1, 2, 4 … 15 seconds.
    """

    def __init__(
        self, row: CanaryRow, archive: Archive, clock: Clock, *, heard: Callable[[Seen], None] = lambda _: None
    ) -> None:
        self._row = row
        self._archive = archive
        self._clock = clock
        self._heard = heard
        self._noted_at: float | None = None
        self._failures = 0
        self._not_before = 0.0
        self.at: datetime | None = None
        """When the last acknowledged beat was committed, by the server's clock."""

    def beat(self) -> None:
        """One beat, unless it is too early to try again. Raises what keeps it from beating."""
        if self._clock.monotonic() < self._not_before:
            return
        try:
            seen = self._row.beat()
        except StratumError:
            self._failures += 1
            wait = min(2.0 ** (self._failures - 1), _LONGEST_WAIT_SECONDS)
            self._not_before = self._clock.monotonic() + wait
            raise
        self._failures = 0
        self.at = seen.beat_at
        self._heard(seen)
        self._note(seen)

    def close(self) -> None:
        self._row.close()

    def _note(self, seen: Seen) -> None:
        now = self._clock.monotonic()
        if self._noted_at is not None and now - self._noted_at < SEEN_EVERY_SECONDS:
            return
        self._noted_at = now
        if is_progress(self._archive.seen(), seen, recorded=self._recorded()):
            self._archive.record_seen(seen)

    def _recorded(self) -> str | None:
        identity = self._archive.recorded_identity()
        return identity.system_identifier if identity else None


def is_progress(before: Seen | None, now: Seen, *, recorded: str | None) -> bool:
    """Whether to note it: of the recorded cluster only, and never a step back on the same timeline."""
    if now.system_identifier != recorded:
        return False
    if before is None or before.system_identifier != now.system_identifier or before.timeline != now.timeline:
        return True
    return now.flushed_lsn > before.flushed_lsn
