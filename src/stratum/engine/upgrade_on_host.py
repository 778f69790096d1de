"""upgrade-postgres on the host of a Compose stack: another image and another volume, filled out of a proven backup."""

from __future__ import annotations

from collections.abc import Mapping

from stratum.core.containers import BACKUP, POSTGRES
from stratum.core.errors import StratumError
from stratum.core.guard import GuardResult
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.proof import Verdict
from stratum.core.volume_rules import wanted_mount
from stratum.engine.deploy import observe_volume, project_of
from stratum.engine.recover_volume import SERVICES, START, identity_text, record_text
from stratum.engine.restore_point import name_action, name_steps
from stratum.engine.run_drill import find_manifest
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.take_dump import space_guard
from stratum.engine.upgrade_postgres import (
    ANALYZE,
    DUMP,
    PROVE,
    SPARE_BYTES,
    TAKE_BACKUP,
    extensions_guard,
    refuse_databases_left_behind,
    refuse_other_way,
    settings_notes,
)
from stratum.engine.work_inside import back_up_inside, drill_inside
from stratum.ports import Action, Outcome, Ports, Prepared, RunState
from stratum.upgrade import HostUpgrade

VERB = "upgrade-volume"
_VARIABLES = ("POSTGRES_IMAGE", "POSTGRES_VOLUME", "POSTGRES_MOUNT")
_REHEARSE = Step(name="rehearse", summary="build the backup service on the new major, and prove the backup in it",
                 effect=Effect.ADDS, way_back="the images of before get their names back")  # fmt: skip
_STOP = Step(name="stop", summary="stop the application's services; the database goes on", asks=True,
             way_back="they are started again")  # fmt: skip
_SWITCH = Step(
    name="switch",
    summary="stop all containers, and let .env name the new image and an empty volume; the old volume stays as it is",
    effect=Effect.SETS_ASIDE,
    way_back=".env names the image and the volume of before again",
)
_MAKE = Step(name="make-cluster", summary="make a new cluster with this stack's roles in the new volume",
             effect=Effect.ADDS, way_back="it is removed")  # fmt: skip
_RESTORE = Step(name="restore", summary="restore every database of the backup, verified before each takes its place",
                effect=Effect.ADDS, way_back="with the new volume")  # fmt: skip


def upgrade_on_host(ports: Ports, major: int, *, image: str | None = None) -> Outcome:
    """Bring the stack's server to a newer major, in a volume of its own. The old volume is kept, and held.

    `image` is the new one; without, that of .env with another major. One of the same major may be named too, such as
    on another Debian, where text sorts otherwise: every index is made anew. Until the switch the old server is only
    read.
    Raises `upgrade-refused`, `image-missing`, `image-unusable`, `build-failed`, `backup-not-proven`,
    `upgrade-not-whole`, `restore-not-proven`, `declined`; the old cluster serves as before after any of them.
    """
    upgrade, project = host_upgrade_of(ports), project_of(ports)
    project.check()
    before = observe_volume(ports, project)
    values, new = upgrade.variables(), image or upgrade.image_for(major)
    if new == values["POSTGRES_IMAGE"] or before.major != major:
        refuse_other_way(before.major, major)
    if ports.runtime.observe().state is not RunState.RUNNING:
        raise StratumError("not-running", detail=ports.runtime.observe().detail)
    beside = refuse_databases_left_behind(major, upgrade.databases(), ports)
    if upgrade.image_major(new) != major:
        raise StratumError("upgrade-refused", major=major, problem=f"the image {new} is not of that major")
    _refuse_image_of_files(upgrade, values | {"POSTGRES_IMAGE": new}, major)
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    plan = Plan(
        id=plan_id,
        verb=VERB,
        stack=ports.stack.name,
        created_at=now,
        headline=f"bring PostgreSQL from {before.major} to {major}, in a volume of its own",
        steps=(TAKE_BACKUP, PROVE, _REHEARSE, *name_steps(ports), _STOP, DUMP, _SWITCH, _MAKE, START, _RESTORE,
               ANALYZE, SERVICES),
        params={
            "major": major,
            "from_major": before.major,
            "images": short(plan_id),
            "identity_before": identity_text(ports),
            **{f"from_{name}": value for name, value in values.items()},
            "to_POSTGRES_IMAGE": new,
            "to_POSTGRES_VOLUME": f"{values['POSTGRES_VOLUME'].partition('_after_')[0]}_after_{short(plan_id)}",
            "to_POSTGRES_MOUNT": wanted_mount(major),
        },
        guards=(extensions_guard(major, upgrade.missing_extensions(new, ports.stack.databases)),
                _room_guard(upgrade, ports)),
        notes=("the application stands still for as long as a backup and a restore take; the rehearsal says how long",
               f"the volume {values['POSTGRES_VOLUME']} stays as it is: `stratum upgrade-postgres --undo` goes back",
               *beside, *settings_notes(upgrade.own_settings())),
        forward_from="services",
        confirmations=1,
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=host_upgrade_actions(plan, ports)), ports)


def _refuse_image_of_files(upgrade: HostUpgrade, values: Mapping[str, str], major: int) -> None:
    """An adopted project may name its image itself; .env could say what it likes."""
    named = upgrade.image_in_files(values)
    if named != values["POSTGRES_IMAGE"]:
        problem = f"the Compose files name the image {named}; let them say ${{POSTGRES_IMAGE}}, which .env sets"
        raise StratumError("upgrade-refused", major=major, problem=problem)


def _room_guard(upgrade: HostUpgrade, ports: Ports) -> GuardResult:
    size, free = upgrade.size_and_room(ports.stack.databases)
    where = "the disk of Docker's volumes"
    return space_guard(what="the new cluster", needed=size + SPARE_BYTES, free=free, where=where)


