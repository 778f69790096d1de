"""The watch: schedule, canary, alarms, the status page and metrics of one stack, each in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stratum.adapters.messages import speak_alarm
from stratum.agent.alarms import AlarmKeeper
from stratum.agent.base_asking import BaseAsking
from stratum.agent.canary import Canary
from stratum.agent.elsewhere import LOOK_SECONDS, WAL_SECONDS, WHOLE_SECONDS, Elsewhere
from stratum.agent.metrics import Measured, WatchMetrics
from stratum.agent.receiver import Receiver
from stratum.agent.rounds import Rounds, log_error
from stratum.agent.schedule import Scheduler
from stratum.agent.status_page import StatusFile, StatusPage
from stratum.agent.watch_files import WatchFiles
from stratum.agent.zero_loss import ZeroLoss
from stratum.config import find_stack, load_settings
from stratum.core.alarm import SpokenAlarm
from stratum.core.errors import StratumError
from stratum.core.identity import Seen
from stratum.core.job import Job, JobRequest, JobVerb
from stratum.core.proof import Method, Verdict
from stratum.engine.report_status import Status, report_status
from stratum.ports import Ports
from stratum.wiring import open_canary, open_notifier, open_receiver, open_watched

LOOK_EVERY_SECONDS = 120.0
_SETTLING_SECONDS = 15.0
"""After a start what the agent before wrote down is old, and no sign of anything yet."""
_RECEIVE_SECONDS, _SCHEDULE_SECONDS, _TELL_SECONDS, _PAGE_SECONDS = 1.0, 5.0, 5.0, 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchState:
    """What the watch adds to the status; alarms are in the asking thread's language."""

    canary_at: datetime | None
    next_backup_at: datetime | None
    next_drill_at: datetime | None
    alarms: tuple[SpokenAlarm, ...]


