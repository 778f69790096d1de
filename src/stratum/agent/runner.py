"""The queue: one job at a time, each in a process of its own, in the order they were asked for."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from stratum.adapters.conversation import Conversation
from stratum.adapters.messages import speak_error
from stratum.adapters.records import parse, to_json
from stratum.agent.job_book import JobBook
from stratum.agent.reports import Consented, Order, Report, ReportKind, end_job, note_report
from stratum.agent.rounds import log_error
from stratum.agent.settling import settle_job
from stratum.core.answers import SpokenError
from stratum.core.errors import StratumError
from stratum.core.job import ENDED, Job, JobRequest, JobState
from stratum.engine.run_plan import new_plan_id
from stratum.ports import Clock, Journal

MOST_WAITING = 50
STOP_SECONDS = 60.0
"""How long taking back a running job may hold up the agent's end."""
_LOOK_EVERY_SECONDS = 0.5
_ARGV = (sys.executable, "-P", "-m", "stratum.agent.job_process")


@dataclass(kw_only=True, slots=True)
class _OnHand:
    """What the thread is about now; `talk` is None between two jobs."""

    job_id: str | None = None
    talk: Conversation | None = None
    cancelled: bool = False
    served: bool = False
    """Whether the database served while the job's question stood."""


@dataclass(kw_only=True, slots=True)
class _Queue:
    waiting: deque[str] = field(default_factory=deque)
    changed: threading.Condition = field(default_factory=threading.Condition)
    stopping: bool = False


