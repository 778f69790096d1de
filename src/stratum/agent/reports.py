"""What a job's process tells the agent, line by line, and what each line makes of the job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from stratum.core.answers import SpokenError
from stratum.core.job import ENDED, Job, JobProgress, JobRequest, JobState, Question
from stratum.core.plan import Facts, Plan
from stratum.core.proof import Verdict

FORMAT = 1
ANSWER_WITHIN = timedelta(minutes=15)
"""A question holds the stack's lock: without an answer in this time the job is declined."""
SAID_KEPT = 200


class ReportKind(StrEnum):
    """What a line tells of."""

    WAITING = "waiting"
    """Another plan holds the stack's lock; `line` says who."""
    BEGAN = "began"
    """The lock is held."""
    PLAN = "plan"
    STEP_STARTED = "step-started"
    STEP_DONE = "step-done"
    STEP_UNDONE = "step-undone"
    PROGRESS = "progress"
    SAID = "said"
    ASKS = "asks"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One line of a job's process."""

    kind: ReportKind
    line: str = ""
    """What was said, or the question."""
    lines: tuple[str, ...] = ()
    """What is known by the time of a question."""
    confirmations: int = 1
    plan: Plan | None = None
    step: str | None = None
    facts: Facts = field(default_factory=dict)
    progress: JobProgress | None = None
    """None where a piece of work has ended."""
    verdict: Verdict | None = None
    error: SpokenError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """The first line that a job's process reads: what to do, and for which stack."""

    format: int = FORMAT
    directory: str
    request: JobRequest | None
    """None: bring what a crash had cut to an end, and nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Consented:
    """Each further line it reads: the answer to what it asked."""

    agreed: bool


def note_report(job: Job, report: Report, *, now: datetime) -> Job:
    """The job after a line. One that has ended does not change any more."""
    if job.state in ENDED:
        return job
    return _NOTES[report.kind](job, report, now)


def end_job(job: Job, report: Report, *, now: datetime, state: JobState | None = None) -> Job:
    """The job at its end; `state` where more is known than the report says."""
    return replace(
        job,
        state=state or _end_state(report.error),
        ended_at=now,
        step=None,
        steps_done=_every_step(job) if report.error is None else job.steps_done,
        progress=None,
        question=None,
        facts=job.facts | report.facts,
        verdict=report.verdict,
        error=report.error,
    )


def is_worth_recording(before: Job, after: Job) -> bool:
    """Whether a change outlives a restart: states and plans do, progress and lines alone do not."""
    return (before.state, before.plan, before.question) != (after.state, after.plan, after.question)


def _end_state(error: SpokenError | None) -> JobState:
    if error is None:
        return JobState.DONE
    return JobState.DECLINED if error.code == "declined" else JobState.FAILED


def _every_step(job: Job) -> tuple[str, ...]:
    return tuple(step.name for step in job.plan.steps) if job.plan else job.steps_done


def _line(job: Job, report: Report, now: datetime) -> Job:
    del now
    if not report.line or job.said[-1:] == (report.line,):
        return job
    return replace(job, said=(*job.said, report.line)[-SAID_KEPT:])


def _begun(job: Job, report: Report, now: datetime) -> Job:
    del report
    return replace(job, state=JobState.RUNNING, started_at=now, question=None)


def _planned(job: Job, report: Report, now: datetime) -> Job:
    del now
    return replace(job, plan=report.plan)


def _step_started(job: Job, report: Report, now: datetime) -> Job:
    del now
    return replace(job, state=JobState.RUNNING, step=report.step, question=None)


def _step_over(job: Job, report: Report, now: datetime) -> Job:
    del now
    step = report.step or ""
    done = tuple(name for name in job.steps_done if name != step)
    if report.kind is ReportKind.STEP_DONE:
        done = (*done, step)
    return replace(job, step=None, steps_done=done, facts=job.facts | report.facts, progress=None)


def _progressed(job: Job, report: Report, now: datetime) -> Job:
    del now
    return replace(job, progress=report.progress)


def _asked(job: Job, report: Report, now: datetime) -> Job:
    question = Question(
        question=report.line,
        lines=report.lines,
        confirmations=max(1, report.confirmations),
        answer_by=now + ANSWER_WITHIN,
    )
    return replace(job, state=JobState.ASKING, question=question, progress=None)


def _over(job: Job, report: Report, now: datetime) -> Job:
    return end_job(job, report, now=now)


_NOTES: dict[ReportKind, Callable[[Job, Report, datetime], Job]] = {
    ReportKind.WAITING: _line,
    ReportKind.SAID: _line,
    ReportKind.BEGAN: _begun,
    ReportKind.PLAN: _planned,
    ReportKind.STEP_STARTED: _step_started,
    ReportKind.STEP_DONE: _step_over,
    ReportKind.STEP_UNDONE: _step_over,
    ReportKind.PROGRESS: _progressed,
    ReportKind.ASKS: _asked,
    ReportKind.ENDED: _over,
}