class Watch:
    """Watches over one stack, without ever taking its lock or changing its data.

    `submit` is called from a thread of the watch for what is due; whatever it raises is logged, and that time counts
    as asked for.
    """

    def __init__(self, *, directory: Path, submit: Callable[[JobRequest], Job]) -> None:
        root = find_stack(directory.absolute())
        archive = load_settings(root).archive_path
        files = WatchFiles(archive)
        self._ports: Ports = open_watched(root)
        self._zero_loss = ZeroLoss(
            ports=self._ports,
            commits=open_watched(root).replication.commits,
            state=lambda: self._receiver.state,
        )
        self._receiver = Receiver(
            ports=self._ports,
            server=open_receiver(root),
            asking=BaseAsking(submit),
            complete=self._zero_loss.complete,
        )
        self._canary = Canary(open_canary(root), self._ports.archive, self._ports.clock, heard=self._heard)
        self._scheduler = Scheduler(ports=self._ports, files=files, submit=submit)
        self._alarms = AlarmKeeper(ports=self._ports, files=files, notifier=open_notifier(root))
        self._page = StatusPage(archive)
        self._metrics = WatchMetrics()
        self._status: Status | None = None
        self._ended: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._look_at = 0.0
        self._settled_at = self._ports.clock.monotonic() + _SETTLING_SECONDS
        self._started = threading.Event()
        self._elsewhere = Elsewhere(root, archive, self._ports, again=self._copy_again)
        self._rounds = (
            Rounds("canary", self._canary.beat, every_seconds=self._ports.stack.protect.canary_seconds),
            Rounds("schedule", self._scheduler.ask_for_due, every_seconds=_SCHEDULE_SECONDS),
            Rounds("alarms", self._keep_alarms, every_seconds=_TELL_SECONDS),
            Rounds("status-page", self._write_page, every_seconds=_PAGE_SECONDS),
        )
        self._slow = (
            Rounds("copies", self._elsewhere.copy, every_seconds=WHOLE_SECONDS),
            Rounds("copies-wal", self._elsewhere.copy_wal, every_seconds=WAL_SECONDS),
            Rounds("archive-reread", self._elsewhere.reread, every_seconds=LOOK_SECONDS),
        )
        self._receiving = (
            Rounds("receiver", self._receiver.work, every_seconds=_RECEIVE_SECONDS),
            Rounds("wal-filing", self._receiver.file_closed, every_seconds=_RECEIVE_SECONDS, yielding=True),
            Rounds("zero-loss", self._zero_loss.work, every_seconds=_RECEIVE_SECONDS),
        )

    def start(self) -> None:
        """Begin; returns at once."""
        self._started.set()
        try:
            self._receiver.announce()
        except StratumError as error:
            log_error(error, where="receiver")
        for rounds in (*self._rounds, *self._receiving, *self._slow):
            rounds.start()

    def stop(self) -> None:
        """End every thread; what is in hand is brought to its end, which takes some seconds at most."""
        if self._started.is_set():
            for rounds in (*self._rounds, *self._receiving, *self._slow):
                rounds.stop()
        self._canary.close()
        self._receiver.stop()
        self._zero_loss.stop()

    def _heard(self, seen: Seen) -> None:
        """A beat is worth a look at once: what would be lost is as old as the newest one that is known to be safe."""
        self._receiver.beat(seen)
        self._receiving[0].hurry()

    def _copy_again(self) -> None:
        self._slow[0].hurry()

    def state(self) -> WatchState:
        """How the watch stands now; asks neither the server nor the network."""
        return WatchState(
            canary_at=self._canary.at,
            next_backup_at=self._scheduler.next_at(JobVerb.BACKUP),
            next_drill_at=self._scheduler.next_at(JobVerb.DRILL),
            alarms=tuple(speak_alarm(alarm) for alarm in self._alarms.book.red),
        )

    def job_ended(self, job: Job) -> None:
        """Take note of a job's end: alarms, retention after a scheduled backup, the heartbeat. Returns at once."""
        self._metrics.job_ended(job)
        self._receiver.job_ended(job)
        self._ended.put(job)
        for rounds in (*self._rounds[2:], self._slow[0]):
            rounds.hurry()

    def metrics_text(self) -> bytes:
        """The numbers as Prometheus reads them; asks neither the server nor the network."""
        look = self._alarms.look
        manifests = self._ports.archive.manifests()
        proofs = self._ports.archive.proofs()
        proven = [proof for proof in proofs if proof.verdict is Verdict.PROVEN]
        last = {"backup": max((manifest.taken_at for manifest in manifests), default=None)}
        for verb, method in (("drill", Method.DRILL), ("verify", Method.VERIFY)):
            last[verb] = max((proof.finished_at for proof in proven if proof.method is method), default=None)
        return self._metrics.render(
            Measured(
                now=self._ports.clock.now(),
                status=self._status or report_status(self._ports),
                backup_bytes=sum(manifest.bytes for manifest in manifests),
                last_success={verb: at for verb, at in last.items() if at is not None},
                canary_at=self._canary.at,
                book=self._alarms.book,
                lines=look.lines if look else (),
                looked_at=look.at if look else None,
                receiver=self._receiver.state,
                wal_bytes=self._receiver.stored_bytes,
                bases=len(self._ports.wal.bases()),
            )
        )

    def _keep_alarms(self) -> None:
        """What jobs ended with, the checklist when it is time or a job ended, then what is to be told."""
        ended = self._take_ended()
        for job in ended:
            self._alarms.job_ended(job)
        now = self._ports.clock.monotonic()
        if ended or now >= self._look_at:
            self._look_at = now + LOOK_EVERY_SECONDS
            self._alarms.observe(next_backup_at=self._scheduler.next_at(JobVerb.BACKUP))
            self._rounds[-1].hurry()
        elif now >= self._settled_at:
            self._alarms.observe_receiving()
        self._alarms.tell()
        for job in ended:
            self._scheduler.after(job)
        self._alarms.save()

    def _take_ended(self) -> tuple[Job, ...]:
        taken: list[Job] = []
        with suppress(queue.Empty):
            while True:
                taken.append(self._ended.get_nowait())
        return tuple(taken)

    def _write_page(self) -> None:
        self._status = report_status(self._ports)
        state, look = self.state(), self._alarms.look
        self._page.write(
            StatusFile(
                written_at=self._ports.clock.now(),
                status=self._status,
                canary_at=state.canary_at,
                next_backup_at=state.next_backup_at,
                next_drill_at=state.next_drill_at,
                looked_at=look.at if look else None,
                alarms=state.alarms,
            )
        )
