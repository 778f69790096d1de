"""update: back up, prove, build, stop, copy, migrate, start, verify; back by itself when any of it fails.

The short form: the plan object, journal and way back are those of every other verb, so that steps can be put in.
"""

from __future__ import annotations

from collections.abc import Mapping

from stratum.core.containers import BACKUP, POSTGRES
from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, JournalKind, Plan, PlanEnd, Step, observe_progress
from stratum.core.proof import Verdict
from stratum.engine.deploy import kept_images, names_in, observe_volume, project_of
from stratum.engine.rehearse import VERB as REHEARSE
from stratum.engine.rehearse import rehearsal_on_host
from stratum.engine.releases import record_found
from stratum.engine.restore_point import NAME_MOMENT, name_action, name_steps
from stratum.engine.run_command import run_application
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.switch_release import (
    COMMIT,
    OPEN,
    START,
    VERIFY,
    is_open_to_others,
    start_all,
    start_database,
    switch_actions,
    switch_notes,
    switch_params,
    was_reached,
)
from stratum.engine.undo_copy import taken_back_name
from stratum.engine.update_beside import STEPS as BESIDE
from stratum.engine.update_beside import actions_beside, refuse_downtime_needed
from stratum.engine.work_inside import back_up_inside, drill_inside
from stratum.ports import Action, Outcome, Ports, Prepared
from stratum.project import Project

# fmt: off
_BEFORE = (
    Step(name="backup", summary="take a backup of the running databases", effect=Effect.ADDS,
         way_back="it stays: a backup harms nothing"),
    Step(name="prove", summary="prove it by a drill"),
    Step(name="keep", summary="give the images that run now a second name", effect=Effect.ADDS,
         way_back="the release of before is started again, and waited for"),
    Step(name="source", summary="move the stack's files to the new commit, where they are a git checkout",
         way_back="the commit of before is checked out"),
    Step(name="build", summary="build the new images; what runs goes on",
         way_back="the images of before get their names back"),
    Step(name="renew", summary="let the service that backs up run its new image, while the application serves",
         way_back="it runs the one of before again"),
    Step(name="rehearse", summary="run the new version on a clone of that backup, which reaches nothing else",
         way_back="the clone is thrown away"),
)
_AWAY = (
    Step(name="stop", summary="stop the application's services; the database goes on",
         way_back="they are started again"),
    NAME_MOMENT,
    Step(name="undo-copy", summary="copy the databases beside, as they are with nobody writing", effect=Effect.ADDS,
         way_back="the copies take the place of what was migrated, which is kept"),
    Step(name="migrate", summary="run the application's migrations", effect=Effect.ADDS,
         way_back="the copies of before are put in place"),
    START,
    VERIFY,
    COMMIT,
    OPEN,
)
_TIDY = Step(name="tidy", summary="let go of what led back beyond the release of before", effect=Effect.REMOVES,
             way_back="none: the backups stay")
# fmt: on


def update(
    ports: Ports, project: Project, *, to: str | None = None, accept: tuple[str, ...] = (), no_downtime: bool = False
) -> Outcome:
    """Bring the stack to another release of its application, or of Stratum, without losing a row.

    Whatever fails, what ran before runs again on the data of before, by itself. Raises `update-taken-back` then, with
    what the failing step said; what a way back that failed raises; `source-changed` where a release would be known by a
    commit that it is not; and the refusals of a stack that cannot be updated.
    What the rehearsal finds wrong stops it before anything is stopped, but for what is in `accept` by name.

    With `no_downtime` nothing that serves is stopped: see `update_beside`. Raises `no-downtime-impossible` where that
    cannot be; a release that cannot serve beside the one before ends as `needs-downtime`, taken back.
    """
    project.check()
    project.source.refuse_changed()
    if not project.external:
        observe_volume(ports, project)
    plan = _plan(ports, project, to=to, accept=accept, no_downtime=no_downtime)
    try:
        return ports.run(Prepared(plan=plan, actions=update_actions(plan, ports)), ports)
    except StratumError as error:
        if _was_taken_back(plan, ports):
            raise _taken_back(plan, ports, error) from None
        raise


