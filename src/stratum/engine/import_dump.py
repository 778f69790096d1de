"""restore --file: a dump that Stratum did not take is restored aside, counted and filed as a backup; then restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from stratum import __version__
from stratum.core.backup import (
    DIGEST_ALGORITHM,
    BackupKind,
    DatabaseFacts,
    DatabaseProperties,
    DumpedDatabase,
    Manifest,
)
from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.engine.run_plan import new_plan_id
from stratum.engine.take_dump import file_name, space_guard
from stratum.ports import Action, Outcome, Ports, Prepared, Role, Server

_STEPS = (
    Step(name="copy", summary="copy the file into the archive, beside the other backups", effect=Effect.ADDS,
         way_back="the copy is thrown away"),
    Step(name="read", summary="restore it into a throwaway server, and count and digest what came back"),
    Step(name="publish", summary="write checksums and, last of all, the manifest", effect=Effect.ADDS,
         way_back="a backup that is whole stays: it harms nothing"),
)  # fmt: skip


def import_dump(ports: Ports, file: Path, *, database: str, taken_at: datetime, bytes_: int) -> Outcome:
    """File a `pg_dump -Fc` archive of one database as a backup; `facts["backup_id"]` names it.

    `taken_at` is when the file was written, for want of a better witness; no later than now. The live database is only
    asked for its roles and properties. Raises `dump-unreadable` when it does not restore, `disk-too-small`; the file
    itself is never changed.
    """
    ports.archive.check_writable()
    now = ports.clock.now()
    plan = Plan(
        id=new_plan_id(now),
        verb="import",
        stack=ports.stack.name,
        created_at=now,
        headline=f"file {file.name} as a backup of {database}",
        steps=_STEPS,
        params={"file": str(file), "database": database, "taken_at": min(taken_at.astimezone(UTC), now).isoformat()},
        guards=(space_guard(what="the copy", needed=bytes_, free=ports.archive.free_bytes(), where="the archive"),),
    )
    return ports.run(Prepared(plan=plan, actions=import_actions(plan, ports)), ports)


def import_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Until `publish` no backup is visible, and undoing throws the copy away."""
    name, source = str(plan.params["database"]), Path(str(plan.params["file"]))
    facts: list[DatabaseFacts] = []

    def copy(_: Facts) -> Facts:
        aside = ports.archive.begin_backup(plan.id)
        ports.archive.take_in(source, aside / file_name(name))
        ports.runtime.server(Role.BACKUP).tools.dump_roles(aside / "globals.sql")
        return {"backup_id": plan.id}

    def discard(_: Facts) -> None:
        ports.archive.discard_partial(plan.id)

    def read(_: Facts) -> Facts:
        aside = ports.archive.partial_path(plan.id)
        ports.progress.say(f"restoring {source.name} into a throwaway server")
        with _restored(ports, name, aside, source) as server:
            facts.append(server.database.observe_facts(name, ports.stack.backup.digest))
        return {"rows": facts[0].rows}

    def publish(_: Facts) -> None:
        ports.archive.publish(_manifest(plan, ports, name, facts[0]))

    return (
        Action(name="copy", run=copy, undo=discard),
        Action(name="read", run=read),
        Action(name="publish", run=publish),
    )


@contextmanager
def _restored(ports: Ports, name: str, aside: Path, source: Path) -> Iterator[Server]:
    """A throwaway server with the dump in it. Raises `dump-unreadable`."""
    bootstrap = ports.runtime.server(Role.MAINTENANCE).database.bootstrap_role()
    with ports.runtime.scratch(purpose="import", bootstrap_role=bootstrap) as server:
        server.tools.apply_roles(aside / "globals.sql", existing=[bootstrap], with_settings=True)
        properties = _properties(ports, name)
        server.database.create_database(name, properties)
        try:
            server.tools.restore(name, aside / file_name(name))
            server.database.apply_properties(name, properties)
        except StratumError as error:
            raise StratumError("dump-unreadable", file=source, problem=error.message) from None
        yield server


def _properties(ports: Ports, name: str) -> DatabaseProperties:
    """A dump of one database does not say how that was made: the live one does, or else the newest backup of it."""
    maintenance = ports.runtime.server(Role.MAINTENANCE).database
    if name in maintenance.database_oids():
        return maintenance.observe_properties(name)
    known = [d for m in ports.archive.manifests() for d in m.databases if d.facts.properties.name == name]
    return known[-1].facts.properties if known else replace(maintenance.observe_properties("postgres"), name=name)


def _manifest(plan: Plan, ports: Ports, name: str, facts: DatabaseFacts) -> Manifest:
    maintenance, tools = ports.runtime.server(Role.MAINTENANCE), ports.runtime.offline_tools()
    aside = ports.archive.partial_path(plan.id)
    dumped = DumpedDatabase(
        path=file_name(name), archive_version=tools.archive_version(aside / file_name(name)), facts=facts
    )
    return Manifest(
        id=plan.id,
        kind=BackupKind.DUMP,
        stack=plan.stack,
        started_at=plan.created_at,
        taken_at=datetime.fromisoformat(str(plan.params["taken_at"])),
        finished_at=ports.clock.now(),
        cluster=maintenance.database.observe_identity(ports.stack.databases),
        bootstrap_role=maintenance.database.bootstrap_role(),
        tool_version=ports.runtime.tools_version(),
        stratum_version=__version__,
        digest_algorithm=DIGEST_ALGORITHM,
        digest_mode=ports.stack.backup.digest,
        databases=(dumped,),
        roles=maintenance.database.roles(),
        files=ports.archive.measure(aside),
    )
