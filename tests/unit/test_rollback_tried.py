"""What trying an older release on a clone leads to: its own image, no migration, and what was accepted by name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import cast

import pytest

from stratum.core.errors import StratumError
from stratum.core.plan import Facts, JournalEntry, JournalKind, Plan, PlanEnd, Step
from stratum.core.rehearsal import CommandRun, Rehearsal, RehearsalOrder, judge
from stratum.engine.roll_back import rollback_actions
from stratum.engine.run_plan import finish_unfinished
from stratum.ports import Ports
from stratum.project import Project
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over
from tests.fixtures.manifests import NOW

_DIED = CommandRun(name="app", ok=False, seconds=1.0, said="ERROR:  null value in column\nat row 1")


@dataclass(kw_only=True, slots=True)
class FakeProject:
    """A project that rehearses as it is told to, and can do nothing else."""

    runs: tuple[CommandRun, ...] = ()
    breaks: bool = False
    orders: list[RehearsalOrder] = field(default_factory=list)

    def rehearse(self, order: RehearsalOrder, *, under: str | None) -> Rehearsal:
        del under
        self.orders.append(order)
        if self.breaks:
            raise StratumError("rehearsal-broke-off", problem="no room")
        verdict, summary = judge(runs=self.runs, losses=(), locks=(), lock_limit=timedelta(seconds=1))
        return Rehearsal(
            id="r", backup_id="b", at=NOW, verdict=verdict, summary=summary, runs=self.runs, losses=(), locks=(),
            statements=(), statement_count=0, tables=(), difference=(), growth_bytes=0, downtime_seconds=0.0,
            clone_seconds=0.0, total_seconds=0.0, clone_bytes=0,
        )  # fmt: skip


def test_the_older_image_is_started_on_the_backup_just_taken_and_migrates_nothing() -> None:
    project = FakeProject()

    _try(project)

    (order,) = project.orders
    assert (order.image, order.backup_id, order.migrate) == ("app:release-abcd", "b", ())


def test_an_older_release_is_asked_whether_it_is_well_and_not_for_what_a_newer_one_does() -> None:
    project = FakeProject()

    _try(project)

    assert project.orders[0].checks == {"health": ("is-well",)}


def test_a_release_that_dies_on_the_clone_ends_the_rollback_in_its_own_words() -> None:
    with pytest.raises(StratumError) as raised:
        _try(FakeProject(runs=(_DIED,)))

    assert raised.value.code == "release-does-not-run"
    assert "null value in column" in raised.value.message
    assert "--accept app" in raised.value.next
    assert "--data" in raised.value.next


def test_a_release_that_dies_is_gone_back_to_where_that_is_accepted_by_name() -> None:
    _try(FakeProject(runs=(_DIED,)), "app")


def test_what_could_not_be_tried_is_no_release_that_runs_unless_that_is_accepted() -> None:
    with pytest.raises(StratumError, match="no room") as raised:
        _try(FakeProject(breaks=True))

    assert raised.value.code == "release-not-tried"
    _try(FakeProject(breaks=True), "unrehearsed")


def test_a_rollback_cut_while_it_tries_is_taken_back_and_stops_nothing() -> None:
    ports, plan = _ports(FakeProject()), _plan()
    started = JournalEntry(at=NOW, kind=JournalKind.PLAN_STARTED, plan_id=plan.id, verb=plan.verb, who="t", plan=plan)
    ports.journal.append(started)
    ports.journal.append(replace(started, kind=JournalKind.STEP_STARTED, step="try", plan=None))

    finish_unfinished(ports, {"rollback": rollback_actions})

    assert ports.journal.entries()[-1].end is PlanEnd.COMPENSATED


def _try(project: FakeProject, *accept: str) -> None:
    plan = _plan(*accept)
    tried = next(one for one in rollback_actions(plan, _ports(project)) if one.name == "try")
    tried.run({"backup_id": "b"})


def _ports(project: FakeProject) -> Ports:
    ports = ports_over(RecordingJournal(World()))
    commands = replace(ports.stack.commands, health=("is-well",), smoke=("does-its-work",))
    return replace(ports, project=cast("Project", project), stack=replace(ports.stack, commands=commands))


def _plan(*accept: str) -> Plan:
    lists: Facts = {name: [] for name in ("services", "reachable", "databases", "cost", "images_before")}
    return Plan(
        id="plan-rollback",
        verb="rollback",
        stack="led",
        created_at=NOW,
        headline="back",
        steps=(Step(name="backup", summary="b"), Step(name="try", summary="t"), Step(name="stop", summary="s")),
        params=lists
        | {
            "label": "abcd",
            "own_label": "efgh",
            "commit": None,
            "commit_now": None,
            "release_wanted": "older",
            "image_to_try": "app:release-abcd",
            "accept": list(accept),
        },
        forward_from="release",
    )