def host_upgrade_of(ports: Ports) -> HostUpgrade:
    """Raises `not-from-here` with a server of the user's own and in a container."""
    if ports.host_upgrade is None:
        raise StratumError("not-from-here", what="change PostgreSQL's major")
    return ports.host_upgrade


def values_of(plan: Plan, which: str) -> dict[str, str]:
    """What .env says before (`from`) and after (`to`) a plan."""
    return {name: str(plan.params[f"{which}_{name}"]) for name in _VARIABLES}


def host_upgrade_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Each may be done again after a crash; the old volume is only ever read."""
    hashes: list[str] = []  # what roles are and their passwords: kept by nothing but this process
    actions = (
        *_rehearsing_actions(plan, ports),
        name_action(plan, ports),
        *_stopping_actions(plan, ports, hashes),
        *_filling_actions(plan, ports, hashes),
    )
    planned = {step.name for step in plan.steps}
    return tuple(action for action in actions if action.name in planned)


def _rehearsing_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    upgrade, project, params = host_upgrade_of(ports), project_of(ports), plan.params
    label = str(params["images"])

    def prove(facts: Facts) -> None:
        verdict = drill_inside(str(facts["backup_id"]), ports, project)
        if verdict is not Verdict.PROVEN:
            raise StratumError("backup-not-proven", backup=str(facts["backup_id"]), verdict=verdict)

    def rehearse(facts: Facts) -> Facts:
        project.images.keep(label)
        backup, began = str(facts["backup_id"]), ports.clock.monotonic()
        proof = upgrade.drill(values_of(plan, "to"), backup, under=ports.lock.token)
        if proof.get("verdict") != Verdict.PROVEN.value:
            problem = f"backup {backup} is {proof.get('verdict')} there; `stratum backups show {backup}` says why"
            raise StratumError("upgrade-not-whole", major=params["major"], problem=problem)
        return {
            "rehearsed_seconds": round(ports.clock.monotonic() - began, 3),
            "rehearsed_on": str(proof.get("server_version")),
        }

    def unbuild(_: Facts) -> None:
        project.images.use(project.images.kept(label))
        project.images.forget(label)

    return (
        Action(name="backup", run=lambda _: {"backup_id": back_up_inside(ports, project)}),
        Action(name="prove", run=prove),
        Action(name="rehearse", run=rehearse, undo=unbuild),
    )


def _stopping_actions(plan: Plan, ports: Ports, hashes: list[str]) -> tuple[Action, ...]:
    upgrade, project, params = host_upgrade_of(ports), project_of(ports), plan.params

    def known(facts: Facts) -> tuple[str, ...]:
        return (
            f"backup {facts['backup_id']} is proven",
            f"on PostgreSQL {facts['rehearsed_on']} every table came back the same, in {facts['rehearsed_seconds']} s",
        )

    def dump(_: Facts) -> Facts:
        hashes[:] = [upgrade.read_roles(), upgrade.read_hashes()]
        return {"moved_id": back_up_inside(ports, project)}

    def switch(_: Facts) -> None:
        project.down()
        upgrade.set_variables(values_of(plan, "to"))

    def switch_back(_: Facts) -> None:
        upgrade.reopened().down()
        upgrade.set_variables(values_of(plan, "from"))
        record_text(ports, params["identity_before"])
        upgrade.reopened().volumes.remove(str(params["to_POSTGRES_VOLUME"]))

    def start_again(_: Facts) -> None:
        # With the images of before: what starts from those of the rehearsal has the tools of another major.
        project.images.use(project.images.kept(str(params["images"])))
        upgrade.reopened().start()

    return (
        Action(name="stop", run=lambda _: project.stop(project.application_services()), undo=start_again, known=known),
        Action(name="dump", run=dump),
        Action(name="switch", run=switch, undo=switch_back),
    )  # fmt: skip


def _filling_actions(plan: Plan, ports: Ports, hashes: list[str]) -> tuple[Action, ...]:
    upgrade, project, params = host_upgrade_of(ports), project_of(ports), plan.params

    def make(facts: Facts) -> None:
        upgrade.create_cluster(bootstrap_role=find_manifest(str(facts["moved_id"]), ports).bootstrap_role)

    def restore(facts: Facts) -> Facts:
        now, manifest = upgrade.reopened(), find_manifest(str(facts["moved_id"]), ports)
        for database in manifest.databases:
            name = database.facts.properties.name
            ports.progress.say(f"restoring {name}")
            now.inside(("restore", manifest.id, "--database", name, "--confirm", plan.stack), under=ports.lock.token)
        now.run_sql("".join(hashes))
        now.inside(("identity", "check", "--record"))
        return {"tables": sum(len(d.facts.tables) for d in manifest.databases), "rows": manifest.rows}

    def analyze(_: Facts) -> None:
        upgrade.reopened().run_sql("".join(f"{_connect(name)}ANALYZE;\n" for name in ports.stack.databases))

    def serve(_: Facts) -> None:
        upgrade.reopened().start()
        project.images.forget(str(params["images"]))

    return (
        Action(name="make-cluster", run=make),
        Action(name="start-database", run=lambda _: upgrade.reopened().start((POSTGRES, BACKUP))),
        Action(name="restore", run=restore),
        Action(name="analyze", run=analyze),
        # The first service to start may write; from then on a volume that is taken back would take rows with it.
        Action(name="services", run=serve, took_effect=lambda _: True),
    )


def _connect(database: str) -> str:
    """Psql takes a name in double quotes as it stands, each inside doubled.

    (https://www.postgresql.org/docs/current/app-psql.html#APP-PSQL-META-COMMANDS)
    """
    return '\\connect "' + database.replace('"', '""') + '"\n'
