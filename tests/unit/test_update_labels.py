"""Which updates' copies the end of an update takes away: those that are still there, and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stratum.core.plan import JournalEntry, JournalKind, Plan, PlanEnd
from stratum.engine.update import _downtime_note, _older_labels
from stratum.ports import Ports
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over


def test_copies_from_the_last_update_that_was_done_on_are_taken_away() -> None:
    """The end of that one took those before it; asking for them again would take longer with every update."""
    ports = _ports(("a", PlanEnd.DONE), ("b", PlanEnd.DONE), ("c", PlanEnd.COMPENSATED), ("now", None))

    assert _older_labels(_plan("now", 3), ports) == ("b", "c")


def test_before_the_first_update_is_done_every_failed_one_is_looked_after() -> None:
    ports = _ports(("a", PlanEnd.COMPENSATED), ("b", PlanEnd.COMPENSATED), ("now", None))

    assert _older_labels(_plan("now", 2), ports) == ("a", "b")


def test_the_first_update_takes_nothing_away() -> None:
    assert _older_labels(_plan("now", 0), _ports(("now", None))) == ()


def test_a_plan_says_how_long_the_last_update_was_away() -> None:
    ports = _ports(("a", PlanEnd.DONE), ("b", PlanEnd.DONE))
    assert "measured by the first update" in _downtime_note(ports)

    for label, seconds in (("a", 21.5), ("b", 13.5)):
        plan = _plan(label, 0)
        published = JournalEntry(
            at=plan.created_at, kind=JournalKind.STEP_DONE, plan_id=plan.id, verb="update", who="tester",
            step="publish", facts={"downtime_seconds": seconds},
        )  # fmt: skip
        ports.journal.append(published)

    assert "13.5 s the last time" in _downtime_note(ports)


def _ports(*updates: tuple[str, PlanEnd | None]) -> Ports:
    journal = RecordingJournal(World())
    for number, (label, end) in enumerate(updates):
        plan = _plan(label, number)
        entry = JournalEntry(
            at=plan.created_at, kind=JournalKind.PLAN_STARTED, plan_id=plan.id, verb="update", who="tester", plan=plan
        )
        journal.append(entry)
        if end is not None:
            ended = JournalEntry(
                at=plan.created_at, kind=JournalKind.PLAN_ENDED, plan_id=plan.id, verb="update", who="tester", end=end
            )
            journal.append(ended)
    return ports_over(journal)


def _plan(label: str, number: int) -> Plan:
    return Plan(
        id=f"plan-{label}",
        verb="update",
        stack="led",
        created_at=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=number),
        headline="update",
        steps=(),
        params={"label": label},
    )
