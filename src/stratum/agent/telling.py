"""What the engine does inside a job's process, told to the agent as it happens, and its questions passed on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import BinaryIO

from stratum.adapters.messages import speak_error
from stratum.adapters.records import parse, to_json
from stratum.agent.reports import Consented, Report, ReportKind
from stratum.core.errors import StratumError
from stratum.core.job import JobProgress
from stratum.core.plan import JournalEntry, JournalKind, Plan
from stratum.ports import Clock, Journal, Lock

WAIT_AT_MOST = timedelta(hours=1)
"""How long a job waits for another plan to let go of the stack's lock, before it fails with `locked`."""
_TRY_EVERY_SECONDS = 0.5
_TELL_EVERY_SECONDS = 0.25
_STEPS = {
    JournalKind.STEP_STARTED: ReportKind.STEP_STARTED,
    JournalKind.STEP_DONE: ReportKind.STEP_DONE,
    JournalKind.STEP_UNDONE: ReportKind.STEP_UNDONE,
}
Tell = Callable[[Report], None]


class Teller:
    """Writes reports, one a line; steps may run in several threads, lines never mix."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def __call__(self, report: Report) -> None:
        with self._lock:
            self._out.write(to_json(report).encode() + b"\n")
            self._out.flush()


class TellingProgress:
    """Tells how far the work came, four times a second at most."""

    def __init__(self, tell: Tell, clock: Clock) -> None:
        self._tell = tell
        self._clock = clock

    @contextmanager
    def task(self, what: str, *, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        began = self._clock.monotonic()
        told = began - _TELL_EVERY_SECONDS

        def moved(done: int) -> None:
            nonlocal told
            now = self._clock.monotonic()
            if now - told >= _TELL_EVERY_SECONDS:
                told = now
                progress = JobProgress(what=what, done=done, total=total, unit=unit, seconds=round(now - began, 3))
                self._tell(Report(kind=ReportKind.PROGRESS, progress=progress))

        moved(0)
        yield moved
        self._tell(Report(kind=ReportKind.PROGRESS))

    def say(self, line: str) -> None:
        self._tell(Report(kind=ReportKind.SAID, line=line))


class AskingConsent:
    """Passes the question on and waits for the answer; whoever cannot be asked any more said no."""

    def __init__(self, tell: Tell, answers: BinaryIO) -> None:
        self._tell = tell
        self._answers = answers

    def __call__(self, plan: Plan, question: str, lines: Sequence[str]) -> bool:
        self._tell(
            Report(kind=ReportKind.ASKS, line=question, lines=tuple(lines), confirmations=max(1, plan.confirmations))
        )
        answer = self._answers.readline()
        return bool(answer) and parse(Consented, answer, file="the agent's answer").agreed


class TellingJournal:
    """The stack's journal; the steps of the plan that the job is about are told after they were written."""

    def __init__(self, journal: Journal, tell: Tell, *, verb: str | None) -> None:
        self._journal = journal
        self._tell = tell
        self._verb = verb
        self._plan_id: str | None = None

    def append(self, entry: JournalEntry) -> None:
        self._journal.append(entry)
        if entry.kind is JournalKind.PLAN_STARTED and entry.verb == self._verb and self._plan_id is None:
            self._plan_id = entry.plan_id
            self._tell(Report(kind=ReportKind.PLAN, plan=entry.plan))
        elif entry.plan_id == self._plan_id and entry.kind in _STEPS:
            self._tell(Report(kind=_STEPS[entry.kind], step=entry.step, facts=entry.facts))

    def entries(self) -> tuple[JournalEntry, ...]:
        return self._journal.entries()


class PatientLock:
    """The stack's lock for somebody who can wait until another plan has ended."""

    def __init__(self, lock: Lock, tell: Tell, clock: Clock, *, wait_at_most: timedelta = WAIT_AT_MOST) -> None:
        self._lock = lock
        self._tell = tell
        self._clock = clock
        self._wait_at_most = wait_at_most
        self._pause = threading.Event()

    @property
    def token(self) -> str:
        return self._lock.token

    @contextmanager
    def hold(self, *, why: str) -> Iterator[None]:
        """Hold the lock while the block runs. Raises `locked` when it was held by others for too long."""
        give_up_at = self._clock.monotonic() + self._wait_at_most.total_seconds()
        with ExitStack() as held:
            while not self._take(held, why, give_up_at):
                self._pause.wait(_TRY_EVERY_SECONDS)
            self._tell(Report(kind=ReportKind.BEGAN))
            yield

    def held_since(self) -> datetime | None:
        return self._lock.held_since()

    def _take(self, held: ExitStack, why: str, give_up_at: float) -> bool:
        try:
            held.enter_context(self._lock.hold(why=why))
        except StratumError as error:
            if error.code != "locked" or self._clock.monotonic() >= give_up_at:
                raise
            self._tell(Report(kind=ReportKind.WAITING, line=speak_error(error).message))
            return False
        return True
