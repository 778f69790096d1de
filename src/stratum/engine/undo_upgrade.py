"""upgrade-postgres --undo on this machine: back to the data directory of before, which nothing has written to."""

from __future__ import annotations

from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, PlanEnd, Step, observe_progress
from stratum.core.recovery import compare_tables
from stratum.engine.run_drill import find_manifest
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.show_difference import render_written
from stratum.engine.take_dump import take_dump
from stratum.engine.upgrade_postgres import REMEMBER, SERVICES, START, TAKE_BACKUP, VERB, serving_actions, upgrade_of
from stratum.ports import Action, Outcome, Ports, Prepared, Role, RunState

UNDO = "undo-upgrade-postgres"
_SWITCH = Step(
    name="switch",
    summary="stop everything; the data directory of before takes this one's place, which is kept",
    effect=Effect.SETS_ASIDE,
    way_back="the newer one takes its place again",
    asks=True,
)


def undo_upgrade(ports: Ports) -> Outcome:
    """Go back to the data directory that the last upgrade kept, saying first what was written since.

    What was written since stays in the newer data directory and in the backup taken first. Raises
    `no-upgrade-to-undo` and `declined`.
    """
    upgrade_of(ports)
    done = find_upgrade(ports)
    if done is None:
        raise StratumError("no-upgrade-to-undo", reason="no data directory that an upgrade kept is there")
    if ports.runtime.observe().state is not RunState.RUNNING:
        raise StratumError("not-running", detail=ports.runtime.observe().detail)
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    before, major = done.params["from_major"], done.params["major"]
    plan = Plan(
        id=plan_id,
        verb=UNDO,
        stack=ports.stack.name,
        created_at=now,
        headline=f"go back from PostgreSQL {major} to {before}, as it was before the upgrade",
        steps=(TAKE_BACKUP, _SWITCH, START, REMEMBER, SERVICES),
        params={
            "kept": done.params["kept"],
            "from_major": before,
            "major": major,
            "aside": f"postgresql-{major}-undone-{short(plan_id)}",
            "moved_id": observe_progress(ports.journal.entries(), done.id).facts["moved_id"],
        },
        notes=(
            f"PostgreSQL {before} does not read a backup of {major}",
            "what was written since stays in the backup taken first and in the newer data directory",
        ),
        forward_from="start",
        confirmations=1,
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=undo_upgrade_actions(plan, ports)), ports)


def find_upgrade(ports: Ports) -> Plan | None:
    """The newest upgrade that was carried out and whose old data directory is still kept."""
    entries, kept = ports.journal.entries(), ports.runtime.kept_clusters()
    for plan in reversed([e.plan for e in entries if e.plan is not None and e.plan.verb == VERB]):
        if observe_progress(entries, plan.id).end is PlanEnd.DONE and str(plan.params.get("kept")) in kept:
            return plan
    return None


def written_since(ports: Ports, moved_id: str) -> tuple[str, ...]:
    """What the live databases hold that those that were moved did not, table by table."""
    try:
        manifest = find_manifest(moved_id, ports)
    except StratumError:
        return (f"backup {moved_id} is gone, so what was written since is not known",)
    lines: list[str] = []
    for dumped in manifest.databases:
        name = dumped.facts.properties.name
        now = ports.runtime.server(Role.MAINTENANCE).database.observe_facts(name, manifest.digest_mode)
        found = compare_tables(now=now.tables, then=dumped.facts.tables)
        lines += [f"{name}: {line}" for line in render_written(found)]
    return tuple(lines)


def undo_upgrade_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. The data directory that is replaced is renamed, and kept."""
    upgrade, params = upgrade_of(ports), plan.params
    kept, aside = str(params["kept"]), str(params["aside"])
    before, major = int(str(params["from_major"])), int(str(params["major"]))

    def switch(_: Facts) -> None:
        ports.services.stop_writers()
        ports.runtime.stop()
        ports.services.stop()
        upgrade.go_back(before, kept=kept, aside=aside)

    def switch_back(_: Facts) -> None:
        upgrade.go_back(major, kept=aside, aside=kept)
        ports.runtime.start()
        ports.services.start()

    return (
        Action(name="backup", run=lambda _: {"backup_id": take_dump(ports).facts["backup_id"]}),
        Action(
            name="switch", run=switch, undo=switch_back, known=lambda _: written_since(ports, str(params["moved_id"]))
        ),
        *serving_actions(ports),
    )
