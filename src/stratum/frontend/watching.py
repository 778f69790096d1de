"""What a page shows of a job: each step's state, how fast it goes, what can still be pressed; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from stratum.core.job import ENDED, Job, JobProgress, JobState, JobVerb
from stratum.core.plan import Step
from stratum.core.proof import Verdict


class StepState(StrEnum):
    """Where one step of a job's plan stands."""

    DONE = "done"
    RUNNING = "running"
    ASKING = "asking"
    FAILED = "failed"
    TO_COME = "to-come"


class Outcome(StrEnum):
    """What a job that is done leaves to look at."""

    BACKUP = "backup"
    RESTORED = "restored"
    BESIDE = "beside"
    UNDONE = "undone"
    PROVEN = "proven"
    DONE = "done"


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenStep:
    """One step of the plan, as far as it came."""

    summary: str
    state: StepState


def seen_steps(job: Job) -> tuple[SeenStep, ...]:
    """Every step of the job's plan with its state; none before there is a plan."""
    steps = job.plan.steps if job.plan else ()
    return tuple(SeenStep(summary=step.summary, state=_state(job, step)) for step in steps)


def _state(job: Job, step: Step) -> StepState:
    if step.name in job.steps_done:
        return StepState.DONE
    if job.state is JobState.ASKING and step == asking_step(job):
        # It asks before the step begins, so that no step runs meanwhile.
        return StepState.ASKING
    if step.name != job.step or job.state is JobState.ASKING:
        return StepState.TO_COME
    return StepState.FAILED if job.state in ENDED else StepState.RUNNING


def asking_step(job: Job) -> Step | None:
    """The step that the job's question is about."""
    if job.plan is None or job.question is None:
        return None
    waiting = [step for step in job.plan.steps if step.asks and step.name not in job.steps_done]
    same_words = [step for step in waiting if step.summary == job.question.question]
    return next(iter(same_words or waiting), None)


def outcome(job: Job) -> Outcome | None:
    """What to say and to offer when the job is done; None while it is not, or when it did not end well."""
    if job.state not in {JobState.DONE, JobState.FINISHED_AFTER_RESTART}:
        return None
    if job.verdict is not None and job.verdict is not Verdict.PROVEN:
        return None
    if job.request.verb is JobVerb.RESTORE:
        return Outcome.BESIDE if job.request.into else Outcome.RESTORED
    if job.request.verb is JobVerb.BACKUP and "backup_id" not in job.facts:
        return Outcome.DONE
    if job.request.verb is JobVerb.DRILL and job.verdict is None:
        return Outcome.DONE
    return _OUTCOMES.get(job.request.verb, Outcome.DONE)


_OUTCOMES = {
    JobVerb.BACKUP: Outcome.BACKUP,
    JobVerb.DRILL: Outcome.PROVEN,
    JobVerb.UNDO_RESTORE: Outcome.UNDONE,
}


def rate(progress: JobProgress | None) -> float | None:
    """Units a second so far; None before anything can be said."""
    if progress is None or progress.seconds <= 0 or not progress.done:
        return None
    return progress.done / progress.seconds


def seconds_left(progress: JobProgress | None) -> float | None:
    """How long the rest takes at the speed so far; None when the whole is not known."""
    speed = rate(progress)
    if progress is None or speed is None or progress.total is None:
        return None
    return max(0.0, (progress.total - progress.done) / speed)


def is_cancellable(job: Job) -> bool:
    """Whether cancelling means something: a job that asks is declined instead, and one that ended is over."""
    return job.state in {JobState.QUEUED, JobState.RUNNING}


def running(jobs: Iterable[Job]) -> Job | None:
    """The job to show on the first page: the one at work, else the next in the queue."""
    open_jobs = [job for job in jobs if job.state not in ENDED]
    at_work = [job for job in open_jobs if job.state is not JobState.QUEUED]
    return next(iter(at_work or open_jobs), None)