class Runner:
    """Takes requests from any thread; one thread, which lives as long as the runner, starts all job processes."""

    def __init__(
        self,
        *,
        directory: Path,
        book: JobBook,
        journal: Journal,
        clock: Clock,
        ended: Callable[[Job], None],
        serves: Callable[[], bool],
    ) -> None:
        self._directory = directory
        self._book = book
        self._journal = journal
        self._clock = clock
        self._ended = ended
        self._serves = serves
        self._queue = _Queue()
        self._on_hand = _OnHand()
        self._cut: tuple[Job, ...] = ()
        self._thread = threading.Thread(target=self._run, name="stratum-jobs", daemon=True)

    def start(self) -> None:
        """Settle the jobs that a stop had cut, then run those that wait."""
        left = self._book.open()
        self._cut = tuple(job for job in left if job.state is not JobState.QUEUED)
        self._queue.waiting.extend(job.id for job in left if job.state is JobState.QUEUED)
        self._thread.start()

    def stop(self) -> None:
        """Take back what runs; what waits stays in the records, and runs after the next start."""
        with self._queue.changed:
            self._queue.stopping = True
            self._queue.changed.notify_all()
            if self._on_hand.talk is not None:
                self._on_hand.talk.interrupt()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    @property
    def running(self) -> str | None:
        """The job that is on hand, unless it still waits for the lock."""
        job_id = self._on_hand.job_id
        if job_id is None:
            return None
        return job_id if self._book.job(job_id).state in {JobState.RUNNING, JobState.ASKING} else None

    def submit(self, request: JobRequest) -> Job:
        """Put a job at the end of the queue. Raises `too-many-jobs`, `agent-stopping` and the archive's errors."""
        now = self._clock.now()
        job = Job(id=new_plan_id(now), request=request, state=JobState.QUEUED, queued_at=now)
        with self._queue.changed:
            if self._queue.stopping:
                raise StratumError("agent-stopping")
            if len(self._queue.waiting) >= MOST_WAITING:
                raise StratumError("too-many-jobs", waiting=len(self._queue.waiting))
            self._book.add(job)
            self._queue.waiting.append(job.id)
            self._queue.changed.notify_all()
        return job

    def answer(self, job_id: str, *, agreed: bool) -> Job:
        """Answer a job's question. Raises `job-not-asking`."""
        with self._queue.changed:
            job = self._book.job(job_id)
            if job.state is not JobState.ASKING or self._on_hand.job_id != job_id or self._on_hand.talk is None:
                raise StratumError("job-not-asking", job=job_id, state=job.state.value)
            self._on_hand.talk.say(to_json(Consented(agreed=agreed)))
            return self._book.change(job_id, _answered)

    def cancel(self, job_id: str) -> Job:
        """Take a job back, or out of the queue. Raises `job-over`."""
        with self._queue.changed:
            job = self._book.job(job_id)
            if job.state in ENDED:
                raise StratumError("job-over", job=job_id, state=job.state.value)
            if job_id in self._queue.waiting:
                self._queue.waiting.remove(job_id)
                error = speak_error(StratumError("declined", verb=job.request.verb.value))
                report = Report(kind=ReportKind.ENDED, error=error)
                return self._book.change(job_id, lambda job: end_job(job, report, now=self._clock.now()))
            if self._on_hand.job_id == job_id and self._on_hand.talk is not None:
                self._on_hand.cancelled = True
                self._on_hand.talk.interrupt()
            return job

    def _run(self) -> None:
        if self._cut:
            self._settle(self._cut)
            for job in self._cut:
                self._after(job.id)
        while (job_id := self._next()) is not None:
            try:
                self._carry_out(job_id)
            except Exception as fault:  # noqa: BLE001 - one job that goes wrong must not end the queue
                error = fault if isinstance(fault, StratumError) else _unexpected(fault)
                log_error(error, where=f"job {job_id}")
                self._end(job_id, Report(kind=ReportKind.ENDED, error=speak_error(error)))
            self._after(job_id)

    def _next(self) -> str | None:
        """The next job; None when the agent is to stop."""
        with self._queue.changed:
            while not self._queue.waiting and not self._queue.stopping:
                self._queue.changed.wait()
            if self._queue.stopping:
                return None
            self._on_hand = _OnHand(job_id=self._queue.waiting.popleft())
            return self._on_hand.job_id

    def _carry_out(self, job_id: str) -> None:
        self._converse(self._book.job(job_id).request, lambda report: self._note(job_id, report), job_id=job_id)
        job = self._book.job(job_id)
        if job.state not in ENDED:  # its process was killed
            self._settle((job,))

    def _converse(
        self, request: JobRequest | None, note: Callable[[Report], None], *, job_id: str | None = None
    ) -> None:
        """Start a job's process and hear it out."""
        with Conversation(_ARGV) as talk:
            talk.say(to_json(Order(directory=str(self._directory), request=request)))
            with self._queue.changed:
                self._on_hand.talk = talk
                if self._queue.stopping or (self._on_hand.cancelled and job_id is not None):
                    talk.interrupt()
            try:
                while (lines := talk.read(wait_seconds=_LOOK_EVERY_SECONDS)) is not None:
                    for line in lines:
                        note(parse(Report, line, file="a job's process"))
                    if job_id is not None:
                        self._decline_in_time(job_id)
            finally:
                with self._queue.changed:
                    self._on_hand.talk = None

    def _note(self, job_id: str, report: Report) -> None:
        if report.kind is ReportKind.ASKS:
            self._on_hand.served = self._serves()
        if report.kind is ReportKind.ENDED:
            self._end(job_id, report)
        else:
            self._book.change(job_id, lambda job: note_report(job, report, now=self._clock.now()))

    def _end(self, job_id: str, report: Report) -> None:
        """What a person cancelled was not failed by anything."""
        taken_back = self._on_hand.cancelled and report.error is not None and report.error.code == "interrupted"
        state = JobState.DECLINED if taken_back else None
        self._book.change(
            job_id, lambda job: job if job.state in ENDED else end_job(job, report, now=self._clock.now(), state=state)
        )

    def _decline_in_time(self, job_id: str) -> None:
        """A question holds the stack's lock: without a database, nobody could sign in to answer, nor bring it up."""
        question = self._book.job(job_id).question
        if question is None:
            return
        serves = self._serves()
        if self._clock.now() >= question.answer_by or (self._on_hand.served and not serves):
            self.answer(job_id, agreed=False)
        self._on_hand.served |= serves

    def _settle(self, cut: tuple[Job, ...]) -> None:
        """Bring what was cut to an end, and the jobs with it. A stop leaves them for the next start."""
        begun, problem = self._clock.now(), self._finish_cut_plans()
        if problem is not None and self._queue.stopping:
            return
        try:
            entries = self._journal.entries()
        except StratumError as error:
            entries, problem = (), problem or speak_error(error)
        for job in cut:
            ended = settle_job(job, entries, since=begun, now=self._clock.now(), problem=problem)
            if self._on_hand.cancelled and ended.state is JobState.TAKEN_BACK_AFTER_RESTART:
                ended = replace(ended, state=JobState.DECLINED)
            self._book.change(job.id, partial(_become, ended))

    def _finish_cut_plans(self) -> SpokenError | None:
        """What kept it from being done; None when every plan has an end."""
        reports: list[Report] = []
        try:
            self._converse(None, reports.append)
        except StratumError as error:
            return speak_error(error)
        if reports and reports[-1].kind is ReportKind.ENDED:
            return reports[-1].error
        return speak_error(_unexpected(RuntimeError("the process that brings cut plans to an end was ended itself")))

    def _after(self, job_id: str) -> None:
        with self._queue.changed:
            self._on_hand = _OnHand()
        job = self._book.job(job_id)
        if job.state in ENDED:
            self._ended(job)


def _become(after: Job, before: Job) -> Job:
    del before
    return after


def _answered(job: Job) -> Job:
    return replace(job, state=JobState.RUNNING, question=None)


def _unexpected(fault: Exception) -> StratumError:
    return StratumError("unexpected", problem=f"{type(fault).__name__}: {fault}")
