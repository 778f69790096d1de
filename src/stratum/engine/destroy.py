"""destroy: the only way to delete data; three confirmations, a proven backup, and a final one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from stratum.core.errors import StratumError
from stratum.core.guard import GuardResult
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.proof import Verdict, newest_proven
from stratum.core.sizes import render_age
from stratum.engine.deploy import project_of
from stratum.engine.run_drill import find_manifest, run_drill
from stratum.engine.run_plan import new_plan_id
from stratum.engine.take_dump import take_dump
from stratum.engine.tripwire import refuse_look_alike
from stratum.engine.work_inside import back_up_inside, drill_inside
from stratum.ports import Action, Outcome, Ports, Prepared, Role, RunState
from stratum.project import Project

_FRESH = timedelta(days=1)
_STEPS = (
    Step(name="final-backup", summary="take a final backup and prove it by a drill", effect=Effect.ADDS,
         way_back="it stays: a backup harms nothing"),
    Step(name="delete", summary="end the services and PostgreSQL, and delete the data directory", effect=Effect.REMOVES,
         way_back="none but the final backup: `stratum restore` makes a new cluster from it", asks=True),
)  # fmt: skip


def destroy(ports: Ports) -> Outcome:
    """Delete the stack's data directory. The archive stays, with a final, proven backup in it.

    Raises `not-from-here` for a server of the user's own, `no-proven-backup`, the tripwire's errors, `declined`, and
    what a backup or a drill raises; the data is untouched after any of them.
    """
    _refuse_own_server(ports)
    refuse_look_alike(ports)
    now = ports.clock.now()
    plan = Plan(
        id=new_plan_id(now),
        verb="destroy",
        stack=ports.stack.name,
        created_at=now,
        headline=f"delete all data of {ports.stack.name}; the archive stays",
        steps=_STEPS,
        guards=(_proven_guard(ports),),
        notes=_unguarded(ports),
        forward_from="delete",
        confirmations=3,
    )
    return ports.run(Prepared(plan=plan, actions=destroy_actions(plan, ports)), ports)


def destroy_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. They remove the cluster; nothing is removed from the archive."""

    def final_backup(_: Facts) -> Facts:
        backup_id = str(take_dump(ports).facts["backup_id"])
        drilled = run_drill(find_manifest(backup_id, ports), ports)
        if drilled.facts.get("verdict") != Verdict.PROVEN.value:
            raise StratumError("no-proven-backup", verb=plan.verb, state=f"the final one is {drilled.facts['verdict']}")
        return {"final_backup": backup_id}

    def delete(_: Facts) -> None:
        ports.services.stop()
        ports.runtime.remove_cluster()

    def known(facts: Facts) -> tuple[str, ...]:
        return (f"the final backup {facts['final_backup']} is proven and stays in the archive",)

    def is_deleted(_: Facts) -> bool:
        return ports.runtime.observe().state is RunState.ABSENT

    return (
        Action(name="final-backup", run=final_backup),
        Action(name="delete", run=delete, known=known, took_effect=is_deleted),
    )


def destroy_volume(ports: Ports, project: Project) -> Outcome:
    """The same on the host of a Compose stack: containers, volume and holder go; archive, images and files stay."""
    _refuse_own_server(ports)
    # Nobody but the service `backup` sees what databases there are; it refuses a look-alike as well.
    shown = project.inside(("destroy", "--dry-run"))
    now = ports.clock.now()
    final, delete = _STEPS
    plan = Plan(
        id=new_plan_id(now),
        verb="destroy-volume",
        stack=ports.stack.name,
        created_at=now,
        headline=f"delete all data of {ports.stack.name}; the archive stays",
        steps=(final, replace(delete, summary="remove the containers, and delete the data volume with its holder")),
        guards=(_proven_guard(ports),),
        notes=tuple(map(str, shown["plan"]["notes"])),
        forward_from="delete",
        confirmations=3,
    )
    return ports.run(Prepared(plan=plan, actions=destroy_volume_actions(plan, ports)), ports)


def destroy_volume_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do on the host; nothing is removed from the archive."""
    project = project_of(ports)

    def final_backup(_: Facts) -> Facts:
        backup_id = back_up_inside(ports, project)
        verdict = drill_inside(backup_id, ports, project)
        if verdict is not Verdict.PROVEN:
            raise StratumError("no-proven-backup", verb=plan.verb, state=f"the final one is {verdict}")
        return {"final_backup": backup_id}

    def known(facts: Facts) -> tuple[str, ...]:
        return (f"the final backup {facts['final_backup']} is proven and stays in the archive",)

    def is_deleted(_: Facts) -> bool:
        return ports.runtime.observe().state is RunState.ABSENT

    def delete(_: Facts) -> None:
        ports.runtime.remove_cluster()

    return (
        Action(name="final-backup", run=final_backup),
        Action(name="delete", run=delete, known=known, took_effect=is_deleted),
    )


def _refuse_own_server(ports: Ports) -> None:
    """What was there before Stratum, and is run by somebody else, is not Stratum's to delete."""
    if ports.stack.external:
        raise StratumError("not-from-here", what="delete the data of a server of your own")


def _unguarded(ports: Ports) -> tuple[str, ...]:
    """Databases that go with the cluster and are in no final backup, for the person who has to type three times."""
    found = ports.runtime.server(Role.MAINTENANCE).database.database_oids().keys()
    names = sorted(found - {*ports.stack.databases, "postgres"})
    return tuple(f"in NO final backup, and deleted for good: database {name}" for name in names)


def _proven_guard(ports: Ports) -> GuardResult:
    proven = newest_proven(ports.archive.manifests(), ports.archive.proofs())
    age = ports.clock.now() - proven.taken_at if proven else None
    state = f"the newest proven one is {render_age(age)} old" if age is not None else "none is proven"
    return GuardResult(
        name="proven-today",
        holds=age is not None and age < _FRESH,
        statement=state,
        code="no-proven-backup",
        details={"verb": "destroy", "state": state},
    )
