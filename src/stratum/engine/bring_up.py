"""up and stop: the cluster is made once, started, and recognised before anyone works on it."""

from __future__ import annotations

from stratum.core.errors import StratumError
from stratum.core.identity import Likeness
from stratum.core.plan import Effect, Facts, Plan, Step
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
    Raises the tripwire's errors; a look-alike that was stopped before is stopped again.
    """
    state = ports.runtime.observe()
    if state.state is RunState.DAMAGED:
        raise StratumError("server-start-failed", log=state.detail)
    if state.state is RunState.ABSENT:
        _refuse_unless_first(ports)
    now = ports.clock.now()
    making = (_MAKE,) if state.state is RunState.ABSENT else ()
    plan = Plan(
        id=new_plan_id(now),
        verb="up",
        stack=ports.stack.name,
        created_at=now,
        headline=f"bring {ports.stack.name} up",
        steps=(*making, _START, _RECOGNISE),
        params={"make": state.state is RunState.ABSENT, "was_running": state.state is RunState.RUNNING},
        notes=(state.detail,),
        forward_from="start",
    )
    return ports.run(Prepared(plan=plan, actions=up_actions(plan, ports)), ports)


_MAKE = Step(
    name="make-cluster",
    summary="make a new PostgreSQL cluster with its roles and an empty application database",
    effect=Effect.ADDS,
    way_back="a half-made cluster is removed; a whole one stays, for somebody may have written to it since",
)
_START = Step(name="start", summary="start PostgreSQL and wait until it answers", way_back="it is stopped again")
_RECOGNISE = Step(name="recognise", summary="compare the cluster with the recorded one, and record it")


def up_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Undone, they leave a cluster that was there before as it was."""

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
        if not plan.params["was_running"]:
            ports.runtime.stop()

    def recognise(_: Facts) -> None:
        refuse_look_alike(ports)
        record_identity(ports)

    making = (Action(name="make-cluster", run=make, undo=unmake),) if plan.params["make"] else ()
    return (*making, Action(name="start", run=start, undo=unstart), Action(name="recognise", run=recognise))


def take_down(ports: Ports) -> None:
    """Stop the database the clean way, after noting how far it got; the data stays where it is."""
    if ports.runtime.observe().state is RunState.RUNNING:
        if observe_sighting(ports).likeness is Likeness.SAME:
            record_identity(ports)
        ports.runtime.stop()


def _refuse_unless_first(ports: Ports) -> None:
    recorded = ports.archive.recorded_identity()
    if recorded is not None:
        raise look_alike_error(Sighting(likeness=Likeness.ABSENT, recorded=recorded, observed=None), ports)
