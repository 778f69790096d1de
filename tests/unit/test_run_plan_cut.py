"""Killed before or after any line of its journal, a plan ends whole or not at all; and so does its recovery."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from stratum.core.errors import StratumError
from stratum.core.plan import JournalEntry, JournalKind, PlanEnd
from stratum.engine.run_plan import finish_unfinished, run_plan
from tests.fakes.world_of_steps import (
    AnsweringConsent,
    RecordingJournal,
    Shape,
    World,
    actions_of,
    ports_over,
    prepared,
)


@st.composite
def _shapes(draw: st.DrawFn) -> Shape:
    count = draw(st.integers(1, 5))
    number = st.integers(0, count - 1)
    return Shape(
        steps=count,
        fails=draw(st.frozensets(number, max_size=2)),
        undo_fails=draw(st.frozensets(number, max_size=1)),
        asks=draw(st.none() | number),
        forward_from=draw(st.none() | number),
    )


def _run(shape: Shape, *, agrees: bool) -> tuple[World, RecordingJournal]:
    world = World()
    journal = RecordingJournal(world)
    with contextlib.suppress(StratumError):
        run_plan(prepared(shape, world), ports_over(journal, consent=AnsweringConsent(agrees=agrees)))
    return world, journal


def _finish(shape: Shape, entries: tuple[JournalEntry, ...], world: World) -> RecordingJournal:
    journal = RecordingJournal(world, entries)
    finish_unfinished(ports_over(journal), {"update": lambda *_: actions_of(shape.repaired(), world)})
    return journal


def _whole(shape: Shape) -> list[str]:
    return [f"s{number}" for number in range(shape.steps)]


def _holds(shape: Shape, entries: tuple[JournalEntry, ...], world: World, *, took_effect: bool) -> None:
    """The invariants of a plan that has come to an end."""
    ends = [entry.end for entry in entries if entry.kind is JournalKind.PLAN_ENDED]
    assert len(ends) == (1 if entries else 0), "a plan ends once"
    if ends == [PlanEnd.DONE]:
        assert sorted(world.effects) == _whole(shape), "done means that every step took effect"
    else:
        assert world.effects == [], "not done means that nothing is left"
    assert not took_effect or ends == [PlanEnd.DONE], "what had taken effect is not taken back"


@given(_shapes(), st.booleans())
def test_a_plan_that_ends_is_whole_or_gone(shape: Shape, agrees: bool) -> None:
    world, journal = _run(shape, agrees=agrees)

    if journal.entries()[-1].kind is JournalKind.PLAN_ENDED:
        _holds(shape, journal.entries(), world, took_effect=False)


@settings(max_examples=60)
@given(_shapes(), st.booleans())
def test_killed_at_any_line_of_its_journal_a_plan_is_finished_or_taken_back(shape: Shape, agrees: bool) -> None:
    _, cut = _run(shape, agrees=agrees)

    for entries, then in cut.moments:
        forward = f"s{shape.forward_from}" in then.effects and not _has_ended(entries)
        world = then.copy()
        finished = _finish(shape, entries, world)

        _holds(shape, finished.entries(), world, took_effect=forward)
        assert _finish(shape, finished.entries(), world).entries() == finished.entries(), "once is enough"


@settings(max_examples=25)
@given(_shapes())
def test_killed_again_while_it_is_finished_a_plan_still_ends_whole_or_gone(shape: Shape) -> None:
    _, cut = _run(shape, agrees=True)

    for entries, then in cut.moments:
        for later, later_world in _finish(shape, entries, then.copy()).moments:
            world = later_world.copy()
            _holds(shape, _finish(shape, later, world).entries(), world, took_effect=False)


def _has_ended(entries: tuple[JournalEntry, ...]) -> bool:
    return any(entry.kind is JournalKind.PLAN_ENDED for entry in entries)
