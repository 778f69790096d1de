"""restore --cluster on the host of a Compose stack: a whole cluster as of a moment, in a volume beside the old one."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime

from stratum.core.backup import DigestMode, TableFacts
from stratum.core.containers import BACKUP, POSTGRES
from stratum.core.errors import StratumError
from stratum.core.identity import DatabaseIdentity, Identity
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.proof import Verdict, listed
from stratum.core.recovery import compare_tables
from stratum.core.volume_recovery import Moment, RecoveredCluster, RecoveryOrder
from stratum.engine.deploy import names_in, project_of
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.show_difference import render_difference
from stratum.ports import Action, Outcome, Ports, Prepared
from stratum.project import Project

_AFTER = "_after_"
VERB = "recover-volume"

_MAKE = Step(
    name="make-volume",
    summary="make an empty volume beside the old one, and hold it",
    effect=Effect.ADDS,
    way_back="it is removed",
)
_RECOVER = Step(
    name="recover",
    summary="build the cluster in it from a base backup and WAL, start it there alone, and look at it",
    effect=Effect.ADDS,
    way_back="with the volume",
)
_COMPARE = Step(name="compare", summary="compare it with what is live")
SWITCH = Step(
    name="switch",
    summary="stop all containers, and let .env name the other volume; the one before stays as it is",
    effect=Effect.SETS_ASIDE,
    way_back=".env names the volume before again",
    asks=True,
)
START = Step(
    name="start-database", summary="start PostgreSQL on it, and wait until it answers", way_back="it is stopped again"
)
SERVICES = Step(
    name="services",
    summary="start all other services behind the guard, and wait until each is healthy",
    way_back="`stratum up` starts them",
)


def recover_volume(ports: Ports, project: Project, moment: Moment, *, why: str | None) -> Outcome:
    """Recover the whole cluster in a volume beside the old one, verified there, and switch to it when agreed.

    `why` the old one is taken for lost; None where it is not, and is compared with. The old volume is never written
    to, and `restore --undo` goes back to it. Raises the errors of recovery, `declined`, `recovery-failed`, and what
    starting raises; after any of them .env names the volume it named before.
    """
    project.check()
    base_id = ports.recovery.check(_order(ports, moment))
    old, now = project.volumes.live(), ports.clock.now()
    plan_id = new_plan_id(now)
    there = project.volumes.exists(old)
    plan = Plan(
        id=plan_id,
        verb=VERB,
        stack=ports.stack.name,
        created_at=now,
        headline=f"recover the whole cluster as of {describe_moment(moment)}, in a volume of its own",
        steps=(_MAKE, _RECOVER, *((_COMPARE,) if why is None else ()), SWITCH, START, SERVICES),
        params={
            "from_volume": old,
            "to_volume": _beside(old, plan_id) if there else old,
            "moment": _render_moment(moment),
            "lost": why is not None,
            "identity_before": identity_text(ports),
        },
        notes=(
            *((why,) if why else ()),
            f"it is built from base backup {base_id} and the WAL after it",
            "what was written after that moment stays in the old volume alone",
        ),
        forward_from="services",
        confirmations=1,
    )
    return ports.run(Prepared(plan=plan, actions=recover_actions(plan, ports)), ports)


def _beside(old: str, plan_id: str) -> str:
    """Docker renames no volume: each has the name it was made with, and the first one's name stays readable in it."""
    return f"{old.partition(_AFTER)[0]}{_AFTER}{short(plan_id)}"


