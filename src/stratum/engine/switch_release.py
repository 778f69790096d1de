"""The part of update and rollback while the application is away: from the stop to the release that serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from stratum.core.containers import BACKUP, HOST_VARIABLE, POSTGRES
from stratum.core.plan import Effect, Facts, JournalKind, Plan, Step
from stratum.engine.deploy import names_in
from stratum.engine.releases import record_release
from stratum.engine.run_command import run_application
from stratum.ports import Action, Ports
from stratum.project import Project

PUBLISH = "publish"
START = Step(name="start", way_back="it is stopped again",
             summary="start the release with nothing published, and wait until each service is healthy")  # fmt: skip
VERIFY = Step(
    name="verify",
    summary="ask the application whether it is well and still up, and compare the cluster with the record",
)
COMMIT = Step(name="release", summary="commit the release: nobody has written to it yet, and it stays from here on",
              effect=Effect.ADDS, way_back="none by itself: `stratum rollback` leads back")  # fmt: skip
OPEN = Step(name=PUBLISH, summary="publish its ports, and wait until each service is healthy again",
            way_back="none by itself: `stratum rollback` leads back")  # fmt: skip


def switch_params(ports: Ports, project: Project) -> Facts:
    """What the steps have to know of the services: which are stopped, and which nobody can keep others from."""
    services = project.application_services()
    beside = project.reach.beside()
    return {
        "services": [*services, *beside],
        "beside": list(beside),
        "reachable": list(project.reach.always(services)),
        "external": ports.stack.external,
    }


def switch_notes(params: Facts, *, with_data: bool) -> tuple[str, ...]:
    """What the person should know of it."""
    reachable = names_in(params["reachable"])
    if not reachable or not with_data:
        return ()
    said = (
        f"{', '.join(reachable)} cannot be kept from others: no port is published, but the network is shared. "
        "Once it was started, a failure brings the code back and leaves the data"
    )
    return (said,)


def switch_actions(plan: Plan, ports: Ports, project: Project, *, checks: tuple[str, ...]) -> Mapping[str, Action]:
    """What the steps do. The start is undone; the commit is not: from then on a failure goes forward.

    `checks` are those of `[commands]` that the release has to pass before the commit.
    """
    services, beside = names_in(plan.params["services"]), names_in(plan.params.get("beside"))
    # A plan of an older release has no such step, and opens its ports at the start.
    hidden = any(step.name == PUBLISH for step in plan.steps)

    def stop(_: Facts) -> Facts:
        began = ports.clock.now()
        project.stop(services)
        return {"stopped_at": began.isoformat()}

    def start(_: Facts) -> None:
        project.start(unpublished=hidden)

    def unstart(_: Facts) -> None:
        project.stop(services)

    def verify(_: Facts) -> Facts:
        answer = project.inside(("identity", "check", "--heads"))
        _run_checks(checks, plan, ports, project)
        project.reach.refuse_unsteady([name for name in services if name not in beside])
        heads = [f"{name}={head}" for name, head in answer["heads"].items()]
        return {"likeness": str(answer.get("likeness")), "heads": heads}

    def commit(facts: Facts) -> Facts:
        # Nothing more than this while the application is away: what can wait is done once it serves.
        known = facts.get("heads")
        heads = dict(pair.split("=", 1) for pair in names_in(known)) if known is not None else None
        return {"commit": project.source.commit(), "release": record_release(ports, plan, heads=heads).id}

    def publish(facts: Facts) -> Facts:
        # Every second of this is downtime: the database runs, and the guard let this release pass when it started.
        project.start((*project.application_services(), *beside), alone=True)
        now = ports.clock.now()
        start_all(project, beside)
        project.inside(("identity", "check", "--record"))
        began = datetime.fromisoformat(str(facts["stopped_at"]))
        return {"published_at": now.isoformat(), "downtime_seconds": round((now - began).total_seconds(), 1)}

    return {
        "stop": Action(name="stop", run=stop),
        "start": Action(name="start", run=start, undo=unstart),
        "verify": Action(name="verify", run=verify),
        COMMIT.name: committed(Action(name=COMMIT.name, run=commit)),
        PUBLISH: Action(name=PUBLISH, run=publish),
    }


def _run_checks(checks: tuple[str, ...], plan: Plan, ports: Ports, project: Project) -> None:
    """Those of them that are set, each told where the release of this plan is reached. Raises `command-failed`."""
    second = bool(plan.params.get("no_downtime"))
    host = project.side_by_side.host_of(ports.stack.commands.service, second=second)
    for name in checks:
        if getattr(ports.stack.commands, name):
            run_application(ports, name, told={HOST_VARIABLE: host})


def committed(action: Action) -> Action:
    """The same step as the one after which nothing is taken back: the release was found well when it began."""
    took_effect: Callable[[Facts], bool] = lambda _: True  # noqa: E731 - one word more than the expression
    return Action(name=action.name, run=action.run, took_effect=took_effect)


def start_all(project: Project, beside: tuple[str, ...]) -> None:
    """The project with its ports open, and what ran beside it."""
    project.start()
    if beside:
        project.start(beside, alone=True)


def start_database(project: Project) -> None:
    """The database, where it is the project's, and the service that works on it."""
    project.start((BACKUP,) if project.external else (POSTGRES, BACKUP))


def is_open_to_others(plan: Plan, ports: Ports, project: Project) -> bool:
    """Whether the application runs though this plan has not started it: somebody did, or Docker at a boot.

    What was acknowledged since is in the database of now, and no copy of before may take its place. Once the plan has
    started it itself, its ports are closed, and it was stopped again before anybody asks here.
    """
    if was_begun(plan, ports, START.name):
        return False
    ours = names_in(plan.params["services"])
    found = [one.service for one in project.containers() if one.service in ours and one.state == "running"]
    if found:
        ports.progress.say(
            f"{', '.join(found)} ran before this plan let it and may have written: the data stays as it is, and what "
            "it was before is kept beside"
        )
    return bool(found)


def was_reached(plan: Plan, ports: Ports) -> bool:
    """Whether others may have written to the new release: it was started where nobody could be kept from it."""
    if not names_in(plan.params.get("reachable")):
        return False
    return was_begun(plan, ports, START.name)


def was_begun(plan: Plan, ports: Ports, step: str) -> bool:
    """Whether the journal has the beginning of a step."""
    entries = (entry for entry in ports.journal.entries() if entry.plan_id == plan.id)
    return any(entry.kind is JournalKind.STEP_STARTED and entry.step == step for entry in entries)
