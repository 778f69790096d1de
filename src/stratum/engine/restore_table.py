"""restore --table: bring one table back into a schema of its own; putting it in place is a second plan."""

from __future__ import annotations

import re

from stratum.core.backup import DumpedDatabase, Manifest, TableFacts
from stratum.core.errors import StratumError
from stratum.core.guard import GuardResult
from stratum.core.plan import Effect, Facts, Plan, PlanEnd, Step, observe_progress
from stratum.core.proof import listed
from stratum.core.table_statements import statements_of_table
from stratum.engine.restore import Target, choose_whole_backup
from stratum.engine.restore_steps import choose_lazily, find_database
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.take_dump import space_guard
from stratum.engine.tripwire import refuse_look_alike
from stratum.ports import Action, Outcome, Ports, Prepared, RestoreSelection, Role, TablePlacement

_BESIDE_STEPS = (
    Step(name="build-beside", summary="restore the table into a working database", effect=Effect.ADDS,
         way_back="the working database is dropped"),
    Step(name="copy-in", summary="copy it into a schema of its own in the live database", effect=Effect.ADDS,
         way_back="the schema is dropped"),
    Step(name="tidy", summary="drop the working database"),
)  # fmt: skip
_PLACE_STEPS = (
    Step(name="place", summary="move the live table to a schema that keeps it, and the restored one to its place",
         effect=Effect.SETS_ASIDE, way_back="one transaction: it happens as a whole or not at all", asks=True),
)  # fmt: skip

_PART = r'"(?:[^"]|"")+"|[^".]+'
_TABLE = re.compile(rf"(?:({_PART})\.)?({_PART})")


def parse_table(text: str) -> tuple[str, str]:
    """`schema.table`, or `table` in public; a quoted part may hold dots, as PostgreSQL writes it."""
    found = _TABLE.fullmatch(text)
    if found is None:
        raise StratumError("invalid-argument", argument="--table", problem=f"{text!r} is not a table or schema.table")
    return _unquoted(found.group(1) or "public"), _unquoted(found.group(2))


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def restore_table(ports: Ports, target: Target, table: tuple[str, str]) -> Outcome:
    """Restore one table, with its partitions, into the schema `restored_<id>` of the live database.

    The live table is not touched. Foreign keys and triggers of the restored table wait until it is put in
    place. Raises `unknown-table`, `disk-too-small` and the errors of a restore.
    """
    refuse_look_alike(ports)
    manifest, passed_over = choose_whole_backup(ports, target)
    dumped = find_database(manifest, target.database or ports.stack.databases[0])
    if not _is_in_dump(ports, manifest, dumped, table):
        raise StratumError("unknown-table", backup=manifest.id, table=".".join(table))
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    live = dumped.facts.properties.name
    plan = Plan(
        id=plan_id,
        verb="restore-table",
        stack=ports.stack.name,
        created_at=now,
        headline=f"restore table {'.'.join(table)} of {live} from {manifest.id} into schema restored_{short(plan_id)}",
        steps=_BESIDE_STEPS,
        params={
            "backup_id": manifest.id,
            "database": live,
            "table_schema": table[0],
            "table": table[1],
            "beside": f"stratum_table_{short(plan_id)}",
            "schema": f"restored_{short(plan_id)}",
        },
        guards=() if ports.stack.external else (
            space_guard(what="the restored table", needed=2 * sum(t.bytes for t in dumped.facts.tables),
                        free=ports.runtime.free_bytes(), where="the data directory"),),
        notes=passed_over,
        forward_from="tidy",
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=table_actions(plan, ports)), ports)


