"""restore --undo: swap back to what the last restore replaced, and keep what is live now as well."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from stratum.core.backup import DatabaseFacts, DigestMode, TableFacts
from stratum.core.errors import StratumError
from stratum.core.guard import GuardResult
from stratum.core.plan import Effect, Facts, Plan, PlanEnd, PlanProgress, Step, observe_progress
from stratum.core.proof import listed
from stratum.core.recovery import compare_tables
from stratum.engine.restore import name_beside, undo_command
from stratum.engine.restore_steps import end_console_sessions, find_database, is_swapped, renew_console, reopen
from stratum.engine.run_drill import find_manifest
from stratum.engine.run_plan import new_plan_id
from stratum.engine.show_difference import render_written
from stratum.engine.tripwire import record_identity_of, refuse_look_alike
from stratum.ports import Action, Outcome, Ports, Prepared, Role, SwapNames

_STEPS = (
    Step(name="note", summary="note what comes back, so that taking this back can show what was written since"),
    Step(name="swap", summary="end sessions and swap back to the database that was replaced",
         effect=Effect.SETS_ASIDE, way_back="the names are swapped again", asks=True),
    Step(name="remember", summary="record the cluster's new identity"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptDatabase:
    """A database that a restore or an undo replaced."""

    name: str
    live: str
    plan_id: str
    since: datetime
    backup_id: str | None
    """What was restored in its place; None when an undo replaced it."""
    put_in_place: tuple[str, ...] | None
    """The tables an undo put in its place, as that undo noted them."""


def observe_kept(ports: Ports) -> tuple[KeptDatabase, ...]:
    """Replaced databases that still exist, newest first; read from the journal and the server."""
    oids = ports.runtime.server(Role.MAINTENANCE).database.database_oids()
    kept = [_kept(progress) for progress in _swaps(ports)]
    return tuple(sorted((k for k in kept if k.name in oids), key=lambda k: k.since, reverse=True))


def undo_restore(ports: Ports, database: str | None) -> Outcome:
    """Put the replaced database back in place; raises `nothing-to-undo` when there is none."""
    sighting = refuse_look_alike(ports)
    name = database or ports.stack.databases[0]
    found = next((kept for kept in observe_kept(ports) if kept.live == name), None)
    if found is None:
        raise StratumError("nothing-to-undo", reason=f"no database that {name} replaced is kept")
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    obstacles = ports.runtime.server(Role.MAINTENANCE).database.swap_obstacles(name)
    plan = Plan(
        id=plan_id,
        verb="undo-restore",
        stack=ports.stack.name,
        created_at=now,
        headline=f"swap {name} back to what it was before {found.plan_id}",
        steps=_STEPS,
        params={
            "database": name,
            "beside": found.name,
            "kept": name_beside(name, "undone", plan_id),
            "backup_id": found.backup_id,
            "undo": undo_command(ports, name),
            "put_in_place": list(found.put_in_place) if found.put_in_place is not None else None,
            "cluster": sighting.observed.system_identifier if sighting.observed else None,
        },
        guards=(
            GuardResult(name="can-be-swapped", holds=not obstacles, statement=listed(obstacles) or "free",
                        code="swap-obstacle", details={"database": name, "obstacles": listed(obstacles)}),
        ),
        notes=(f"what is live now is kept as well: `{undo_command(ports, name)}` again comes back to it",),
        forward_from="swap",
        confirmations=1,
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=undo_actions(plan, ports)), ports)


def undo_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do: a swap of names, which is its own way back."""
    params = plan.params
    names = SwapNames(live=str(params["database"]), beside=str(params["beside"]), kept=str(params["kept"]))

    def note(_: Facts) -> Facts:
        return {"comes_back": [_render_table(table) for table in _look_into(ports, names.beside).tables]}

    def swap(_: Facts) -> None:
        end_console_sessions(plan, ports, names)
        ports.runtime.server(Role.MAINTENANCE).database.swap_databases(names)

    def remember(facts: Facts) -> None:
        record_identity_of(ports, cluster=facts.get("cluster"))
        renew_console(ports, names)

    return (
        Action(name="note", run=note),
        Action(
            name="swap",
            run=swap,
            undo=lambda _: reopen(ports, names),
            known=lambda _: _written_since(plan, ports, names),
            took_effect=lambda _: is_swapped(ports, names),
        ),
        Action(name="remember", run=remember),
    )


def _written_since(plan: Plan, ports: Ports, names: SwapNames) -> tuple[str, ...]:
    """Rows written since the swap, per table: what is live now against what was put in place then."""
    try:
        mode, then = _put_in_place(plan, ports, names)
        live = ports.runtime.server(Role.MAINTENANCE).database.observe_facts(names.live, mode)
    except StratumError as error:
        return (f"what was written since the swap is not known: {error.message}",)
    return render_written(compare_tables(now=live.tables, then=then))


def _put_in_place(plan: Plan, ports: Ports, names: SwapNames) -> tuple[DigestMode, tuple[TableFacts, ...]]:
    """What the restore or undo that is taken back here put in place: its backup says it, or its own record."""
    backup_id, recorded = plan.params["backup_id"], plan.params["put_in_place"]
    if isinstance(recorded, list):
        return ports.stack.backup.digest, tuple(_parse_table(line) for line in recorded)
    facts = find_database(find_manifest(str(backup_id), ports), names.live).facts
    return facts.digest_mode, facts.tables


def _render_table(table: TableFacts) -> str:
    return json.dumps([table.schema, table.name, table.rows, table.digest])


def _parse_table(line: str) -> TableFacts:
    schema, name, rows, digest = json.loads(line)
    return TableFacts(schema=schema, name=name, rows=rows, digest=digest, digested_rows=0, bytes=0)


def _look_into(ports: Ports, closed: str) -> DatabaseFacts:
    """Read a kept database, which refuses connections; it refuses them again afterwards."""
    database = ports.runtime.server(Role.MAINTENANCE).database
    database.allow_connections(closed, allowed=True)
    try:
        return database.observe_facts(closed, ports.stack.backup.digest)
    finally:
        database.allow_connections(closed, allowed=False)


def _swaps(ports: Ports) -> tuple[PlanProgress, ...]:
    entries = ports.journal.entries()
    plans = [e.plan for e in entries if e.plan is not None and e.verb in {"restore", "undo-restore"}]
    all_progress = (observe_progress(entries, plan.id) for plan in plans if plan.params.get("kept"))
    return tuple(p for p in all_progress if p.end is PlanEnd.DONE and p.plan.params.get("swap", True))


def _kept(progress: PlanProgress) -> KeptDatabase:
    params, noted = progress.plan.params, progress.facts.get("comes_back")
    return KeptDatabase(
        name=str(params["kept"]),
        live=str(params["database"]),
        plan_id=progress.plan.id,
        since=progress.ended_at or progress.plan.created_at,
        backup_id=str(params["backup_id"]) if progress.plan.verb == "restore" else None,
        put_in_place=tuple(noted) if isinstance(noted, list) else None,
    )
