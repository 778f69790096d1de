"""up and stop: the cluster is made once, started, and recognised before anyone works on it; then the services."""

from __future__ import annotations

from stratum.core.errors import StratumError
from stratum.core.identity import Likeness
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.services import console_address
from stratum.engine.releases import note_release
from stratum.engine.run_plan import new_plan_id
from stratum.engine.tripwire import (
    Sighting,
    look_alike_error,
    observe_sighting,
    record_identity,
    refuse_look_alike,
)
from stratum.ports import Action, Outcome, Ports, Prepared, RunState


def bring_up(ports: Ports) -> Outcome:
    """Make the cluster at the first time, start it, and refuse a look-alike.

    Never makes a new cluster where one was recorded: an empty data directory is then a loss, not a start.
    Raises the tripwire's errors; a look-alike that was stopped before is stopped again. Where there is a console
    its services are started last: the errors of a service that does not serve leave the database running.
    """
    state = ports.runtime.observe()
    if state.state is RunState.DAMAGED:
        raise StratumError("server-start-failed", log=state.detail)
    if state.state is RunState.ABSENT:
        _refuse_unless_first(ports)
    now = ports.clock.now()
    making = (_MAKE,) if state.state is RunState.ABSENT else ()
    console = _console_steps(ports)
    plan = Plan(
        id=new_plan_id(now),
        verb="up",
        stack=ports.stack.name,
        created_at=now,
        headline=f"bring {ports.stack.name} up",
        steps=(*making, _START, _RECOGNISE, *console),
        params={
            "make": state.state is RunState.ABSENT,
            "was_running": state.state is RunState.RUNNING,
            "console": bool(console),
        },
        notes=(state.detail,),
        forward_from="start",
    )
    failed: list[StratumError] = []
    outcome = ports.run(Prepared(plan=plan, actions=up_actions(plan, ports, failed)), ports)
    if failed:
        raise failed[0]
    return note_release(ports, outcome)


_MAKE = Step(
    name="make-cluster",
    summary="make a new PostgreSQL cluster with its roles and an empty application database",
    effect=Effect.ADDS,
    way_back="a half-made cluster is removed; a whole one stays, for somebody may have written to it since",
)
_START = Step(name="start", summary="start PostgreSQL and wait until it answers", way_back="it is stopped again")
_RECOGNISE = Step(name="recognise", summary="compare the cluster with the recorded one, and record it")
_CONSOLE = Step(
    name="console-database",
    summary="make the console's role and database where they are missing",
    effect=Effect.ADDS,
    way_back="they stay: an empty database harms nothing",
)
_SERVICES = Step(
    name="services",
    summary="start what does not run of the agent, the backend and the frontend, and wait until each answers",
    way_back="they go on running, or are started again; the database does not depend on them",
)


_SERVICES_OFF = Step(
    name="services",
    summary="end the console's services: the console is turned off",
    way_back="turn it on again, and run `stratum up`",
)


def _console_steps(ports: Ports) -> tuple[Step, ...]:
    if ports.services.planned():
        return (_CONSOLE, _SERVICES)
    return (_SERVICES_OFF,) if ports.services.observe(ask=False) else ()


def up_actions(plan: Plan, ports: Ports, failed: list[StratumError] | None = None) -> tuple[Action, ...]:
    """What the plan's steps do. Undone, they leave a cluster that was there before as it was.

    A service that does not serve is no reason to stop the database: its error goes into `failed`.
    """

    def make(_: Facts) -> None:
        if ports.runtime.observe().state is RunState.ABSENT:
            ports.runtime.create_cluster(bootstrap_role=None, application_database=True)

    def unmake(_: Facts) -> None:
        """What was not finished is swept; a finished cluster is not ours to delete any more."""
        ports.runtime.sweep_scratch()

    def start(_: Facts) -> Facts:
        state = ports.runtime.start()
        return {"port": state.port, "detail": state.detail}

    def unstart(_: Facts) -> None:
        if not plan.params["was_running"] and not ports.stack.external:
            ports.runtime.stop()

    def recognise(_: Facts) -> None:
        refuse_look_alike(ports)
        record_identity(ports)

    making = (Action(name="make-cluster", run=make, undo=unmake),) if plan.params["make"] else ()
    console = _console_actions(plan, ports, failed) if plan.params.get("console") else ()
    return (*making, Action(name="start", run=start, undo=unstart), Action(name="recognise", run=recognise), *console)


def _console_actions(plan: Plan, ports: Ports, failed: list[StratumError] | None) -> tuple[Action, ...]:
    def prepare(_: Facts) -> Facts:
        made = ports.runtime.prepare_console()
        if made:
            # Whoever was signed in was a user of the database that is gone.
            ports.archive.raise_token_epoch(because=plan.id)
            record_identity(ports)
            ports.services.renew("backend")
        return {"console_made": made}

    def serve(_: Facts) -> Facts:
        try:
            ports.services.start()
        except StratumError as error:
            if failed is not None:
                failed.append(error)
            return {"not_serving": error.message}
        return {"console": console_address(ports.services.observe(ask=False))}

    actions = (Action(name="console-database", run=prepare), Action(name="services", run=serve))
    planned = {step.name for step in plan.steps}
    return tuple(action for action in actions if action.name in planned)


def take_down(ports: Ports) -> None:
    """End what writes, stop the database the clean way after noting how far it got, then the agent; the data stays.

    In this order the end of the WAL arrives in the archive. A commit that waits for a receiver holds nothing up: the
    server ends its session.

    A server of the user's own goes on running; raises `not-from-here` where there is nothing else to stop.
    """
    if ports.stack.external and not ports.services.observe(ask=False):
        raise StratumError("not-from-here", what="stop a server of your own")
    ports.services.stop_writers()
    if ports.runtime.observe().state is RunState.RUNNING:
        if observe_sighting(ports).likeness is Likeness.SAME:
            record_identity(ports)
        if not ports.stack.external:
            ports.runtime.stop()
    ports.services.stop()


def _refuse_unless_first(ports: Ports) -> None:
    recorded = ports.archive.recorded_identity()
    if recorded is not None:
        raise look_alike_error(Sighting(likeness=Likeness.ABSENT, recorded=recorded, observed=None), ports)
