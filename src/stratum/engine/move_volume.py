"""adopt --move: an adopted database out of the volume it was found in, into one with a name and a holder."""

from __future__ import annotations

import re
from dataclasses import replace

from stratum.core.errors import StratumError
from stratum.core.guard import GuardResult
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.proof import Verdict
from stratum.engine.deploy import observe_volume, project_of
from stratum.engine.recover_volume import SERVICES, START, SWITCH, identity_text, switch_actions
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.work_inside import back_up_inside, drill_inside
from stratum.ports import Action, Outcome, Ports, Prepared
from stratum.project import Project

VERB = "move-volume"
_NAMELESS = re.compile(r"[0-9a-f]{64}")
_STEPS = (
    Step(name="backup", summary="take a backup of the running databases", effect=Effect.ADDS,
         way_back="it stays: a backup harms nothing"),
    Step(name="prove", summary="prove it by a drill"),
    Step(name="make-volume", summary="make an empty volume with a name, hold it and the old one, and see that the "
         "copy has room", effect=Effect.ADDS, way_back="it is removed; the old one stays held"),
    Step(name="stop", summary="stop all containers: what writes first, then the database", asks=True,
         way_back="they are started again"),
    Step(name="copy", summary="copy every file of the stopped database, and compare the two by their digests",
         effect=Effect.ADDS, way_back="with the volume"),
    replace(SWITCH, asks=False),
    START,
    SERVICES,
)  # fmt: skip


def move_volume(ports: Ports, project: Project) -> Outcome:
    """Copy the live database's files into a held volume, and let .env name it. The old volume is never written to.

    Whatever fails, .env names the old volume again and what ran before runs on it. `restore --undo` goes back later.
    Raises `move-refused`, `backup-not-proven`, `volume-copy-not-whole`, `declined`, and what stopping and starting
    raise.
    """
    project.check()
    volume, now = observe_volume(ports, project), ports.clock.now()
    plan_id = new_plan_id(now)
    plan = Plan(
        id=plan_id,
        verb=VERB,
        stack=ports.stack.name,
        created_at=now,
        headline=f"move the data out of {_called(volume.name, volume.device)} into a held volume",
        steps=_STEPS,
        params={
            "from_volume": volume.name,
            "to_volume": _target(ports, project, plan_id),
            "identity": identity_text(ports),
            "identity_before": identity_text(ports),
        },
        guards=(_there(empty=volume.empty, name=volume.name), _not_ours(ports, volume.name)),
        notes=(
            "the application and the database stand still while the files are copied",
            "the old volume stays as it is, and held: `stratum restore --undo` goes back to it",
        ),
        forward_from="services",
        confirmations=1,
    )
    return ports.run(Prepared(plan=plan, actions=move_actions(plan, ports)), ports)


def _there(*, empty: bool, name: str) -> GuardResult:
    details = {"volume": name, "problem": "there is no cluster in it"}
    said = f"the volume {name} holds {'nothing' if empty else 'a cluster'}"
    return GuardResult(name="cluster-there", holds=not empty, statement=said, code="move-refused", details=details)


def _not_ours(ports: Ports, name: str) -> GuardResult:
    """A volume that a plan of Stratum's made has a name and a holder already."""
    made = {e.plan.params.get("to_volume") for e in ports.journal.entries() if e.plan is not None and e.verb == VERB}
    details = {
        "volume": name,
        "problem": "Stratum made it: it has a name, and a container outside the project holds it",
    }
    holds = name not in made
    said = f"the volume {name} was {'not ' if holds else ''}made by an earlier move"
    return GuardResult(name="not-moved-yet", holds=holds, statement=said, code="move-refused", details=details)


def _called(name: str, device: str) -> str:
    if device:
        return f"the directory {device}"
    return "a volume without a name" if _NAMELESS.fullmatch(name) else f"the volume {name}"


def _target(ports: Ports, project: Project, plan_id: str) -> str:
    """A name of its own: one that is there already is somebody's."""
    name = f"{ports.stack.name}_pg_data"
    return name if not project.volumes.exists(name) else f"{name}_{short(plan_id)}"


def move_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Each may be done again after a crash."""
    project, params = project_of(ports), plan.params
    old, new = str(params["from_volume"]), str(params["to_volume"])

    def prove(facts: Facts) -> None:
        verdict = drill_inside(str(facts["backup_id"]), ports, project)
        if verdict is not Verdict.PROVEN:
            raise StratumError("backup-not-proven", backup=str(facts["backup_id"]), verdict=verdict)

    def make(_: Facts) -> None:
        project.keep_volume()
        project.volumes.make(new)
        project.volumes.refuse_unmovable(old, new)

    def copy(_: Facts) -> Facts:
        ports.progress.say(f"copying the files of {old} into the volume {new}")
        return {"digest": project.volumes.copy(old, new)}

    def known(facts: Facts) -> tuple[str, ...]:
        return (f"backup {facts['backup_id']} is proven", f"the files go from {old} into the volume {new}")

    return (
        Action(name="backup", run=lambda _: {"backup_id": back_up_inside(ports, project)}),
        Action(name="prove", run=prove),
        Action(name="make-volume", run=make, undo=lambda _: project.volumes.remove(new)),
        Action(name="stop", run=lambda _: project.stop(), undo=lambda _: project.start(), known=known),
        Action(name="copy", run=copy),
        *switch_actions(plan, ports),
    )
