"""Alarms: looks for what is red, remembers it in the archive, and sees that people hear of it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from stratum.adapters.messages import say, speak_alarm
from stratum.agent.watch_files import WatchFiles
from stratum.core import alarm as words
from stratum.core.alarm import AlarmBook, Condition, Notice, NoticeKind, note_conditions, plan_notices, record_notice
from stratum.core.answers import Delivery
from stratum.core.checklist import Line, LineState
from stratum.core.errors import KINDS, StratumError
from stratum.core.forecast import DiskSample, plan_full_at
from stratum.core.job import SUCCEEDED, Job, JobState, JobVerb
from stratum.core.proof import Verdict
from stratum.engine.check import look_again, run_check
from stratum.ports import Notifier, Ports

_log = logging.getLogger("stratum.agent")
_FILE = "alarms"
_WATCHED = frozenset({JobVerb.BACKUP, JobVerb.VERIFY, JobVerb.DRILL})
_TAKEN_BACK = frozenset({JobState.DECLINED, JobState.TAKEN_BACK_AFTER_RESTART})
_DISKS = ("data", "archive")
_SAMPLES = 120
_URGENT = ("wal-received", "wal-continuous", "slot-lag", "zero-loss-degraded")
TITLES = {
    NoticeKind.RAISED: "{stack}: alarm: {name}",
    NoticeKind.REPEATED: "{stack}: still red: {name}",
    NoticeKind.RECOVERED: "{stack}: recovered: {name}",
}
RECOVERED = "it was red since {since}: {statement}"
SAID = "{statement}\ndata: {data}\nnext: {next}\nred since {since}"
SENTENCES = (*TITLES.values(), RECOVERED, SAID)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What one look at the checklist found."""

    at: datetime
    lines: tuple[Line, ...]


@dataclass(kw_only=True, slots=True)
class _Samples:
    """Free space of each disk, the newest last."""

    of: dict[str, deque[DiskSample]] = field(
        default_factory=lambda: {place: deque(maxlen=_SAMPLES) for place in _DISKS}
    )


class AlarmKeeper:
    """The alarms of one stack. All its methods are called by one thread; `book` and `look` may be read by any."""

    def __init__(self, *, ports: Ports, files: WatchFiles, notifier: Notifier) -> None:
        self._ports = ports
        self._files = files
        self._notifier = notifier
        self._samples = _Samples()
        self._unwritten = False
        self.look: Look | None = None
        self.book = files.read(_FILE, AlarmBook())
        self.deliveries: tuple[Delivery, ...] = ()
        """What came of the newest attempt to tell somebody."""

    def observe(self, *, next_backup_at: datetime | None) -> None:
        """Look at the whole checklist and at the disks, and take down what is red."""
        now = self._ports.clock.now()
        self.look = Look(at=now, lines=run_check(self._ports))
        lines = [line for line in self.look.lines if line.state is not LineState.UNKNOWN]
        red = [_red_line(line) for line in lines if line.state is LineState.RED]
        looked_at = {line.name for line in lines}
        if "archive" not in {condition.name for condition in red}:  # without it, nobody can say how large a backup is
            red += self._disks(next_backup_at)
            looked_at |= {f"disk-forecast-{place}" for place in _DISKS}
        self._note(tuple(red), frozenset(looked_at))

    def observe_receiving(self) -> None:
        """Look at what every second rests on: cheap, and too urgent to wait for the rest of the checklist."""
        lines = [line for line in look_again(_URGENT, self._ports) if line.state is not LineState.UNKNOWN]
        red = tuple(_red_line(line) for line in lines if line.state is LineState.RED)
        self._note(red, frozenset(line.name for line in lines))

    def job_ended(self, job: Job) -> None:
        """A failed backup, verification or drill is red until one of its kind succeeds. Pings after a backup.

        One that was taken back is neither: it leaves the alarm as it is.
        """
        if job.request.verb not in _WATCHED or job.state in _TAKEN_BACK:
            return
        condition = _red_job(job)
        name = _job_alarm(job.request.verb)
        self._note((condition,) if condition else (), frozenset() if condition else frozenset({name}))
        if job.request.verb is JobVerb.BACKUP and job.state in SUCCEEDED:
            self._ping()

    def tell(self) -> None:
        """Tell people what they have not heard yet. Without an address nothing is tried, and nothing forgotten."""
        now = self._ports.clock.now()
        for notice in plan_notices(self.book, now=now) if self._ports.stack.notify.urls else ():
            title, body = render_notice(notice, stack=self._ports.stack.name)
            self.deliveries = self._notifier.tell(title, body)
            for failed in (delivery for delivery in self.deliveries if not delivery.delivered):
                _log.error("alarms: address %s was not told: %s", failed.address, failed.problem)
            delivered = any(delivery.delivered for delivery in self.deliveries)
            self._keep(record_notice(self.book, notice, delivered=delivered, now=now))

    def _ping(self) -> None:
        problem = self._notifier.ping()
        condition = Condition(
            name="heartbeat",
            message=words.HEARTBEAT,
            data=words.HEARTBEAT_DATA,
            next=words.HEARTBEAT_NEXT,
            details={"problem": problem or ""},
        )
        self._note((condition,) if problem else (), frozenset({"heartbeat"}))

    def _disks(self, next_backup_at: datetime | None) -> Iterator[Condition]:
        """Disks that will be full before the next scheduled backup, at the rate of the last hours."""
        now = self._ports.clock.now()
        manifests = self._ports.archive.manifests()
        needed = {"data": 0, "archive": manifests[-1].bytes if manifests else 0}
        free = {"data": self._ports.runtime.free_bytes(), "archive": self._ports.archive.free_bytes()}
        for place, samples in self._samples.of.items():
            samples.append(DiskSample(at=now, free_bytes=free[place]))
            full_at = plan_full_at(samples, needed_bytes=needed[place])
            if full_at is not None and next_backup_at is not None and full_at < next_backup_at + timedelta(minutes=5):
                yield _red_disk(place, full_at, next_backup_at)

    def _note(self, red: tuple[Condition, ...], looked_at: frozenset[str]) -> None:
        names = looked_at - {condition.name for condition in red}
        self._keep(note_conditions(self.book, red, looked_at=names, now=self._ports.clock.now()))

    def save(self) -> None:
        """Write down what could not be written before. Raises what keeps it from that, as an archive that is full."""
        if self._unwritten:
            self._files.write(_FILE, self.book)
            self._unwritten = False

    def _keep(self, book: AlarmBook) -> None:
        """An archive that is full or gone must not keep its own alarm from being told: it is written down later."""
        if book != self.book:
            self.book, self._unwritten = book, True
            with suppress(StratumError):
                self.save()


