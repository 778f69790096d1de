"""upgrade-postgres --undo on the host of a Compose stack: back to the image and the volume of before."""

from __future__ import annotations

from stratum.core.containers import BACKUP, POSTGRES
from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, PlanEnd, Step, observe_progress
from stratum.core.recovery import compare_tables
from stratum.engine.deploy import project_of
from stratum.engine.recover_volume import SERVICES, START, identity_text, record_text
from stratum.engine.run_drill import find_manifest
from stratum.engine.run_plan import new_plan_id
from stratum.engine.show_difference import render_written
from stratum.engine.upgrade_on_host import VERB, host_upgrade_of, values_of
from stratum.engine.upgrade_postgres import TAKE_BACKUP
from stratum.engine.work_inside import back_up_inside
from stratum.ports import Action, Outcome, Ports, Prepared

UNDO = "undo-upgrade-volume"
_SWITCH = Step(
    name="switch",
    summary="stop all containers, and let .env name the image and the volume of before; the newer volume is kept",
    effect=Effect.SETS_ASIDE,
    way_back=".env names the newer ones again",
    asks=True,
)


def undo_on_host(ports: Ports) -> Outcome:
    """Go back to the volume of before the last upgrade, saying first what was written since. Both volumes are kept.

    Raises `no-upgrade-to-undo` and `declined`, and what starting raises; .env then names what it named before.
    """
    project = project_of(ports)
    project.check()
    done = find_upgraded(ports)
    if done is None:
        raise StratumError("no-upgrade-to-undo", reason="no volume that an upgrade kept is there")
    now, params = ports.clock.now(), done.params
    before, major = params["from_major"], params["major"]
    plan = Plan(
        id=new_plan_id(now),
        verb=UNDO,
        stack=ports.stack.name,
        created_at=now,
        headline=f"go back from PostgreSQL {major} to {before}, to the volume {params['from_POSTGRES_VOLUME']}",
        steps=(TAKE_BACKUP, _SWITCH, START, SERVICES),
        params={
            **{f"from_{name}": value for name, value in values_of(done, "to").items()},
            **{f"to_{name}": value for name, value in values_of(done, "from").items()},
            "moved_id": observe_progress(ports.journal.entries(), done.id).facts["moved_id"],
            "identity": params["identity_before"],
            "identity_before": identity_text(ports),
        },
        notes=(
            f"PostgreSQL {before} does not read a backup of {major}",
            "what was written since stays in the backup taken first and in the newer volume",
        ),
        forward_from="services",
        confirmations=1,
    )
    return ports.run(Prepared(plan=plan, actions=undo_on_host_actions(plan, ports)), ports)


def find_upgraded(ports: Ports) -> Plan | None:
    """The newest upgrade that was carried out, whose new volume is live and whose old one is still there."""
    entries, volumes = ports.journal.entries(), project_of(ports).volumes
    for plan in reversed([e.plan for e in entries if e.plan is not None and e.plan.verb == VERB]):
        old, new = (values_of(plan, which)["POSTGRES_VOLUME"] for which in ("from", "to"))
        if observe_progress(entries, plan.id).end is PlanEnd.DONE and volumes.live() == new and volumes.exists(old):
            return plan
    return None


def undo_on_host_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Neither volume is written to by it."""
    upgrade, params = host_upgrade_of(ports), plan.params

    def known(_: Facts) -> tuple[str, ...]:
        return _written_since(ports, str(params["moved_id"]))

    def switch(_: Facts) -> None:
        upgrade.reopened().down()
        upgrade.set_variables(values_of(plan, "to"))
        ports.archive.raise_token_epoch(because=plan.id)
        record_text(ports, params["identity"])

    def switch_back(_: Facts) -> None:
        upgrade.reopened().down()
        upgrade.set_variables(values_of(plan, "from"))
        record_text(ports, params["identity_before"])
        upgrade.reopened().build((BACKUP,))
        upgrade.reopened().start()

    def start(_: Facts) -> None:
        """With the passwords of .env: the cluster has those it had then."""
        now = upgrade.reopened()
        now.build((BACKUP,))
        now.start((POSTGRES,))
        now.apply_passwords(None)
        now.write_secrets()
        now.start((BACKUP,))
        now.inside(("identity", "check", "--record"))

    return (
        Action(name="backup", run=lambda _: {"backup_id": back_up_inside(ports, upgrade.reopened())}),
        Action(name="switch", run=switch, undo=switch_back, known=known),
        Action(name="start-database", run=start),
        Action(name="services", run=lambda _: upgrade.reopened().start(), took_effect=lambda _: True),
    )


def _written_since(ports: Ports, moved_id: str) -> tuple[str, ...]:
    try:
        manifest = find_manifest(moved_id, ports)
    except StratumError:
        return (f"backup {moved_id} is gone, so what was written since is not known",)
    names = tuple(database.facts.properties.name for database in manifest.databases)
    live, lines = project_of(ports).volumes.count_live(names, manifest.digest_mode), []
    for database in manifest.databases:
        name = database.facts.properties.name
        found = compare_tables(now=live.get(name, ()), then=database.facts.tables)
        lines += [f"{name}: {line}" for line in render_written(found)]
    return tuple(lines)
