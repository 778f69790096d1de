"""What the journal knows of a plan is enough to finish it or take it back."""

from __future__ import annotations

from typing import Any

import pytest

from stratum.core.plan import (
    Effect,
    JournalEntry,
    JournalKind,
    Plan,
    PlanEnd,
    Step,
    observe_progress,
    unfinished_plans,
)
from tests.fixtures.manifests import NOW

_STEPS = (Step(name="first", summary="one"), Step(name="second", summary="two"))


def _plan(plan_id: str = "p1", *, steps: tuple[Step, ...] = _STEPS) -> Plan:
    return Plan(id=plan_id, verb="backup", stack="led", created_at=NOW, headline="dump app", steps=steps)


def _entry(kind: JournalKind, plan_id: str = "p1", **more: Any) -> JournalEntry:  # noqa: ANN401  any field of the record
    plan = _plan(plan_id) if kind is JournalKind.PLAN_STARTED else None
    return JournalEntry(at=NOW, kind=kind, plan_id=plan_id, verb="backup", who="tester", plan=plan, **more)


_STARTED = _entry(JournalKind.PLAN_STARTED)
_FIRST = (
    _entry(JournalKind.STEP_STARTED, step="first"),
    _entry(JournalKind.STEP_DONE, step="first", facts={"backup_id": "b1"}),
)


def test_a_step_that_began_and_did_not_end_is_begun_and_not_done() -> None:
    progress = observe_progress((_STARTED, *_FIRST, _entry(JournalKind.STEP_STARTED, step="second")), "p1")

    assert progress.begun == ("first", "second")
    assert progress.done == ("first",)
    assert progress.facts == {"backup_id": "b1"}
    assert progress.end is None


def test_a_step_that_was_undone_is_neither_begun_nor_done() -> None:
    progress = observe_progress((_STARTED, *_FIRST, _entry(JournalKind.STEP_UNDONE, step="first")), "p1")

    assert progress.begun == ()
    assert progress.done == ()


def test_entries_of_another_plan_are_passed_over() -> None:
    other = _entry(JournalKind.STEP_STARTED, plan_id="p2", step="second")

    assert observe_progress((_STARTED, other), "p1").begun == ()


def test_the_end_of_a_plan_is_known_with_its_time() -> None:
    progress = observe_progress((_STARTED, _entry(JournalKind.PLAN_ENDED, end=PlanEnd.DECLINED)), "p1")

    assert progress.end is PlanEnd.DECLINED
    assert progress.ended_at == NOW


def test_a_plan_the_journal_does_not_hold_has_no_progress() -> None:
    with pytest.raises(KeyError):
        observe_progress((_STARTED,), "p9")


def test_only_plans_that_never_ended_are_unfinished() -> None:
    entries = (
        _STARTED,
        _entry(JournalKind.PLAN_ENDED, end=PlanEnd.DONE),
        _entry(JournalKind.PLAN_STARTED, plan_id="p2"),
        _entry(JournalKind.NOTED, plan_id="note"),
    )

    assert [progress.plan.id for progress in unfinished_plans(entries)] == ["p2"]


@pytest.mark.parametrize(
    ("effect", "destructive"),
    [(Effect.NONE, False), (Effect.ADDS, False), (Effect.SETS_ASIDE, True), (Effect.REMOVES, True)],
)
def test_a_plan_is_destructive_when_a_step_touches_what_existed(effect: Effect, destructive: bool) -> None:
    plan = _plan(steps=(*_STEPS, Step(name="third", summary="three", effect=effect)))

    assert plan.destructive is destructive
