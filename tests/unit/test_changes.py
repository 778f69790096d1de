"""What the console shows of updates: all that have not ended, the newest that has, and how far each step came."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from stratum.core.changes import ChangeStep, observe_changes
from stratum.core.plan import JournalEntry, JournalKind, Plan, PlanEnd, Step
from stratum.engine.undo_upgrade import UNDO as UNDO_UPGRADE
from stratum.engine.undo_upgrade_on_host import UNDO as UNDO_ON_HOST
from stratum.engine.upgrade_on_host import VERB as UPGRADE_ON_HOST
from stratum.engine.upgrade_postgres import VERB as UPGRADE

_BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
_STEPS = tuple(Step(name=name, summary=name) for name in ("stop", "migrate", "start"))


def _entry(number: int, kind: JournalKind, verb: str = "update", **values: Any) -> JournalEntry:  # noqa: ANN401  fields of an entry
    at = _BEGIN + timedelta(hours=number)
    plan_id = f"plan-{number}"
    plan = Plan(id=plan_id, verb=verb, stack="led", created_at=at, headline=verb, steps=_STEPS)
    told = {"plan": plan} if kind is JournalKind.PLAN_STARTED else values
    return JournalEntry(at=at, kind=kind, plan_id=plan_id, verb=verb, who="ada", **told)


def _ended(number: int, verb: str = "update") -> tuple[JournalEntry, ...]:
    ended = _entry(number, JournalKind.PLAN_ENDED, verb, end=PlanEnd.DONE)
    return (_entry(number, JournalKind.PLAN_STARTED, verb), ended)


def test_what_has_not_ended_is_shown_with_the_newest_that_has_the_newest_first() -> None:
    cut = _entry(2, JournalKind.PLAN_STARTED, "rollback")
    entries = (*_ended(0), *_ended(1), cut, *_ended(3, "upgrade-postgres"), _entry(4, JournalKind.PLAN_STARTED))

    found = observe_changes(entries).changes

    assert [change.plan.id for change in found] == ["plan-4", "plan-3", "plan-2"]
    assert [change.end for change in found] == [None, PlanEnd.DONE, None]
    assert found[0].who == "ada"


def test_every_way_to_another_major_and_back_is_a_change() -> None:
    for verb in (UPGRADE, UNDO_UPGRADE, UPGRADE_ON_HOST, UNDO_ON_HOST):
        assert [change.plan.verb for change in observe_changes(_ended(0, verb)).changes] == [verb]


def test_a_backup_or_a_restore_is_no_change() -> None:
    assert observe_changes((*_ended(0, "backup"), *_ended(1, "restore"))).changes == ()


def test_each_step_is_where_the_journal_has_it_and_one_that_is_begun_again_is_not_taken_back() -> None:
    kinds = (
        (JournalKind.STEP_STARTED, "stop"),
        (JournalKind.STEP_DONE, "stop"),
        (JournalKind.STEP_STARTED, "migrate"),
    )
    entries = (_entry(0, JournalKind.PLAN_STARTED), *(_entry(0, kind, step=step) for kind, step in kinds))
    back = (_entry(0, JournalKind.STEP_UNDONE, step="migrate"), _entry(0, JournalKind.STEP_UNDONE, step="stop"))

    def states(*entries: JournalEntry) -> tuple[ChangeStep, ...]:
        (change,) = observe_changes(entries).changes
        return change.states

    assert states(*entries) == (ChangeStep.DONE, ChangeStep.BEGUN, ChangeStep.TO_COME)
    assert states(*entries, back[0]) == (ChangeStep.DONE, ChangeStep.UNDONE, ChangeStep.TO_COME)
    assert states(*entries, *back) == (ChangeStep.UNDONE, ChangeStep.UNDONE, ChangeStep.TO_COME)
    assert states(*entries, *back, _entry(0, JournalKind.STEP_STARTED, step="stop"))[0] is ChangeStep.BEGUN
