"""What became of a job whose process was killed, by the journal's own record of its plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from stratum.core.answers import SpokenError
from stratum.core.job import Job, JobState
from stratum.core.plan import JournalEntry, JournalKind, PlanEnd, PlanProgress, observe_progress
from stratum.core.proof import Verdict


def settle_job(
    job: Job, entries: tuple[JournalEntry, ...], *, since: datetime, now: datetime, problem: SpokenError | None
) -> Job:
    """The job at its end, once every plan that was cut has been brought to one.

    `since` is when that was begun: a plan that ended before it had ended by itself. `problem` is what kept it from
    being done; a plan that is open still is then what the job failed of.
    """
    progress = _progress(job, entries)
    ended = replace(job, ended_at=now, step=None, progress=None, question=None)
    if progress is None:
        state = JobState.FAILED if problem else JobState.TAKEN_BACK_AFTER_RESTART
        return replace(ended, state=state, error=problem)
    known = replace(
        ended,
        plan=progress.plan,
        steps_done=progress.done,
        facts=job.facts | progress.facts,
        verdict=_verdict(progress),
    )
    if progress.end is PlanEnd.DONE:
        in_time = progress.ended_at is not None and progress.ended_at < since
        return replace(known, state=JobState.DONE if in_time else JobState.FINISHED_AFTER_RESTART)
    if progress.end in {PlanEnd.COMPENSATED, PlanEnd.DECLINED}:
        return replace(known, state=JobState.TAKEN_BACK_AFTER_RESTART)
    return replace(known, state=JobState.FAILED, error=problem)


def _progress(job: Job, entries: tuple[JournalEntry, ...]) -> PlanProgress | None:
    """None when the journal knows no plan of the job: nothing had been begun."""
    plan_id = _plan_id(job, entries)
    try:
        return observe_progress(entries, plan_id) if plan_id else None
    except KeyError:
        return None


def _plan_id(job: Job, entries: Iterable[JournalEntry]) -> str | None:
    """The agent may have been killed before it heard which plan the job had begun."""
    if job.plan is not None:
        return job.plan.id
    for entry in entries:
        begun = entry.kind is JournalKind.PLAN_STARTED and job.started_at is not None and entry.at >= job.started_at
        if begun and entry.verb == job.request.verb.value and entry.who == job.request.who:
            return entry.plan_id
    return None


def _verdict(progress: PlanProgress) -> Verdict | None:
    found = {each.value: each for each in Verdict}
    return found.get(str(progress.facts.get("verdict")))
