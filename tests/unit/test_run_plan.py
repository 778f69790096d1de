"""A plan is carried out to its end or back to where it began, and the journal says each step of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from stratum.core.errors import StratumError
from stratum.core.guard import GuardResult
from stratum.core.plan import JournalEntry, JournalKind, PlanEnd, observe_progress
from stratum.engine.run_plan import finish_unfinished, observe_cut, run_plan, show_plan
from stratum.ports import Action, Prepared
from tests.fakes.memory_lock import MemoryLock
from tests.fakes.settable_clock import SettableClock
from tests.fakes.world_of_steps import (
    AnsweringConsent,
    RecordingJournal,
    Shape,
    World,
    actions_of,
    plan_of,
    ports_over,
    prepared,
)
from tests.fixtures.manifests import NOW

_TAKEN = GuardResult(
    name="name-free", holds=False, statement="x is taken", code="name-taken", details={"database": "x"}
)


def _refusal(shape: Shape, world: World, journal: RecordingJournal, *, agrees: bool = True) -> StratumError:
    with pytest.raises(StratumError) as refused:
        run_plan(prepared(shape, world), ports_over(journal, consent=AnsweringConsent(agrees=agrees)))
    return refused.value


def _written(journal: RecordingJournal) -> list[tuple[str, str | None]]:
    return [(entry.kind.value, entry.step) for entry in journal.entries()]


def test_each_step_is_journaled_before_and_after_it_runs() -> None:
    world = World()
    journal = RecordingJournal(world)

    outcome = run_plan(prepared(Shape(steps=2), world), ports_over(journal))

    assert outcome.end is PlanEnd.DONE
    assert _written(journal) == [
        ("plan-started", None),
        ("step-started", "s0"),
        ("step-done", "s0"),
        ("step-started", "s1"),
        ("step-done", "s1"),
        ("plan-ended", None),
    ]
    effects = [moment.effects for _, moment in journal.moments[1::2]]
    assert effects == [[], [], ["s0"], ["s0"], ["s0", "s1"], ["s0", "s1"]]


def test_only_the_first_entry_carries_the_plan() -> None:
    world = World()
    journal = RecordingJournal(world)

    run_plan(prepared(Shape(), world), ports_over(journal))

    assert [entry.plan is not None for entry in journal.entries()] == [True] + [False] * 7
    assert journal.entries()[0].plan == plan_of(Shape())


def test_a_step_is_given_what_the_steps_before_it_learned() -> None:
    world = World()

    outcome = run_plan(prepared(Shape(steps=2), world), ports_over(RecordingJournal(world)))

    assert world.seen == [{"given": "at the start"}, {"given": "at the start", "s0": 0}]
    assert outcome.facts == {"given": "at the start", "s0": 0, "s1": 1}


def test_a_failing_step_takes_everything_back_newest_first_itself_included() -> None:
    world = World()
    journal = RecordingJournal(world)

    error = _refusal(Shape(steps=4, fails=frozenset({2})), world, journal)

    assert error.code == "query-failed"
    assert world.effects == []
    assert world.undone == ["s2", "s1", "s0"]
    assert _written(journal)[-4:] == [
        ("step-undone", "s2"),
        ("step-undone", "s1"),
        ("step-undone", "s0"),
        ("plan-ended", None),
    ]
    ended = journal.entries()[-1]
    assert ended.end is PlanEnd.COMPENSATED
    assert ended.error is not None
    assert ended.error["code"] == "query-failed"


def test_a_no_is_journaled_as_declined_and_takes_everything_back() -> None:
    world = World()
    journal = RecordingJournal(world)

    error = _refusal(Shape(asks=2), world, journal, agrees=False)

    assert error.code == "declined"
    assert world.effects == []
    assert journal.entries()[-1].end is PlanEnd.DECLINED


def test_the_person_is_asked_only_before_the_step_that_asks_and_shown_what_is_known() -> None:
    world, consent = World(), AnsweringConsent()

    run_plan(prepared(Shape(asks=1), world), ports_over(RecordingJournal(world), consent=consent))

    assert consent.asked == [("do 1", ("given=at the start", "s0=0"))]


@pytest.mark.parametrize(("signal", "said"), [("", "Ctrl-C"), ("SIGTERM", "SIGTERM")])
def test_a_signal_takes_everything_back_and_is_named(signal: str, said: str) -> None:
    world = World()
    journal = RecordingJournal(world)
    first, *_ = actions_of(Shape(), world)

    def struck(_: object) -> None:
        raise KeyboardInterrupt(*([signal] if signal else []))

    plan = Prepared(plan=plan_of(Shape(steps=2)), actions=(first, Action(name="s1", run=struck)))
    with pytest.raises(StratumError) as refused:
        run_plan(plan, ports_over(journal))

    assert refused.value.code == "interrupted"
    assert refused.value.details["signal"] == said
    assert world.effects == []
    assert journal.entries()[-1].end is PlanEnd.COMPENSATED


def test_a_fault_of_the_program_takes_everything_back_and_stays_visible_as_what_it_was() -> None:
    world = World()
    journal = RecordingJournal(world)
    first, *_ = actions_of(Shape(), world)

    def broken(_: object) -> None:
        raise ZeroDivisionError("a bug")

    plan = Prepared(plan=plan_of(Shape(steps=2)), actions=(first, Action(name="s1", run=broken)))
    with pytest.raises(ZeroDivisionError):
        run_plan(plan, ports_over(journal))

    assert world.effects == []
    ended = journal.entries()[-1]
    assert ended.error is not None
    assert ended.error["code"] == "unexpected"


def test_a_failed_way_back_reports_both_errors_and_leaves_the_plan_open() -> None:
    world = World()
    journal = RecordingJournal(world)

    error = _refusal(Shape(fails=frozenset({2}), undo_fails=frozenset({1})), world, journal)

    assert error.code == "plan-stranded"
    assert error.details["step"] == "s1"
    assert "s2 broke" in error.message
    assert "the way back of s1 broke" in error.message
    assert world.effects == ["s0", "s1"], "what lies before the broken way back is left for the next run"
    assert observe_progress(journal.entries(), "p1").end is None


def test_a_stranded_plan_is_taken_back_once_its_way_back_is_mended() -> None:
    world = World()
    journal = RecordingJournal(world)
    shape = Shape(fails=frozenset({2}), undo_fails=frozenset({1}))
    _refusal(shape, world, journal)

    finish_unfinished(ports_over(journal), {"update": lambda *_: actions_of(shape.repaired(), world)})

    assert world.effects == []
    assert journal.entries()[-1].end is PlanEnd.COMPENSATED


def test_a_plan_that_took_effect_is_not_taken_back_when_a_later_step_fails() -> None:
    world = World()
    journal = RecordingJournal(world)

    error = _refusal(Shape(fails=frozenset({2}), forward_from=1), world, journal)

    assert error.code == "plan-unfinished"
    assert world.effects == ["s0", "s1", "s2"]
    assert world.undone == []
    assert observe_progress(journal.entries(), "p1").end is None


def test_a_guard_that_does_not_hold_refuses_before_anything_is_written_or_run() -> None:
    world = World()
    journal = RecordingJournal(world)

    error = _refusal(Shape(with_guard=_TAKEN), world, journal)

    assert error.code == "name-taken"
    assert journal.entries() == ()
    assert world.seen == []


def test_a_dry_run_asks_nothing_runs_nothing_and_writes_nothing() -> None:
    world, consent = World(), AnsweringConsent()
    journal = RecordingJournal(world)

    outcome = show_plan(prepared(Shape(asks=0), world), ports_over(journal, consent=consent))

    assert (outcome.end, outcome.plan) == (None, plan_of(Shape(asks=0)))
    assert (world.seen, consent.asked, journal.entries()) == ([], [], ())


def test_a_dry_run_is_refused_by_the_guards_like_the_real_one() -> None:
    world = World()

    with pytest.raises(StratumError) as refused:
        show_plan(prepared(Shape(with_guard=_TAKEN), world), ports_over(RecordingJournal(world)))

    assert refused.value.code == "name-taken"


def test_a_journal_that_cannot_be_written_starts_no_step() -> None:
    from dataclasses import replace

    from tests.fakes.memory_journal import MemoryJournal

    world = World()
    ports = replace(ports_over(RecordingJournal(world)), journal=MemoryJournal(fails_after=0))

    with pytest.raises(StratumError) as refused:
        run_plan(prepared(Shape(), world), ports)

    assert refused.value.code == "archive-full"
    assert world.seen == []


def test_finishing_asks_nobody_again_for_what_was_agreed_to() -> None:
    world = World()
    journal = RecordingJournal(world)
    shape = Shape(fails=frozenset({2}), forward_from=1, asks=1)
    _refusal(shape, world, journal)
    consent = AnsweringConsent(agrees=False)

    said = finish_unfinished(
        ports_over(journal, consent=consent), {"update": lambda *_: actions_of(shape.repaired(), world)}
    )

    assert said == ("update p1 had been cut short; it is finished now",)
    assert consent.asked == []
    assert journal.entries()[-1].end is PlanEnd.DONE


def test_nothing_unfinished_is_nothing_to_do() -> None:
    world = World()
    journal = RecordingJournal(world)
    run_plan(prepared(Shape(), world), ports_over(journal))
    before = journal.entries()

    assert finish_unfinished(ports_over(journal), {}) == ()
    assert journal.entries() == before
    assert [entry.kind for entry in before].count(JournalKind.PLAN_ENDED) == 1


def test_a_plan_that_runs_is_not_called_cut_and_one_that_was_killed_is() -> None:
    journal = RecordingJournal(World())
    clock = SettableClock(NOW)
    book: dict[str, str] = {}
    ports = replace(ports_over(journal), lock=MemoryLock(book, clock=clock, who="watch"))
    other = MemoryLock(book, clock=clock, who="backup")
    begun = replace(prepared(Shape(), World()).plan, created_at=NOW + timedelta(minutes=1))
    started = JournalEntry(
        at=begun.created_at, kind=JournalKind.PLAN_STARTED, plan_id=begun.id, verb=begun.verb, who="t", plan=begun
    )

    with other.hold(why="update"):
        journal.append(started)
        running = observe_cut(ports)
    left = observe_cut(ports)
    clock.set(NOW + timedelta(hours=1))
    with other.hold(why="backup"):
        beside_another = observe_cut(ports)

    assert running == ()
    assert [found.plan.id for found in left] == [begun.id]
    assert [found.plan.id for found in beside_another] == [begun.id]


class _FullJournal(RecordingJournal):
    """One whose disk is full from the first failure on."""

    def append(self, entry: JournalEntry) -> None:
        if entry.kind in {JournalKind.STEP_UNDONE, JournalKind.PLAN_ENDED}:
            raise StratumError("archive-full", path="archive")
        super().append(entry)


def test_a_journal_that_takes_nothing_more_does_not_end_the_way_back() -> None:
    world = World()
    shape = Shape(steps=4, fails=frozenset({3}))
    journal = _FullJournal(world)

    with pytest.raises(StratumError):
        run_plan(prepared(shape, world), ports_over(journal))

    assert world.effects == [], "every step is undone, though none of it could be noted"
    again = RecordingJournal(world, journal.entries())
    finish_unfinished(ports_over(again), {"update": lambda *_: actions_of(shape.repaired(), world)})
    assert again.entries()[-1].end is PlanEnd.COMPENSATED


@pytest.mark.parametrize("leaving", [(), ("rollback",), ("update",)])
def test_what_took_effect_and_cannot_be_finished_bars_the_way_only_to_what_does_not_lead_away(
    leaving: tuple[str, ...],
) -> None:
    world = World()
    shape = Shape(steps=3, fails=frozenset({2}), forward_from=1)
    journal = RecordingJournal(world)
    with pytest.raises(StratumError) as caught:
        run_plan(prepared(shape, world), ports_over(journal))
    assert caught.value.code == "plan-unfinished"
    actions = {"update": lambda *_: actions_of(shape, world)}

    if "update" not in leaving:
        with pytest.raises(StratumError) as caught:
            finish_unfinished(ports_over(journal), actions, leaving=leaving)
        assert caught.value.code == "plan-unfinished"
        assert not _ended(journal)
        return
    (said,) = finish_unfinished(ports_over(journal), actions, leaving=leaving)
    assert "is left as it stands" in said
    assert _ended(journal) == [PlanEnd.DONE]
    assert world.effects == ["s0", "s1", "s2"], "nothing that was committed is taken back"


def _ended(journal: RecordingJournal) -> list[PlanEnd | None]:
    return [entry.end for entry in journal.entries() if entry.kind is JournalKind.PLAN_ENDED]
