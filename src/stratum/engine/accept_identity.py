"""identity accept: the person says that the cluster standing here is the right one."""

from __future__ import annotations

from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.engine.run_plan import new_plan_id
from stratum.engine.tripwire import Sighting, observe_sighting, record_identity
from stratum.ports import Action, Outcome, Ports, Prepared, RunState

_STEP = Step(
    name="accept",
    summary="record what stands here now as this stack's cluster",
    effect=Effect.SETS_ASIDE,
    way_back="the old record stays in the journal, and every backup stays in the archive",
    asks=True,
)


def accept_identity(ports: Ports) -> Outcome:
    """Record the cluster that stands here, or forget the recorded one when none does, so that `up` makes a new one."""
    if ports.runtime.observe().state is RunState.STOPPED:
        ports.runtime.start()
    sighting = observe_sighting(ports)
    now = ports.clock.now()
    plan = Plan(
        id=new_plan_id(now),
        verb="identity-accept",
        stack=ports.stack.name,
        created_at=now,
        headline=f"accept what stands here as {ports.stack.name}'s cluster",
        steps=(_STEP,),
        params={"recorded": sighting.recorded.system_identifier if sighting.recorded else None},
        confirmations=1,
    )
    return ports.run(Prepared(plan=plan, actions=accept_actions(plan, ports)), ports)


def accept_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's step does; forgetting a record deletes no data and no backup."""
    del plan

    def accept(_: Facts) -> None:
        if ports.runtime.observe().state is RunState.RUNNING:
            record_identity(ports)
        else:
            ports.archive.forget_identity()

    def known(_: Facts) -> tuple[str, ...]:
        return describe(observe_sighting(ports))

    return (Action(name="accept", run=accept, known=known),)


def describe(sighting: Sighting) -> tuple[str, ...]:
    """The sighting in three lines, for the person who has to judge it."""
    recorded = sighting.recorded.system_identifier if sighting.recorded else "none"
    observed = sighting.observed.system_identifier if sighting.observed else "none"
    return (
        f"recorded: cluster {recorded}",
        f"standing here: cluster {observed}",
        f"verdict: {sighting.likeness}",
    )
