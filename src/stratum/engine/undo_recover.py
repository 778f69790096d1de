"""restore --undo on the host of a Compose stack: back to the volume that a recovered one took the place of."""

from __future__ import annotations

from stratum.core.plan import Plan, PlanEnd, PlanProgress, observe_progress
from stratum.engine.move_volume import VERB as MOVE
from stratum.engine.recover_volume import SERVICES, START, SWITCH, VERB, identity_text, switch_actions
from stratum.engine.run_plan import new_plan_id
from stratum.ports import Action, Outcome, Ports, Prepared
from stratum.project import Project

UNDO = "undo-recover-volume"
_OF_VOLUMES, _OF_DATABASES = {VERB, UNDO, MOVE}, {"restore", "undo-restore"}


def find_switched(ports: Ports, project: Project) -> PlanProgress | None:
    """The last switch of volumes, where it can be taken back: nothing was restored since, and the volume is there."""
    entries = ports.journal.entries()
    plans = [e.plan for e in entries if e.plan is not None and e.verb in _OF_VOLUMES | _OF_DATABASES]
    done = [found for plan in plans if (found := observe_progress(entries, plan.id)).end is PlanEnd.DONE]
    if not done or done[-1].plan.verb not in _OF_VOLUMES:
        return None
    params = done[-1].plan.params
    old, new = str(params["from_volume"]), str(params["to_volume"])
    if old == new or project.volumes.live() != new or not project.volumes.exists(old):
        return None
    return done[-1]


def undo_recover(ports: Ports, project: Project, switched: PlanProgress) -> Outcome:
    """Let .env name the volume before again, and start on it. What is live now stays in its own volume.

    Raises `declined` and what starting raises; .env then names the volume it named before.
    """
    project.check()
    now, params = ports.clock.now(), switched.plan.params
    plan = Plan(
        id=new_plan_id(now),
        verb=UNDO,
        stack=ports.stack.name,
        created_at=now,
        headline=f"go back to the volume {params['from_volume']}, as it was before {switched.plan.id}",
        steps=(SWITCH, START, SERVICES),
        params={
            "from_volume": params["to_volume"],
            "to_volume": params["from_volume"],
            "identity": params["identity_before"],
            "identity_before": identity_text(ports),
        },
        notes=("what is live now is kept in its own volume: `stratum restore --undo` again comes back to it",),
        forward_from="services",
        confirmations=1,
    )
    return ports.run(Prepared(plan=plan, actions=undo_recover_actions(plan, ports)), ports)


def undo_recover_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do: a switch of volumes, which is its own way back."""
    return switch_actions(plan, ports)