def render_notice(notice: Notice, *, stack: str) -> tuple[str, str]:
    """Title and text of one message, in the agent's language."""
    spoken = speak_alarm(notice.alarm)
    since = f"{spoken.since:%Y-%m-%d %H:%M} UTC"
    title = say(TITLES[notice.kind], {"stack": stack, "name": spoken.name})
    if notice.kind is NoticeKind.RECOVERED:
        return title, say(RECOVERED, {"since": since, "statement": spoken.statement})
    values = {"statement": spoken.statement, "data": spoken.data, "next": spoken.next, "since": since}
    return title, say(SAID, values)


def _red_line(line: Line) -> Condition:
    return Condition(name=line.name, message=line.template, data=words.CHECK_DATA, next=line.fix, details=line.details)


def _red_job(job: Job) -> Condition | None:
    name = _job_alarm(job.request.verb)
    if job.error is not None:
        kind = KINDS[job.error.code]
        return Condition(name=name, message=kind.message, data=kind.data, next=kind.next, details=job.error.details)
    if job.verdict is not None and job.verdict is not Verdict.PROVEN:
        details = {
            "verb": job.request.verb.value,
            "backup": str(job.facts.get("backup_id") or job.request.backup_id or "?"),
            "verdict": job.verdict.value,
        }
        return Condition(
            name=name,
            message=words.NOT_PROVEN,
            data=words.NOT_PROVEN_DATA,
            next=words.NOT_PROVEN_NEXT,
            details=details,
        )
    return None


def _red_disk(place: str, full_at: datetime, next_backup_at: datetime) -> Condition:
    times = {"when": full_at, "next_backup": next_backup_at}
    return Condition(
        name=f"disk-forecast-{place}",
        message=words.DISK_FORECAST,
        data=words.DISK_FORECAST_DATA,
        next=words.DISK_FORECAST_NEXT,
        details={"place": place, **{name: f"{at:%Y-%m-%d %H:%M} UTC" for name, at in times.items()}},
    )


def _job_alarm(verb: JobVerb) -> str:
    return f"{verb.value}-failed"
