"""Inside a job's process: how long it waits, what it tells, and what silence is taken for."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from stratum.adapters.records import to_json
from stratum.agent.reports import Consented, Report, ReportKind
from stratum.agent.telling import AskingConsent, PatientLock, TellingJournal, TellingProgress
from stratum.core.errors import StratumError
from stratum.core.plan import JournalEntry, JournalKind
from tests.fakes.console_records import restore_plan
from tests.fakes.memory_journal import MemoryJournal
from tests.fakes.memory_lock import MemoryLock
from tests.fakes.settable_clock import SettableClock

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PLAN = restore_plan("b1")


def test_a_job_gives_up_when_another_plan_holds_the_lock_for_too_long() -> None:
    told: list[Report] = []
    lock = MemoryLock({}, clock=SettableClock(NOW), who="bob")
    patient = PatientLock(lock, told.append, SettableClock(NOW), wait_at_most=timedelta(seconds=2))

    with lock.hold(why="a long plan"), pytest.raises(StratumError) as refused, patient.hold(why="backup"):
        pytest.fail("it was held twice")

    assert refused.value.code == "locked"
    assert {report.kind for report in told} == {ReportKind.WAITING}


def test_a_job_begins_once_it_holds_the_lock_and_lets_go_of_it() -> None:
    told: list[Report] = []
    lock = MemoryLock({}, clock=SettableClock(NOW), who="bob")
    with PatientLock(lock, told.append, SettableClock(NOW)).hold(why="backup"), pytest.raises(StratumError), \
            lock.hold(why="another"):  # fmt: skip
        pytest.fail("it was held twice")
    with lock.hold(why="another"):
        assert [report.kind for report in told] == [ReportKind.BEGAN]


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [(to_json(Consented(agreed=True)) + "\n", True), (to_json(Consented(agreed=False)) + "\n", False), ("", False)],
    ids=["yes", "no", "nobody is there any more"],
)
def test_only_a_plain_yes_is_consent(answer: str, *, agreed: bool) -> None:
    told: list[Report] = []

    assert AskingConsent(told.append, io.BytesIO(answer.encode()))(PLAN, "swap?", ["12 rows go"]) is agreed
    assert [(report.kind, report.line, report.lines) for report in told] == [
        (ReportKind.ASKS, "swap?", ("12 rows go",))
    ]


def test_a_step_is_told_after_it_stands_in_the_journal_and_other_plans_steps_are_not() -> None:
    journal, told = MemoryJournal(), list[tuple[ReportKind, int]]()
    telling = TellingJournal(journal, lambda report: told.append((report.kind, len(journal.entries()))), verb=PLAN.verb)
    telling.append(_entry(JournalKind.STEP_UNDONE, plan_id="a plan that was cut"))
    telling.append(_entry(JournalKind.PLAN_STARTED))
    telling.append(_entry(JournalKind.STEP_STARTED))
    telling.append(_entry(JournalKind.STEP_DONE, plan_id="an inner plan"))

    assert told == [(ReportKind.PLAN, 2), (ReportKind.STEP_STARTED, 3)]


def test_progress_is_told_now_and_then_and_its_end_always() -> None:
    told: list[Report] = []
    clock = SettableClock(NOW)
    progress = TellingProgress(told.append, clock)
    with progress.task("restoring", total=10, unit="bytes") as moved:
        moved(4)
    progress.say("compared")

    assert [(r.kind, r.progress.done if r.progress else None) for r in told] == [
        (ReportKind.PROGRESS, 0),
        (ReportKind.PROGRESS, 4),
        (ReportKind.PROGRESS, None),
        (ReportKind.SAID, None),
    ]


def _entry(kind: JournalKind, *, plan_id: str = PLAN.id) -> JournalEntry:
    plan = PLAN if kind is JournalKind.PLAN_STARTED else None
    return JournalEntry(at=NOW, kind=kind, plan_id=plan_id, verb=PLAN.verb, who="ada", step="swap", plan=plan)
