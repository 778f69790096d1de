"""What the first page says of each layer, and what a page shows of a job."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stratum.core.job import Job, JobProgress, JobRequest, JobState, JobVerb, Question
from stratum.core.plan import Effect, Plan, Step
from stratum.core.proof import Verdict
from stratum.frontend.standing import LayerState, describe_layers
from stratum.frontend.watching import (
    Outcome,
    StepState,
    asking_step,
    is_cancellable,
    outcome,
    rate,
    running,
    seconds_left,
    seen_steps,
)

_NOW = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
_STEPS = (
    Step(name="build", summary="build beside", effect=Effect.ADDS, way_back="it is dropped"),
    Step(name="swap", summary="swap the names", effect=Effect.SETS_ASIDE, way_back="swapped back", asks=True),
    Step(name="remember", summary="record the identity"),
)
_JOB = Job(
    id="j1",
    request=JobRequest(verb=JobVerb.RESTORE, who="ada (console)"),
    state=JobState.RUNNING,
    queued_at=_NOW,
    plan=Plan(id="p1", verb="restore", stack="shop", created_at=_NOW, headline="restore", steps=_STEPS),
)


def _ago(**age: float) -> str:
    return (_NOW - timedelta(**age)).isoformat()


def _status(**changes: object) -> dict[str, Any]:
    protection = {
        "newest_backup_at": _ago(hours=2),
        "newest_drill": "proven",
        "proven_at": _ago(days=1),
        "failure_domain": "other-disk",
    }
    return {
        "canary_at": _ago(seconds=1),
        "next_backup_at": _ago(hours=-3),
        "next_drill_at": _ago(hours=-5),
        "alarms": [],
        **{name: value for name, value in changes.items() if name not in {*protection, "database"}},
        "status": {
            "database": changes.get("database", "running"),
            "protection": {name: changes.get(name, value) for name, value in protection.items()},
        },
    }


def test_a_stack_on_which_everything_was_measured_and_holds_is_safe() -> None:
    layers = describe_layers(_status(), _NOW)
    assert layers.safe
    states = {layers.database, layers.canary, layers.backup, layers.proof, layers.copies, layers.schedule}
    assert states | {layers.alarms} == {LayerState.GOOD}


@pytest.mark.parametrize(
    ("changes", "layer", "expected"),
    [
        ({"database": "stopped"}, "database", "bad"),
        ({"database": "damaged"}, "database", "bad"),
        ({"canary_at": None}, "canary", "unknown"),
        ({"canary_at": _ago(minutes=5)}, "canary", "bad"),
        ({"newest_backup_at": None}, "backup", "bad"),
        ({"newest_backup_at": _ago(hours=25)}, "backup", "bad"),
        ({"newest_drill": "failed"}, "proof", "bad"),
        ({"newest_drill": "could-not-verify"}, "proof", "warn"),
        ({"newest_drill": None, "proven_at": None}, "proof", "bad"),
        ({"proven_at": _ago(days=8)}, "proof", "bad"),
        ({"failure_domain": "same-disk"}, "copies", "bad"),
        ({"failure_domain": "unknown"}, "copies", "unknown"),
        ({"next_backup_at": None}, "schedule", "bad"),
        ({"next_drill_at": None}, "schedule", "warn"),
        ({"alarms": [{"name": "canary"}]}, "alarms", "bad"),
    ],
)
def test_each_layer_says_by_itself_what_is_wrong(changes: dict[str, Any], layer: str, expected: str) -> None:
    layers = describe_layers(_status(**changes), _NOW)
    assert getattr(layers, layer) == expected


@pytest.mark.parametrize("changes", [{"database": "absent"}, {"newest_drill": "failed"}, {"failure_domain": "unknown"}])
def test_the_sentence_is_green_only_when_all_it_rests_on_holds(changes: dict[str, Any]) -> None:
    assert not describe_layers(_status(**changes), _NOW).safe


def test_the_steps_of_a_job_show_how_far_it_came() -> None:
    question = Question(question="swap the names", lines=(), confirmations=1, answer_by=_NOW)
    job = replace(_JOB, step=None, steps_done=("build",), state=JobState.ASKING, question=question)
    assert [step.state for step in seen_steps(job)] == [StepState.DONE, StepState.ASKING, StepState.TO_COME]
    at_work = replace(_JOB, step="build")
    assert [step.state for step in seen_steps(at_work)] == [StepState.RUNNING, StepState.TO_COME, StepState.TO_COME]
    failed = replace(job, step="swap", state=JobState.FAILED)
    assert [step.state for step in seen_steps(failed)] == [StepState.DONE, StepState.FAILED, StepState.TO_COME]
    assert seen_steps(replace(_JOB, plan=None)) == ()


def test_a_question_is_shown_with_its_step_s_effect_and_way_back() -> None:
    question = Question(question="swap the names", lines=(), confirmations=1, answer_by=_NOW)
    assert asking_step(replace(_JOB, question=question)) == _STEPS[1]
    assert asking_step(_JOB) is None


@pytest.mark.parametrize(
    ("verb", "into", "verdict", "facts", "expected"),
    [
        (JobVerb.BACKUP, None, None, {"backup_id": "b1"}, Outcome.BACKUP),
        (JobVerb.RESTORE, None, None, {}, Outcome.RESTORED),
        (JobVerb.RESTORE, "copy", None, {}, Outcome.BESIDE),
        (JobVerb.UNDO_RESTORE, None, None, {}, Outcome.UNDONE),
        (JobVerb.DRILL, None, Verdict.PROVEN, {}, Outcome.PROVEN),
        (JobVerb.DRILL, None, Verdict.COULD_NOT_VERIFY, {}, None),
        (JobVerb.DRILL, None, None, {}, Outcome.DONE),
        (JobVerb.PRUNE, None, None, {}, Outcome.DONE),
    ],
)
def test_a_job_that_is_done_says_what_it_left(
    verb: JobVerb, into: str | None, verdict: Verdict | None, facts: dict[str, str], expected: Outcome | None
) -> None:
    request = JobRequest(verb=verb, who="ada (console)", into=into)
    job = replace(_JOB, request=request, state=JobState.DONE, verdict=verdict, facts=dict(facts))
    assert outcome(job) == expected
    assert outcome(replace(job, state=JobState.DECLINED)) is None


def test_speed_and_time_left_are_said_only_when_they_can_be() -> None:
    progress = JobProgress(what="dump", done=50, total=200, unit="rows", seconds=5)
    assert (rate(progress), seconds_left(progress)) == (10, 15)
    assert seconds_left(replace(progress, total=None)) is None
    assert rate(replace(progress, done=0)) is None
    assert rate(None) is seconds_left(None) is None


def test_the_first_page_shows_the_job_at_work_before_one_that_waits() -> None:
    waiting, asking = replace(_JOB, id="j2", state=JobState.QUEUED), replace(_JOB, state=JobState.ASKING)
    assert running((waiting, asking)) == asking
    assert running((waiting, replace(_JOB, state=JobState.DONE))) == waiting
    assert running(()) is None


def test_only_what_has_not_ended_and_does_not_ask_can_be_cancelled() -> None:
    assert {state for state in JobState if is_cancellable(replace(_JOB, state=state))} == {
        JobState.QUEUED,
        JobState.RUNNING,
    }
