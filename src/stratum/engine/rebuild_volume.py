"""restore on the host when the data volume is lost: a new cluster in a volume, and every database of a backup in it."""

from __future__ import annotations

from stratum.core.backup import Manifest
from stratum.core.containers import BACKUP, POSTGRES, VolumeLook
from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.proof import Verdict
from stratum.core.recovery import choose_backup, older_proven
from stratum.core.sizes import render_age
from stratum.engine.deploy import names_in, observe_volume, project_of
from stratum.engine.restore import Target, holds
from stratum.engine.run_drill import find_manifest
from stratum.engine.run_plan import new_plan_id, run_plan, short
from stratum.ports import Action, Outcome, Ports, Prepared, RunState
from stratum.project import Project

_STEPS = (
    Step(name="set-aside", summary="leave what is left of the old volume as it is, and go on with a new one",
         effect=Effect.SETS_ASIDE, way_back=".env names the old volume again", asks=True),
    Step(name="make-cluster", summary="make a new cluster with this stack's roles in the new volume",
         effect=Effect.ADDS, way_back="it is removed where the volume was empty; else it is not used any more"),
    Step(name="start-database", summary="start PostgreSQL and wait until it answers", way_back="it is stopped again"),
    Step(name="restore", summary="restore every database of the backup, verified before each takes its place",
         effect=Effect.ADDS, way_back="with the new volume"),
    Step(name="services", summary="start all other services behind the guard, and wait until each is healthy",
         way_back="`stratum up` starts them"),
)  # fmt: skip


def why_lost(ports: Ports, project: Project) -> str | None:
    """Why there is no cluster to restore into, in a sentence; None where there is one.

    There is none without a volume, with an empty or damaged one, or with one on which the server does not start: a
    stopped one is started to find out, and a dry run takes it for whole. Raises the refusals of `core.volume_rules`
    before that.
    """
    state = ports.runtime.observe()
    if state.state is not RunState.STOPPED or ports.run is not run_plan:
        return state.detail if state.state in {RunState.ABSENT, RunState.DAMAGED} else None
    observe_volume(ports, project)
    try:
        project.start((POSTGRES, BACKUP))
    except StratumError as error:
        if error.code != "container-not-serving" or error.details.get("service") != POSTGRES:
            raise
        return error.message
    return None


def rebuild_volume(ports: Ports, project: Project, target: Target, *, why: str) -> Outcome:
    """Make a new cluster and restore every database of one backup into it. What is left of the old volume stays.

    `why` the old one is taken for lost stands in the plan, before the person is asked: a full disk is no loss.
    Raises `no-backup-yet`, `nothing-to-restore`, `backup-damaged`, `declined`, and what making, starting and
    restoring raise; after any of them .env names the volume it named before.
    """
    if not ports.archive.manifests():
        raise StratumError("no-backup-yet")
    project.check()
    volume = observe_volume(ports, project)
    if ports.run is run_plan:
        _prepare(project, volume)
    manifest, notes = _choose(ports, project, target)
    elsewhere = _others(manifest, ports)
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    plan = Plan(
        id=plan_id,
        verb="rebuild-volume",
        stack=ports.stack.name,
        created_at=now,
        headline=f"restore {manifest.id}, taken {render_age(now - manifest.taken_at)} ago, into a new cluster",
        steps=_STEPS,
        params={
            "backup_id": manifest.id,
            "databases": [database.facts.properties.name for database in manifest.databases],
            "elsewhere": [f"{other.id} {name}" for name, other in elsewhere.items()],
            "aside": short(plan_id),
            "volume": volume.name,
            "why": why,
        },
        notes=(
            why,
            *notes,
            *(f"{name} is not in that backup, and comes from {other.id}" for name, other in elsewhere.items()),
        ),
        forward_from="services",
        confirmations=1,
    )
    return ports.run(Prepared(plan=plan, actions=rebuild_actions(plan, ports)), ports)


def _others(chosen: Manifest, ports: Ports) -> dict[str, Manifest]:
    """For each database that the backup lacks, as one taken in from a file does, the newest one that has it."""
    manifests, proofs = ports.archive.manifests(), ports.archive.proofs()
    missing = [name for name in ports.stack.databases if not holds(chosen, name)]
    found = {name: choose_backup((m for m in manifests if holds(m, name)), proofs, at=None) for name in missing}
    return {name: manifest for name, manifest in found.items() if manifest is not None}


def _prepare(project: Project, volume: VolumeLook) -> None:
    """Start the service that reads backups, without a database; a dry run does without."""
    if project.images.missing():
        project.build()
    if not volume.exists:
        # Compose starts nothing of a project whose external volume is missing; an empty one harms nothing.
        project.keep_volume()
    project.start((BACKUP,), alone=True)