def table_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do: all of it beside the live table, which is not touched."""
    params = plan.params
    chosen = choose_lazily(plan, ports)
    table = (str(params["table_schema"]), str(params["table"]))
    live, beside, schema = (str(params[name]) for name in ("database", "beside", "schema"))

    def build_beside(_: Facts) -> None:
        manifest, dumped = chosen()
        server = ports.runtime.server(Role.MAINTENANCE)
        server.database.create_database(beside, dumped.facts.properties)
        with ports.archive.opened(manifest.id, dumped.path) as plain:
            source = plain / dumped.path
            server.tools.restore(beside, source, only=RestoreSelection(tables=(), data_only=False))
            family = server.database.table_family(beside, table)
            if not family:
                raise StratumError("unknown-table", backup=manifest.id, table=".".join(table))
            server.tools.restore(beside, source, only=RestoreSelection(tables=family, data_only=True))
        server.database.move_tables(beside, family, into_schema=schema)
        _refuse_wrong_rows(ports, beside, schema, dumped, family)

    def drop_beside(_: Facts) -> None:
        ports.runtime.server(Role.MAINTENANCE).database.drop_database(beside)

    def copy_in(_: Facts) -> Facts:
        server = ports.runtime.server(Role.MAINTENANCE)
        server.tools.copy_schema(source_database=beside, target_database=live, schema=schema)
        completing = _completing(ports, plan, *chosen())
        return {"schema": schema, "completing": list(completing)}

    def drop_schema(_: Facts) -> None:
        database = ports.runtime.server(Role.MAINTENANCE).database
        if live in database.database_oids():
            database.drop_schema(live, schema)

    return (
        Action(name="build-beside", run=build_beside, undo=drop_beside),
        Action(name="copy-in", run=copy_in, undo=drop_schema),
        Action(name="tidy", run=lambda _: drop_beside({})),
    )


def put_in_place(ports: Ports, table: tuple[str, str], schema: str, database: str | None) -> Outcome:
    """Put a restored table under its own name; the live one is kept in a schema of its own.

    Refuses with `table-in-use`, naming them, where foreign keys, views, triggers or sequences refer to the
    live table by identity: they would go on pointing at the old one.
    """
    refuse_look_alike(ports)
    live = database or ports.stack.databases[0]
    server = ports.runtime.server(Role.MAINTENANCE).database
    if not server.table_exists(live, (schema, table[1])):
        raise StratumError("schema-missing", database=live, schema=schema, table=".".join(table))
    dependents = server.table_dependents(live, table)
    found = listed(dependents, most=10)
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    plan = Plan(
        id=plan_id,
        verb="place-table",
        stack=ports.stack.name,
        created_at=now,
        headline=f"put {schema}.{table[1]} in place of {'.'.join(table)} in {live}",
        steps=_PLACE_STEPS,
        params={
            "database": live,
            "table_schema": table[0],
            "table": table[1],
            "schema": schema,
            "kept_schema": f"kept_{short(plan_id)}",
            "completing": list(_recorded_statements(ports, schema)),
        },
        guards=(
            GuardResult(name="nothing-depends-on-it", holds=not dependents,
                        statement=found or "nothing refers to the live table",
                        code="table-in-use",
                        details={"table": ".".join(table), "schema": schema, "dependents": found}),
        ),
        forward_from="place",
        confirmations=1,
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=place_actions(plan, ports)), ports)


def place_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's step does: one transaction, so there is no half of it to take back."""
    params = plan.params
    statements = params["completing"]
    placement = TablePlacement(
        table=(str(params["table_schema"]), str(params["table"])),
        from_schema=str(params["schema"]),
        kept_schema=str(params["kept_schema"]),
        completing=tuple(statements) if isinstance(statements, list) else (),
    )

    live = str(params["database"])

    def is_placed(_: Facts) -> bool:
        restored = (placement.from_schema, placement.table[1])
        return not ports.runtime.server(Role.MAINTENANCE).database.table_exists(live, restored)

    def place(_: Facts) -> None:
        if not is_placed({}):
            ports.runtime.server(Role.MAINTENANCE).database.put_table_in_place(live, placement)

    def known(_: Facts) -> tuple[str, ...]:
        kept = f"the live table is kept as {placement.kept_schema}.{placement.table[1]}"
        return (kept, *(f"then: {statement}" for statement in placement.completing))

    return (Action(name="place", run=place, known=known, took_effect=is_placed),)


def _completing(ports: Ports, plan: Plan, manifest: Manifest, dumped: DumpedDatabase) -> tuple[str, ...]:
    """The table's own foreign keys and triggers, as the dump defines them, for when it is put in place."""
    wanted = (str(plan.params["table_schema"]), str(plan.params["table"]))
    with ports.archive.opened(manifest.id, dumped.path) as plain:
        definitions = ports.runtime.offline_tools().schema_of_dump(plain / dumped.path)
    return statements_of_table(definitions, wanted)


def _recorded_statements(ports: Ports, schema: str) -> tuple[str, ...]:
    """What the plan that restored into this schema left for later; nothing when the journal does not know it."""
    entries = ports.journal.entries()
    for entry in entries:
        if entry.plan is None or entry.verb != "restore-table" or entry.plan.params.get("schema") != schema:
            continue
        progress = observe_progress(entries, entry.plan_id)
        statements = progress.facts.get("completing")
        if progress.end is PlanEnd.DONE and isinstance(statements, list):
            return tuple(statements)
    return ()


def _is_in_dump(ports: Ports, manifest: Manifest, dumped: DumpedDatabase, table: tuple[str, str]) -> bool:
    """Whether the dump defines the table; a partitioned one has no rows of its own in the manifest."""
    wanted = f"TABLE {table[0]} {table[1]} "
    with ports.archive.opened(manifest.id, dumped.path) as plain:
        entries = ports.runtime.offline_tools().contents(plain / dumped.path)
    return any(entry.startswith(wanted) for entry in entries)


def _refuse_wrong_rows(
    ports: Ports, beside: str, schema: str, dumped: DumpedDatabase, family: tuple[tuple[str, str], ...]
) -> None:
    """Compare the restored table's rows and content with the manifest before anything reaches the live database."""
    restored = ports.runtime.server(Role.MAINTENANCE).database.observe_facts(beside, dumped.facts.digest_mode)
    now = {t.name: t for t in restored.tables if t.schema == schema}
    wrong = [t.qualified for t in dumped.facts.tables if (t.schema, t.name) in family and not _same(t, now.get(t.name))]
    if wrong:
        raise StratumError("restore-not-proven", backup="the chosen one", findings=listed(wrong), older="ID")


def _same(expected: TableFacts, found: TableFacts | None) -> bool:
    return found is not None and (expected.rows, expected.digest) == (found.rows, found.digest)