def _plan(ports: Ports, project: Project, *, to: str | None, accept: tuple[str, ...], no_downtime: bool) -> Plan:
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    commands, switch = ports.stack.commands, switch_params(ports, project)
    skipped = frozenset() if commands.migrate else frozenset({"migrate"})
    skipped |= frozenset() if name_steps(ports) else {NAME_MOMENT.name}
    rehearsed = _is_rehearsed(ports, project)
    skipped |= frozenset() if rehearsed else {REHEARSE}
    if no_downtime:
        refuse_downtime_needed(ports, project, rehearsed=rehearsed, accept=accept)
        skipped |= frozenset() if commands.migrate else {"migrate-beside"}
    way = BESIDE if no_downtime else _AWAY
    notes = _BESIDE_NOTES if no_downtime else (*switch_notes(switch, with_data=True), _downtime_note(ports))
    return Plan(
        id=plan_id,
        verb="update",
        stack=ports.stack.name,
        created_at=now,
        headline=f"update {ports.stack.name}" + (f" to {to}" if to else ""),
        steps=tuple(step for step in (*_BEFORE, *way, _TIDY) if step.name not in skipped),
        params={
            "label": short(plan_id),
            "to": to,
            "commit_before": project.source.commit(),
            "branch_before": project.source.branch(),
            **switch,
            "accept": list(accept),
            "no_downtime": no_downtime,
        },
        notes=(*_notes(project, ports), *notes),
        forward_from="release",
    )


_BESIDE_NOTES = (
    "nobody is turned away who comes through nginx; ports published by the services themselves close for seconds",
    "no copy of the data is made: what the migration adds stays, also where the update is taken back",
)


def _taken_back(plan: Plan, ports: Ports, because: StratumError) -> StratumError:
    """Says where the databases are that the release had changed; none where it did not come so far."""
    said = {"code": because.code, "problem": because.message, "next": because.next}
    if was_reached(plan, ports):
        return StratumError("update-code-taken-back", **said)
    entries = [entry for entry in ports.journal.entries() if entry.plan_id == plan.id]
    if any(entry.step == "migrate-beside" for entry in entries):
        return StratumError("update-migration-stays", **said)
    copied = any(entry.kind is JournalKind.STEP_DONE and entry.step == "undo-copy" for entry in entries)
    names = [taken_back_name(name, str(plan.params["label"])) for name in ports.stack.databases if copied]
    return StratumError("update-taken-back", **said, kept=", ".join(names) or "–")


def _was_taken_back(plan: Plan, ports: Ports) -> bool:
    """Whether every step that had begun was undone; before the first step nothing was."""
    entries = ports.journal.entries()
    if all(entry.plan_id != plan.id for entry in entries):
        return False
    return observe_progress(entries, plan.id).end is PlanEnd.COMPENSATED


def _is_rehearsed(ports: Ports, project: Project) -> bool:
    """Whether there is anything that can be tried on a clone."""
    runs = bool(ports.stack.commands.migrate) or ports.stack.rehearsal.start
    return runs and ports.stack.commands.service in project.application_services()


def _notes(project: Project, ports: Ports) -> tuple[str, ...]:
    notes = [] if project.source.commit() else ["the stack's files are no git checkout: only the images are built anew"]
    if not ports.stack.commands.migrate:
        notes.append("[commands] migrate is not set: the application migrates by itself, if at all")
    if not _is_rehearsed(ports, project):
        notes.append("nothing is rehearsed: [commands] names no service of this project, or nothing to run in it")
    return (*notes, *_limits(project, ports))


def _limits(project: Project, ports: Ports) -> tuple[str, ...]:
    """What the way back does not reach."""
    elsewhere = [name for name in project.images.not_built() if name in project.application_services()]
    notes = []
    if elsewhere:
        notes.append(f"the image of {', '.join(elsewhere)} is not built here: no way back brings an older one back")
    if ports.stack.external or any(one.service == POSTGRES and one.port is not None for one in project.containers()):
        notes.append(
            "the database can be reached past the application: what others write from the copy on is set aside where "
            "the update is taken back"
        )
    return tuple(notes)


def _downtime_note(ports: Ports) -> str:
    """What is known beforehand of how long nobody is served: how it went the last time."""
    entries = (e for e in ports.journal.entries() if e.verb == "update" and e.kind is JournalKind.STEP_DONE)
    measured = [e.facts["downtime_seconds"] for e in entries if "downtime_seconds" in e.facts]
    away = "the application is away from the stop until its ports are open again"
    if not measured:
        return f"{away}; how long that takes here is measured by the first update"
    return f"{away}: {measured[-1]} s the last time. Copying the databases is part of it, and grows with them"