def _choose(ports: Ports, project: Project, target: Target) -> tuple[Manifest, tuple[str, ...]]:
    """The backup to use, whose stored bytes were read just now, and what was passed over because it is damaged."""
    passed_over: list[str] = []
    while True:
        manifests, proofs = ports.archive.manifests(), ports.archive.proofs()
        asked = target.backup_id is not None
        manifest = (
            find_manifest(target.backup_id, ports)
            if target.backup_id is not None
            else choose_backup(manifests, proofs, at=target.at)
        )
        if manifest is None:
            raise _nothing(manifests, target)
        if ports.run is not run_plan or _reads_well(manifest, project, ports):
            return manifest, tuple(passed_over)
        if asked:
            older = older_proven(manifests, proofs, than=manifest)
            findings = f"`stratum verify {manifest.id}` lists them"
            instead = older.id if older else "(there is none)"
            raise StratumError("backup-damaged", backup=manifest.id, findings=findings, older=instead)
        passed_over.append(f"backup {manifest.id} is damaged and was passed over")


def _reads_well(manifest: Manifest, project: Project, ports: Ports) -> bool:
    """Whether every stored byte is as it was written; the verdict is recorded, so that a damaged one is passed over."""
    answer = project.inside(("verify", manifest.id), under=ports.lock.token)
    verdicts = [proof.get("verdict") for proof in answer.get("proofs", [answer])]
    return Verdict.FAILED.value not in verdicts


def _nothing(manifests: tuple[Manifest, ...], target: Target) -> StratumError:
    return StratumError(
        "nothing-to-restore",
        target=f"{target.at:%Y-%m-%d %H:%M:%S} UTC" if target.at else "any moment",
        oldest=f"{manifests[0].taken_at:%Y-%m-%d %H:%M:%S} UTC",
        newest=f"{manifests[-1].taken_at:%Y-%m-%d %H:%M:%S} UTC",
    )


def rebuild_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. The old volume is never written to."""
    project, params = project_of(ports), plan.params

    def restore(_: Facts) -> None:
        wanted = [(str(params["backup_id"]), name) for name in names_in(params["databases"])]
        wanted += [
            (backup_id, name) for backup_id, _, name in (e.partition(" ") for e in names_in(params["elsewhere"]))
        ]
        for backup_id, name in wanted:
            ports.progress.say(f"restoring {name}")
            command = ("restore", backup_id, "--database", name, "--confirm", plan.stack)
            project.inside(command, under=ports.lock.token)
        project.inside(("identity", "check", "--record"))

    def is_served(_: Facts) -> bool:
        """The first service to start may write; from then on a volume that is taken back would take rows with it."""
        return True

    return (
        *_making_actions(plan, ports, project),
        Action(name="start-database", run=lambda _: project.start((POSTGRES, BACKUP))),
        Action(name="restore", run=restore),
        Action(name="services", run=lambda _: project.start(), took_effect=is_served),
    )


def _making_actions(plan: Plan, ports: Ports, project: Project) -> tuple[Action, ...]:
    params = plan.params
    aside = str(params["aside"])

    def set_aside(_: Facts) -> Facts:
        return {"set_aside": ports.runtime.set_cluster_aside(aside)}

    def put_back(_: Facts) -> None:
        project.down()
        ports.runtime.put_cluster_back(aside)

    def make(_: Facts) -> Facts:
        if project.look()[1].empty:
            bootstrap = find_manifest(str(params["backup_id"]), ports).bootstrap_role
            ports.runtime.create_cluster(bootstrap_role=bootstrap, application_database=False)
            # It has the passwords of .env, which may have changed since containers were told the last time.
            project.write_secrets()
        return {"cluster": project.look()[1].system_identifier}

    def unmake(facts: Facts) -> None:
        """Where nothing was set aside the volume was empty, and what is in it now came out of the archive.

        A plan that was cut is taken back whenever the next command comes: until then somebody may have named another
        volume in .env, or put another cluster into this one, which is nobody's to remove.
        """
        there = project.look()[1]
        is_this_plans = there.name == params.get("volume", there.name)
        if not facts.get("set_aside") and is_this_plans and facts.get("cluster") in {None, there.system_identifier}:
            ports.runtime.remove_cluster()

    def known(_: Facts) -> tuple[str, ...]:
        return (str(params["why"]), "the old volume, should anything be left in it, is not touched")

    return (
        Action(name="set-aside", run=set_aside, undo=put_back, known=known),
        Action(name="make-cluster", run=make, undo=unmake),
    )
