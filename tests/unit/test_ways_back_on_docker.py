"""What plans on Docker say before they delete, and which ways back they do not take: those that rows would go with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from stratum.core.containers import VolumeLook
from stratum.core.errors import StratumError
from stratum.core.plan import Facts, Plan, Step
from stratum.engine import rebuild_volume
from stratum.engine.destroy import destroy_volume
from stratum.engine.rebuild_volume import rebuild_actions
from stratum.engine.roll_back import rollback_actions
from stratum.engine.run_plan import run_plan
from stratum.engine.update import update_actions
from stratum.ports import Action, Outcome, Ports, Prepared, Runtime
from stratum.project import Project
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over
from tests.fixtures.manifests import NOW, a_manifest


@dataclass(kw_only=True, slots=True)
class FakeProject:
    """A project with one volume, whose services do not become healthy where that is wanted."""

    volume: VolumeLook = field(default_factory=lambda: VolumeLook(name="pg_data", exists=True))
    fails: bool = False
    external: bool = False
    is_told: bool = False
    """Whether the containers know the passwords of .env."""
    started: list[tuple[str, ...]] = field(default_factory=list)

    def look(self) -> tuple[None, VolumeLook]:
        return None, self.volume

    def start(self, services: Sequence[str] = ()) -> None:
        self.started.append(tuple(services))
        if self.fails:
            raise StratumError("container-not-serving", service="frontend", state="unhealthy", log="-")

    def inside(self, argv: Sequence[str], *, under: str | None = None) -> dict[str, Any]:
        del under
        if argv == ("destroy", "--dry-run"):
            return {"plan": {"notes": ["in NO final backup: database diary"]}}
        if self.fails:
            raise StratumError("backup-service-away", problem="exited")
        return {}

    def write_secrets(self) -> None:
        self.is_told = True

    def down(self) -> None:
        return


@dataclass(kw_only=True, slots=True)
class FakeRuntime:
    """Remembers whether the cluster was removed."""

    removed: bool = False
    made: bool = False

    def create_cluster(self, *, bootstrap_role: str | None, application_database: bool) -> None:
        del bootstrap_role
        self.made = not application_database

    def remove_cluster(self) -> None:
        self.removed = True

    def put_cluster_back(self, label: str) -> None:
        del label


def test_a_service_that_does_not_start_takes_no_recovered_volume_with_it() -> None:
    """Others may have started and written by then."""
    project, runtime = FakeProject(fails=True), FakeRuntime()
    ports, plan = _ports(project, runtime), _plan("rebuild-volume", forward_from="services")
    actions = tuple(_as_done(a) for a in rebuild_actions(plan, ports))

    with pytest.raises(StratumError) as raised:
        run_plan(Prepared(plan=plan, actions=actions), ports)

    assert (raised.value.code, runtime.removed) == ("plan-unfinished", False)


@pytest.mark.parametrize(
    ("there", "removed"),
    [
        (VolumeLook(name="pg_data", exists=True, system_identifier="7"), True),
        (VolumeLook(name="pg_data", exists=True, system_identifier="8"), False),
        (VolumeLook(name="pg_found_again", exists=True, system_identifier="7"), False),
    ],
)
def test_a_cut_recovery_removes_its_own_cluster_alone(there: VolumeLook, removed: bool) -> None:
    project, runtime = FakeProject(volume=there), FakeRuntime()
    make = rebuild_actions(_plan("rebuild-volume"), _ports(project, runtime))[1]
    assert make.undo is not None

    make.undo({"set_aside": False, "cluster": "7"})

    assert runtime.removed is removed


def test_containers_are_told_the_passwords_that_a_recovered_cluster_is_made_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """.env may have others than at the last `up`, and without them nobody could restore into the new cluster."""
    monkeypatch.setattr(rebuild_volume, "find_manifest", lambda *_: a_manifest("b"))
    project, runtime = FakeProject(), FakeRuntime()

    rebuild_actions(_plan("rebuild-volume"), _ports(project, runtime))[1].run({})

    assert (runtime.made, project.is_told) == (True, True)


@pytest.mark.parametrize(
    ("verb", "last", "actions_of"), [("update", "release", update_actions), ("rollback", "record", rollback_actions)]
)
def test_a_release_that_serves_is_not_taken_back_for_want_of_its_record(
    verb: str, last: str, actions_of: Callable[[Plan, Ports], tuple[Action, ...]]
) -> None:
    """A later command may finish it, with rows in the databases that came since."""
    project, runtime = FakeProject(fails=True), FakeRuntime()
    ports = _ports(project, runtime)
    plan = replace(_plan(verb, forward_from=last), steps=_steps("start", last))
    every = actions_of(plan, ports)
    back: list[str] = []
    first = Action(name="start", run=lambda _: None, undo=lambda _: back.append("start"))

    with pytest.raises(StratumError) as raised:
        run_plan(Prepared(plan=plan, actions=(first, every[1])), ports)

    assert (raised.value.code, back) == ("plan-unfinished", [])


def test_destroying_a_volume_names_the_databases_that_are_in_no_backup() -> None:
    project = FakeProject()
    shown: list[Plan] = []

    def show(prepared: Prepared, ports: Ports) -> Outcome:
        del ports
        shown.append(prepared.plan)
        return Outcome(plan=prepared.plan, end=None, facts={})

    ports = replace(_ports(project, FakeRuntime()), run=show)
    ports.archive.initialise("led")
    destroy_volume(ports, cast("Project", project))

    assert [plan.notes for plan in shown] == [("in NO final backup: database diary",)]


def _as_done(action: Action) -> Action:
    """All steps but the last went well."""
    return action if action.name == "services" else replace(action, run=_nothing)


def _nothing(_: Facts) -> None:
    return


def _ports(project: FakeProject, runtime: FakeRuntime) -> Ports:
    ports = ports_over(RecordingJournal(World()))
    return replace(ports, project=cast("Project", project), runtime=cast("Runtime", runtime))


def _steps(*names: str) -> tuple[Step, ...]:
    return tuple(Step(name=name, summary=name) for name in names)


def _plan(verb: str, *, forward_from: str | None = None) -> Plan:
    names = ("set-aside", "make-cluster", "start-database", "restore", "services")
    return Plan(
        id=f"plan-{verb}",
        verb=verb,
        stack="led",
        created_at=NOW,
        headline=verb,
        steps=_steps(*names),
        params={
            "backup_id": "b",
            "volume": "pg_data",
            "aside": "aside",
            "label": "abcd",
            "own_label": "efgh",
            "databases": [],
            "services": [],
            "commit_before": None,
            "commit_now": None,
            "commit": None,
        },
        forward_from=forward_from,
    )
