"""What the agent counts a rollback to cost is what the copies of the update and the live databases hold."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stratum.core.errors import StratumError
from stratum.core.plan import JournalEntry, JournalKind, Plan, PlanEnd
from stratum.core.release import VERB, Look, release_facts
from stratum.engine.report_rollback_cost import report_rollback_cost
from stratum.engine.undo_copy import copy_name, drop_undo_copies, make_undo_copies
from tests.fixtures.agents import AgentUnderTest
from tests.fixtures.stacks import DATABASE, StackUnderTest

_LABEL = "k3f9"
_ALLOWED = f"SELECT datallowconn FROM pg_database WHERE datname = '{copy_name(DATABASE, _LABEL)}'"


def _update(stack: StackUnderTest) -> None:
    """As an update leaves a stack: two releases in the journal, and copies from before the migration."""
    ports = stack.ports()
    now, heads = ports.clock.now(), {DATABASE: ""}
    plan = Plan(id="plan-u", verb="update", stack="led", created_at=now, headline="update", steps=(),
                params={"label": _LABEL})  # fmt: skip

    def note(kind: JournalKind, minutes: int, plan_id: str, verb: str, **values: Any) -> None:  # noqa: ANN401  fields of an entry
        at = now + timedelta(minutes=minutes)
        ports.journal.append(JournalEntry(at=at, kind=kind, plan_id=plan_id, verb=verb, who="ada", **values))

    def release(name: str, minutes: int, by: str) -> None:
        look = Look(commit=None, images={"app": name}, configuration="0f", stratum="1.0")
        facts = release_facts(look, verb=by, plan_id="plan-u" if by == "update" else "", heads=heads)
        note(JournalKind.NOTED, minutes, name, VERB, facts=facts)

    release("release-one", 0, "up")
    make_undo_copies(ports, _LABEL)
    note(JournalKind.PLAN_STARTED, 1, "plan-u", "update", plan=plan)
    release("release-two", 2, "update")
    note(JournalKind.PLAN_ENDED, 3, "plan-u", "update", end=PlanEnd.DONE)


def test_the_agent_counts_what_was_written_since_and_names_what_the_older_code_lacks(agent: AgentUnderTest) -> None:
    stack = agent.stack
    assert agent.ask("GET", "/rollback-cost").json()["error"]["code"] == "nothing-to-roll-back"
    stack.execute("CREATE TABLE notes (id int, body text, kind text)", "INSERT INTO notes VALUES (1, 'a', 'x')")
    _update(stack)
    stack.execute("INSERT INTO notes VALUES (2, 'b', 'y'), (3, 'c', 'z')", "ALTER TABLE notes ADD COLUMN due date")

    cost = agent.read("/rollback-cost")
    (counted,) = cost["databases"]
    assert (cost["release"]["id"], cost["refused"], cost["compared"]) == ("release-one", False, True)
    assert [(one["table"], one["rows_live"], one["rows_backup"]) for one in counted["tables"]] == [
        ("public.notes", 3, 1)
    ]
    assert [(one["kind"], one["name"]) for one in counted["added"]] == [("new", "public.notes.due")]

    stack.execute("ALTER TABLE notes DROP COLUMN kind", "UPDATE notes SET body = 'changed'")
    refused, with_data = agent.read("/rollback-cost"), agent.read("/rollback-cost?data=true")
    assert (refused["refused"], with_data["refused"]) == (True, False)
    assert [(one["kind"], one["name"]) for one in refused["databases"][0]["gone"]] == [("gone", "public.notes.kind")]
    assert with_data["databases"][0]["rows_lost"] == 2
    assert [change["end"] for change in agent.read("/changes")["changes"]] == ["done"]
    assert [release["id"] for release in agent.read("/releases")["releases"][:2]] == ["release-two", "release-one"]

    with stack.ports().lock.hold(why="a plan of the command line"):
        assert agent.ask("GET", "/rollback-cost").status_code == 423
    assert stack.rows(_ALLOWED) == [(False,)]
    drop_undo_copies(stack.ports(), _LABEL)
    assert agent.ask("GET", "/rollback-cost").json()["error"]["code"] == "no-undo-copy"


def test_counting_that_takes_too_long_is_given_up_and_leaves_lock_and_copy_as_they_were(stack: StackUnderTest) -> None:
    stack.execute("CREATE TABLE notes (id int)")
    _update(stack)

    with stack.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE notes IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StratumError) as late:
            report_rollback_cost(stack.ports(), with_data=False, seconds=0.5)
        holder.execute("ROLLBACK")

    assert late.value.code == "not-counted-in-time"
    assert stack.rows(_ALLOWED) == [(False,)]
    assert report_rollback_cost(stack.ports(), with_data=False, seconds=60).databases[0].tables == ()
