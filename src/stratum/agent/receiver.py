"""The receiver of WAL: keeps it coming, begins anew where it has to, and writes down each second how it stands."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from stratum.adapters.wal_receiver import WalReceiver
from stratum.agent.base_asking import BaseAsking
from stratum.core.errors import StratumError
from stratum.core.identity import Seen
from stratum.core.job import Job
from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.core.receiving_rules import (
    SLOT,
    Received,
    ReceivingView,
    backoff_seconds,
    find_cover,
    plan_keep_mb,
    refuses_start,
    why_begin_anew,
)
from stratum.core.wal import Incarnation, parse_segment_name
from stratum.ports import Ports

_log = logging.getLogger("stratum.agent")
_STARTING_SECONDS = 3.0
_COVER_SECONDS, _UNCOVERED_SECONDS = 15.0, 1.0
_BEATS_KEPT, _BEATS_LOOKED_AT = 3600, 3
_ON_ITS_WAY_SECONDS = 0.05

OTHER_CLUSTER = "the server is not the cluster the archive has a record of"
OLDER_COPY = "the server is behind what was received of it: it runs on an older copy of the data directory"
NOT_CONNECTED = "the receiver is not connected yet"


class Receiver:
    """Receives one stack's WAL. `work` and `file_closed` are each called by a thread of its own, `beat` by any.

    Takes no lock of the stack. What is on the server's side goes through `server`; what is received is the archive's
    from its first byte. `complete` adds to each state what others know of it, before it is written down.
    """

    def __init__(
        self,
        *,
        ports: Ports,
        server: WalReceiver,
        asking: BaseAsking,
        complete: Callable[[ReceiverState], ReceiverState] = lambda state: state,
    ) -> None:
        self._ports = ports
        self._server = server
        self._asking = asking
        self._complete = complete
        self._filing = threading.Lock()
        self._paused = threading.Event()
        self._beats: deque[tuple[int, datetime]] = deque(maxlen=_BEATS_KEPT)
        self._incarnation: Incarnation | None = None
        self._begun_here = False
        self._rested = False
        self._start_refused = False
        self._failures = 0
        self._not_before, self._cover_at = 0.0, 0.0
        self._filing_problem = ""
        now = ports.clock.now()
        known = ports.wal.receiver()
        fresh = ReceiverState(at=now, mode=self._mode, phase=ReceiverPhase.STARTING)
        before = known if known is not None and known.phase is not ReceiverPhase.OFF else fresh
        self.state: ReceiverState = replace(
            before, at=now, mode=self._mode, phase=ReceiverPhase.STARTING, problem="", away_since=now
        )
        """How it stands, as it was written down last."""
        self.stored_bytes = 0
        """Of all WAL of this cluster in the archive, as last looked at."""

    @property
    def _mode(self) -> ProtectMode:
        return self._ports.stack.protect.mode

    def beat(self, seen: Seen) -> None:
        """Take note of an acknowledged write of the canary: what was written by then is safe once it was received."""
        self._beats.append((seen.flushed_lsn, seen.beat_at))

    def job_ended(self, job: Job) -> None:
        """Look again whether a base backup stands, where it was one that ended."""
        if self._asking.job_ended(job):
            self._cover_at = 0.0

    def announce(self) -> None:
        """Write down that an agent lives again, before anybody takes what the one before wrote for silence."""
        if self._mode is not ProtectMode.DUMPS:
            self._record()

    def work(self) -> None:
        """One round: look, receive or say why not, and write down how it stands."""
        if self._mode is ProtectMode.DUMPS:
            self._rest()
            return
        try:
            self._receive(self._server.look())
        except StratumError as error:
            self._away(error.message)
            raise
        finally:
            self._record()

    def file_closed(self) -> None:
        """File what was received whole. Raises `wal-damaged`, and `archive-…` where it has no room."""
        identifier = self.state.system_identifier
        if self._mode is ProtectMode.DUMPS or identifier is None:
            return
        try:
            with self._filing:
                stored = self._ports.wal.store_closed(identifier, now=self._ports.clock.now())
        except StratumError as error:
            self._filing_problem = error.message
            raise
        self._filing_problem = ""
        if stored:
            self._cover_at = min(self._cover_at, self._ports.clock.monotonic() + _UNCOVERED_SECONDS)

    def stop(self) -> None:
        """End receiving; the slot stays, and the server keeps WAL for the next start."""
        self._server.flush()
        self._server.close()

    def _rest(self) -> None:
        """Nothing is asked for: a slot of ours would keep WAL for ever, so it goes."""
        if self._rested:
            return
        if self._server.look().slot_exists:
            self._server.drop_slot()
        self._server.close()
        self._rested = True
        if self._ports.wal.receiver() is not None:
            now = self._ports.clock.now()
            self.state = ReceiverState(at=now, mode=self._mode, phase=ReceiverPhase.OFF)
            self._ports.wal.record_receiver(self.state)

    def _receive(self, view: ReceivingView) -> None:
        problem = self._stranger(view)
        if problem is not None:
            self._server.end()
            self._away(problem)
            return
        self._take_up(view.system_identifier)
        because = why_begin_anew(view, self._received())
        if because is not None:
            self._begin(view, because)
            view = self._server.look()
        self._keep_running(view)
        self._measure(view)
        self._look_for_cover()

    def _stranger(self, view: ReceivingView) -> str | None:
        """Why this server's WAL is not to be received; None where it is the recorded cluster, and no older copy."""
        recorded, state = self._ports.archive.recorded_identity(), self.state
        if recorded is None or recorded.system_identifier != view.system_identifier:
            return OTHER_CLUSTER
        same = state.system_identifier == view.system_identifier and state.timeline == view.timeline
        behind = same and state.received_lsn is not None and view.flushed_lsn < state.received_lsn
        return OLDER_COPY if behind or view.timeline < recorded.timeline else None

    def _take_up(self, identifier: str) -> None:
        """Go on with the incarnation that is open in the archive, once for each cluster."""
        if self._incarnation is not None and self.state.system_identifier == identifier:
            return
        known = self._ports.wal.inventory(identifier).incarnations
        self._incarnation = known[-1] if known and known[-1].ended_at is None else None
        name = self._incarnation.name if self._incarnation else None
        if self.state.system_identifier != identifier or self.state.incarnation != name:
            self._beats.clear()
            self.state = replace(
                self.state,
                system_identifier=identifier,
                timeline=self._incarnation.timeline if self._incarnation else None,
                incarnation=name,
                received_lsn=None,
                safe_at=None,
            )

    def _received(self) -> Received:
        directory = self._directory()
        return Received(
            incarnation=self._incarnation if directory is None or directory.is_dir() else None,
            has_files=directory is not None and directory.is_dir() and _holds_wal(directory),
            start_refused=self._start_refused,
            fresh=self._begun_here,
        )

    def _begin(self, view: ReceivingView, because: str) -> None:
        """A new incarnation: the history first, then the slot, then its directory; a base backup is asked for."""
        _log.warning("receiver: begins anew: %s", because)
        self._server.end()
        self._keep_histories(view)
        self._limit(view)
        self._server.create_slot()
        with self._filing:
            begun = self._ports.wal.begin_incarnation(view.system_identifier, timeline=view.timeline, at=view.at)
        self._incarnation, self._begun_here, self._start_refused = begun, True, False
        self._beats.clear()
        self._failures, self._not_before, self._cover_at = 0, 0.0, 0.0
        self._asking.hurry()
        self.state = replace(
            self.state,
            timeline=begun.timeline,
            incarnation=begun.name,
            slot=SLOT,
            received_lsn=None,
            unprotected_since=self.state.unprotected_since or self._ports.clock.now(),
            unprotected_because=because,
        )

    def _keep_histories(self, view: ReceivingView) -> None:
        """Of this timeline, or nothing is begun; of those before it as far as the server still has them."""
        for timeline in range(2, view.timeline + 1):
            try:
                text = self._server.history(timeline)
            except StratumError:
                if timeline == view.timeline:
                    raise
                continue
            self._ports.wal.store_history(view.system_identifier, timeline, text)

    def _limit(self, view: ReceivingView) -> None:
        """Bound what the server keeps for us. Where we may not, a bound of the server's own will do."""
        free = None if self._ports.stack.external else self._ports.runtime.free_bytes()
        wanted = plan_keep_mb(wanted_mb=self._ports.stack.protect.slot_keep_mb, free_bytes=free)
        if view.keep_mb != -1 and wanted * 4 // 5 <= view.keep_mb <= wanted:
            return
        try:
            self._server.limit(wanted)
        except StratumError:
            if view.keep_mb == -1:
                raise

    def _keep_running(self, view: ReceivingView) -> None:
        now = self._ports.clock.monotonic()
        if self._server.is_running:
            if view.written_lsn is not None:
                self._failures = 0
            return
        said = self._server.end()
        if said:
            self._failures += 1
            self._start_refused = refuses_start(said)
            self._not_before = now + backoff_seconds(self._failures)
            self._away(said)
        directory = self._directory()
        if now >= self._not_before and directory is not None and not self._start_refused:
            self._limit(view)
            self._server.start(directory)
            self._not_before = now + backoff_seconds(self._failures + 1)

    def _measure(self, view: ReceivingView) -> None:
        """How far the archive's disk has it: first what was written, then the flush that makes it true."""
        state = self.state
        written = max(view.written_lsn or 0, self._arrived(view))
        if self._server.is_running:
            self._server.flush()
        received = max(written, state.received_lsn or 0) or None
        self.state = replace(
            state,
            slot=SLOT if view.slot_exists or self._begun_here else None,
            received_lsn=received,
            behind_bytes=max(0, view.flushed_lsn - received) if received is not None else None,
            safe_at=self._safe_at(received),
        )
        if self._server.is_running and view.written_lsn is not None:
            self.state = replace(self.state, phase=ReceiverPhase.RECEIVING, away_since=None, problem="")
        else:
            self._away(state.problem or NOT_CONNECTED)

    def _arrived(self, view: ReceivingView) -> int:
        """How far the newest beats say that WAL has come; the very newest may take some milliseconds."""
        beats = list(self._beats)[-_BEATS_LOOKED_AT:] if view.written_lsn is not None else []
        if beats and not self._server.holds(beats[-1][0], timeline=view.timeline):
            self._paused.wait(_ON_ITS_WAY_SECONDS)
        return max((lsn for lsn, _ in beats if self._server.holds(lsn, timeline=view.timeline)), default=0)

    def _safe_at(self, received: int | None) -> datetime | None:
        newest = self.state.safe_at
        while received is not None and self._beats and self._beats[0][0] <= received:
            newest = self._beats.popleft()[1]
        return newest

    def _look_for_cover(self) -> None:
        """Whether a base backup and all WAL since reach now; one is asked for where none does."""
        now, state = self._ports.clock.monotonic(), self.state
        if self._incarnation is None or state.received_lsn is None or now < self._cover_at:
            return
        identifier = state.system_identifier or ""
        inventory = self._ports.wal.inventory(identifier)
        self.stored_bytes = sum(segment.bytes for segment in inventory.segments)
        cover = find_cover(
            self._ports.wal.bases(),
            inventory,
            incarnation=self._incarnation,
            received_lsn=state.received_lsn,
        )
        self._cover_at = now + (_COVER_SECONDS if cover.base_id else _UNCOVERED_SECONDS)
        if cover.base_id is not None:
            self.state = replace(state, unprotected_since=None, unprotected_because="")
            return
        since = state.unprotected_since
        because = (state.unprotected_because if since else "") or cover.because
        self.state = replace(state, unprotected_since=since or self._ports.clock.now(), unprotected_because=because)
        if state.phase is ReceiverPhase.RECEIVING:
            self._asking.ask(now)

    def _away(self, problem: str) -> None:
        """Nothing is received now; the first seconds of it are a start."""
        now = self._ports.clock.now()
        since = self.state.away_since or now
        starting = (now - since).total_seconds() < _STARTING_SECONDS
        phase = ReceiverPhase.STARTING if starting else ReceiverPhase.AWAY
        self.state = replace(self.state, phase=phase, away_since=since, problem=problem)

    def _record(self) -> None:
        problem = self.state.problem or self._filing_problem
        self.state = self._complete(replace(self.state, at=self._ports.clock.now(), mode=self._mode, problem=problem))
        self._ports.wal.record_receiver(self.state)

    def _directory(self) -> Path | None:
        identifier = self.state.system_identifier
        if self._incarnation is None or identifier is None:
            return None
        return self._ports.wal.receiving_path(identifier, self._incarnation.name)


def _holds_wal(directory: Path) -> bool:
    return any(parse_segment_name(file.name.removesuffix(".partial")) is not None for file in directory.iterdir())
