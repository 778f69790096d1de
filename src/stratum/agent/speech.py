"""Jobs and the timeline in the reader's language: records keep codes and templates, so anybody's will do."""

from __future__ import annotations

from dataclasses import replace

from stratum.adapters.messages import say_as_is, speak_error, speak_plan
from stratum.core.answers import SpokenError
from stratum.core.changes import ChangesAnswer
from stratum.core.errors import KINDS, StratumError
from stratum.core.job import Job
from stratum.core.timeline import Timeline


def speak_job(job: Job) -> Job:
    """The job with its plan, its question and its error said anew."""
    return replace(
        job,
        plan=speak_plan(job.plan) if job.plan else None,
        question=replace(job.question, question=say_as_is(job.question.question)) if job.question else None,
        error=_speak_again(job.error) if job.error else None,
    )


def speak_timeline(timeline: Timeline) -> Timeline:
    """The timeline with what its marks say."""
    moments = (replace(moment, label=say_as_is(moment.label)) for moment in timeline.moments)
    return replace(timeline, moments=tuple(moments))


def speak_changes(found: ChangesAnswer) -> ChangesAnswer:
    """The changes with their plans said anew."""
    return replace(found, changes=tuple(replace(one, plan=speak_plan(one.plan)) for one in found.changes))


def _speak_again(error: SpokenError) -> SpokenError:
    """A record of another release may hold a code that this one does not know: it stays as it was said."""
    if error.code not in KINDS:
        return error
    try:
        return speak_error(StratumError(error.code, **error.details))
    except KeyError:
        return error