def update_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do, and how each is taken back."""
    project = project_of(ports)
    actions = {
        **_before(plan, ports, project),
        **_new_code(plan, ports, project),
        **_after(plan, ports, project),
        **actions_beside(plan, ports, project),
    }
    return tuple(actions[step.name] for step in plan.steps)


def _before(plan: Plan, ports: Ports, project: Project) -> Mapping[str, Action]:
    """What is seen to before anything of the new release runs where the data is."""

    def backup(_: Facts) -> Facts:
        return {"backup_id": back_up_inside(ports, project)}

    def prove(facts: Facts) -> None:
        backup_id = str(facts["backup_id"])
        verdict = drill_inside(backup_id, ports, project)
        if verdict is not Verdict.PROVEN:
            raise StratumError("backup-not-proven", backup=backup_id, verdict=verdict)

    return {
        "backup": Action(name="backup", run=backup),
        "prove": Action(name="prove", run=prove),
        REHEARSE: rehearsal_on_host(plan, ports, project),
    }


def _new_code(plan: Plan, ports: Ports, project: Project) -> Mapping[str, Action]:
    """Files and images of the new release, while the one of before serves."""
    label, before = str(plan.params["label"]), plan.params["commit_before"]

    def keep(_: Facts) -> Facts:
        record_found(ports)
        kept = project.images.keep(f"before-{label}")
        return {"images": [f"{service}={image}" for service, image in kept.items()]}

    def back_to_service(_: Facts) -> None:
        if plan.params.get("no_downtime"):
            # Nothing else was made anew, and what serves is not touched.
            project.start((BACKUP,), alone=True)
        else:
            start_all(project, names_in(plan.params.get("beside")))

    def source(_: Facts) -> Facts:
        to = plan.params["to"]
        return {"commit": project.source.move(str(to) if to else None)}

    def source_back(_: Facts) -> None:
        if before is not None and project.source.commit() != before:
            branch = plan.params.get("branch_before")
            project.source.put_back(str(before), branch=str(branch) if branch else None)

    def build(_: Facts) -> None:
        project.stage()
        project.build()

    def renew(_: Facts) -> None:
        # What follows is done inside it, by the new release's own code, and nobody waits for it once nothing serves.
        project.start((BACKUP,), alone=True)
        if not plan.params.get("no_downtime"):
            # Whether the undo copy has room is asked now, and not only while the application is away.
            project.inside(("undo-copy", "room", label), under=ports.lock.token)

    def images_back(facts: Facts) -> None:
        project.images.use(kept_images(facts))

    return {
        "keep": Action(name="keep", run=keep, undo=back_to_service),
        "source": Action(name="source", run=source, undo=source_back),
        "build": Action(name="build", run=build, undo=images_back),
        "renew": Action(name="renew", run=renew),
    }


def _after(plan: Plan, ports: Ports, project: Project) -> Mapping[str, Action]:
    """What is done while nobody writes, and the start of the new release."""
    under, label = ports.lock.token, str(plan.params["label"])

    def copy(_: Facts) -> Facts:
        answer = project.inside(("undo-copy", "make", label), under=under)
        return {"heads_before": [f"{name}={head}" for name, head in answer["heads"].items()]}

    def data_back(_: Facts) -> None:
        leave = was_reached(plan, ports) or is_open_to_others(plan, ports, project)
        project.stop(names_in(plan.params["services"]))
        start_database(project)
        if not leave:
            project.inside(("undo-copy", "back", label), under=under)

    def migrate(_: Facts) -> None:
        run_application(ports, "migrate")

    def tidy(_: Facts) -> None:
        for older in _older_labels(plan, ports):
            project.inside(("undo-copy", "drop", older), under=under)
            project.images.forget(f"before-{older}")

    return {
        **switch_actions(plan, ports, project, checks=("health", "smoke")),
        NAME_MOMENT.name: name_action(plan, ports),
        "undo-copy": Action(name="undo-copy", run=copy, undo=data_back),
        "migrate": Action(name="migrate", run=migrate),
        "tidy": Action(name="tidy", run=tidy),
    }


def _older_labels(plan: Plan, ports: Ports) -> tuple[str, ...]:
    """Updates whose copies are still there: from the last one that was done on, for its end took those before it."""
    entries = ports.journal.entries()
    updates = [e.plan for e in entries if e.plan is not None and e.verb == plan.verb and e.plan.id != plan.id]
    done = [n for n, found in enumerate(updates) if observe_progress(entries, found.id).end is PlanEnd.DONE]
    return tuple(str(found.params["label"]) for found in updates[done[-1] if done else 0 :])