def recover_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Each may be done again after a crash; the old volume is only ever read."""
    project, params = project_of(ports), plan.params
    new, volumes = str(params["to_volume"]), project.volumes

    def make(_: Facts) -> Facts:
        _prepare(project)
        if not volumes.exists(new):
            volumes.make(new)
        return {}

    def unmake(_: Facts) -> None:
        """A cut plan is taken back whenever the next command comes: by then another cluster may stand in its place."""
        if params["from_volume"] != new:
            volumes.remove(new)
            return
        there, before = project.look()[1], params["identity_before"]
        ours = _parse_identity(str(before)).system_identifier if before else None
        if there.name == new and there.exists and there.system_identifier in {None, ours}:
            ports.runtime.remove_cluster()

    def recover(_: Facts) -> Facts:
        ports.progress.say(f"recovering the cluster in the volume {new}")
        order = _order(ports, _parse_moment(str(params["moment"])))
        # A lost one has no content to compare with; its rows are counted, and shown.
        return _found(volumes.recover(new, replace(order, digest=DigestMode.COUNTS) if params["lost"] else order))

    def compare(facts: Facts) -> Facts:
        return {"difference": list(_difference(facts, ports, project))}

    planned = {step.name for step in plan.steps}
    actions = (
        Action(name="make-volume", run=make, undo=unmake),
        Action(name="recover", run=recover),
        Action(name="compare", run=compare),
        *switch_actions(plan, ports),
    )
    return tuple(action for action in actions if action.name in planned)


def switch_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """Stop, name the other volume, start: the same in both directions, and its own way back."""
    project, params = project_of(ports), plan.params
    old, new = str(params["from_volume"]), str(params["to_volume"])

    def switch(facts: Facts) -> None:
        """What is recorded of the cluster goes with the volume: the guard compares the one with the other."""
        project.down()
        ports.archive.raise_token_epoch(because=plan.id)
        record_text(ports, facts["identity"])
        project.volumes.use(new)

    def switch_back(_: Facts) -> None:
        project.down()
        project.volumes.use(old)
        record_text(ports, params["identity_before"])

    def known(facts: Facts) -> tuple[str, ...]:
        return (*names_in(facts.get("found")), *names_in(facts.get("difference")))

    def start(_: Facts) -> None:
        """With the passwords of .env: the cluster has those it had at that moment."""
        project.start((POSTGRES,))
        project.apply_passwords(None)
        project.write_secrets()
        project.start((BACKUP,))
        project.inside(("identity", "check", "--record"))

    def is_served(_: Facts) -> bool:
        """The first service to start may write; from then on a volume that is taken back would take rows with it."""
        return True

    return (
        Action(name="switch", run=switch, undo=switch_back, known=known),
        Action(name="start-database", run=start),
        Action(name="services", run=lambda _: project.start(), took_effect=is_served),
    )


def _order(ports: Ports, moment: Moment) -> RecoveryOrder:
    return RecoveryOrder(
        stack=ports.stack.name,
        moment=moment,
        databases=ports.stack.databases,
        digest=ports.stack.backup.digest,
        smoke_sql=ports.stack.drill.smoke_sql,
        system_identifier=_cluster_at(ports, moment),
    )


def _cluster_at(ports: Ports, moment: Moment) -> str | None:
    """Whose archive reaches that time: a stack that was restored from dumps is another cluster since."""
    by_then = [base for base in ports.wal.bases() if moment.at is None or base.finished_at <= moment.at]
    return by_then[-1].cluster.system_identifier if by_then else None


def _prepare(project: Project) -> None:
    if project.images.missing():
        project.build()


def _found(recovered: RecoveredCluster) -> Facts:
    """What later steps and the person need to know. Raises `recovery-failed` where a check failed."""
    failed = [f"{check.name}: {check.reason}" for check in recovered.checks if check.verdict is Verdict.FAILED]
    if failed:
        raise StratumError("recovery-failed", problem=listed(failed))
    tables = [
        json.dumps([facts.properties.name, table.schema, table.name, table.rows, table.digest])
        for facts in recovered.databases
        for table in facts.tables
    ]
    return {
        "base_id": recovered.base_id,
        "reached": recovered.reached,
        "identity": _render_identity(recovered.identity),
        "tables": tables,
        "found": [
            recovered.reached,
            f"built from base backup {recovered.base_id}; {len(recovered.checks)} checks hold",
            *(f"{facts.properties.name}: {facts.rows} rows" for facts in recovered.databases),
        ],
    }


def _difference(facts: Facts, ports: Ports, project: Project) -> tuple[str, ...]:
    """Table by table against the live databases; where those cannot be asked, that is said."""
    recovered: dict[str, list[TableFacts]] = {name: [] for name in ports.stack.databases}
    for line in names_in(facts.get("tables")):
        database, schema, name, rows, digest = json.loads(line)
        recovered.setdefault(database, []).append(
            TableFacts(schema=schema, name=name, rows=rows, digest=digest, digested_rows=0, bytes=0)
        )
    try:
        live = project.volumes.count_live(tuple(recovered), ports.stack.backup.digest)
    except StratumError as error:
        return (f"what is live cannot be compared: {error.message}",)
    lines: list[str] = []
    for name, tables in recovered.items():
        if name in live:
            found = compare_tables(now=live[name], then=tables)
            lines += [f"{name}: {line}" for line in render_difference(found)]
    return tuple(lines)


def record_text(ports: Ports, identity: object) -> None:
    """Record the cluster that .env is about to name. Nothing is recorded where nothing is known of it."""
    if not isinstance(identity, str) or not identity:
        return
    recorded, found = ports.archive.recorded_identity(), _parse_identity(identity)
    if recorded is not None and found.image is None:
        found = replace(found, image=recorded.image, libc_version=recorded.libc_version)
    ports.archive.record_identity(found)


def identity_text(ports: Ports) -> str:
    """What is recorded of the live cluster, fit for a plan; empty where nothing is."""
    return _render_identity(ports.archive.recorded_identity())


def _render_identity(identity: Identity | None) -> str:
    return json.dumps(asdict(identity)) if identity else ""


def _parse_identity(text: str) -> Identity:
    found = json.loads(text)
    return Identity(**found | {"databases": tuple(DatabaseIdentity(**one) for one in found["databases"])})


def _render_moment(moment: Moment) -> str:
    return json.dumps(asdict(moment), default=datetime.isoformat)


def _parse_moment(text: str) -> Moment:
    found = json.loads(text)
    return Moment(**found | {"at": datetime.fromisoformat(found["at"]) if found["at"] else None})


def describe_moment(moment: Moment) -> str:
    """The moment in words."""
    if moment.at is not None:
        return f"{moment.at:%Y-%m-%d %H:%M:%S} UTC"
    if moment.before_xid is not None:
        return f"just before transaction {moment.before_xid}"
    return moment.lsn or moment.name or "the last that the archive holds"
