"""drill: restore a backup into a throwaway server and compare what came back; the only thing that proves a backup."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from stratum.core.backup import DumpedDatabase, Manifest
from stratum.core.errors import StratumError
from stratum.core.file_sets import FileSetFacts
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.proof import Check, Method, Proof, Verdict, compare_facts, could_not_verify, overall
from stratum.core.schema import compare_schemas
from stratum.engine.run_plan import new_plan_id
from stratum.engine.take_dump import space_guard
from stratum.engine.verify_backup import check_stored_files, check_tools, unopened
from stratum.ports import Action, Outcome, Ports, Prepared, Server

_SPARE_BYTES = 256 << 20
_SCHEMA_ONLY = "stratum_schema_only"


def bytes_for_drill(manifest: Manifest) -> int:
    """What the throwaway server may come to, with the largest file set, which are unpacked one after the other."""
    size = sum(database.facts.size_bytes for database in manifest.databases)
    return size + max((facts.contents.bytes for facts in manifest.file_sets), default=0) + _SPARE_BYTES


def run_drill(manifest: Manifest, ports: Ports) -> Outcome:
    """Prove a backup, or say why it could not be proven. The running database is not touched.

    The verdict is recorded in the archive whatever it is; `facts["proof_id"]` names it. Raises
    `disk-too-small` before anything is written.
    """
    now = ports.clock.now()
    plan = Plan(
        id=new_plan_id(now),
        verb="drill",
        stack=ports.stack.name,
        created_at=now,
        headline=f"drill {manifest.id}",
        steps=(
            Step(name="drill", summary="restore into a throwaway server, compare, and throw it away",
                 effect=Effect.NONE, way_back="the throwaway server is removed"),
        ),
        params={"backup_id": manifest.id},
        guards=(
            space_guard(what="the drill", needed=bytes_for_drill(manifest),
                        free=ports.runtime.free_bytes(), where="the scratch directory"),
        ),
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=drill_actions(plan, ports)), ports)


def drill_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's step does. Undone, no throwaway server is left."""

    def drill(_: Facts) -> Facts:
        proof = _prove(_manifest(plan, ports), ports, proof_id=plan.id)
        ports.archive.record_proof(proof)
        return {"proof_id": proof.id, "verdict": proof.verdict.value}

    def sweep(_: Facts) -> None:
        ports.runtime.sweep_scratch()

    return (Action(name="drill", run=drill, undo=sweep),)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Result:
    checks: tuple[Check, ...]
    restore_seconds: float | None = None
    rows: int | None = None
    server_version: str | None = None


def _prove(manifest: Manifest, ports: Ports, *, proof_id: str) -> Proof:
    started, clock = ports.clock.now(), ports.clock.monotonic()
    result = _drill(manifest, ports)
    return Proof(
        id=proof_id,
        backup_id=manifest.id,
        method=Method.DRILL,
        verdict=overall(result.checks),
        checks=result.checks,
        started_at=started,
        finished_at=ports.clock.now(),
        digest_mode=manifest.digest_mode,
        rows=result.rows,
        restore_seconds=result.restore_seconds,
        total_seconds=round(ports.clock.monotonic() - clock, 3),
        server_version=result.server_version,
    )


def _drill(manifest: Manifest, ports: Ports) -> _Result:
    path = ports.archive.backup_path(manifest.id)
    ports.progress.say(f"reading the stored bytes of {manifest.id}")
    files = check_stored_files(manifest, path, ports)
    if files.verdict is not Verdict.PROVEN:
        return _Result(checks=(files,))
    if (unread := check_tools(manifest, ports)) is not None:
        return _Result(checks=(files, unread))
    try:
        with ports.archive.opened(manifest.id) as plain:
            result = _in_scratch(manifest, ports, plain, files)
            unpacked = [_prove_files(facts, ports, plain) for facts in manifest.file_sets]
            return replace(result, checks=(*result.checks, *unpacked))
    except StratumError as error:
        return _Result(checks=(files, unopened(error)))


def _prove_files(facts: FileSetFacts, ports: Ports, plain: Path) -> Check:
    ports.progress.say(f"unpacking the file set {facts.name} into a throwaway directory")
    return ports.file_sets.prove(plain / facts.path, facts.contents)


def _in_scratch(manifest: Manifest, ports: Ports, plain: Path, files: Check) -> _Result:
    try:
        with ports.runtime.scratch(purpose="drill", bootstrap_role=manifest.bootstrap_role) as server:
            return _restore_and_compare(manifest, ports, server, plain, files)
    except StratumError as error:
        return _Result(checks=(files, could_not_verify("throwaway-server", error.message)))


def _restore_and_compare(manifest: Manifest, ports: Ports, server: Server, plain: Path, files: Check) -> _Result:
    clock = ports.clock.monotonic()
    failed = restore_everything(manifest, ports, server, plain)
    seconds = round(ports.clock.monotonic() - clock, 3)
    if failed is not None:
        return _Result(checks=(files, failed))
    checks, rows = (
        [files, Check(name="restore", verdict=Verdict.PROVEN, reason="pg_restore ended without an error")],
        0,
    )
    for database in manifest.databases:
        ports.progress.say(f"comparing {database.facts.properties.name} with the manifest")
        restored = server.database.observe_facts(database.facts.properties.name, manifest.digest_mode)
        rows += restored.rows
        found = (
            *compare_facts(expected=database.facts, restored=restored),
            *_deep_checks(database, ports, server, manifest, plain),
        )
        checks += _named(found, database, several=len(manifest.databases) > 1)
    return _Result(checks=tuple(checks), restore_seconds=seconds, rows=rows, server_version=server.tools.version())


def restore_everything(manifest: Manifest, ports: Ports, server: Server, path: Path) -> Check | None:
    """Load roles and databases; None when all went well.

    A server that cannot hold such a database (a locale it does not have) leaves the backup unverified; a
    dump that cannot be loaded fails it.
    """
    try:
        server.tools.apply_roles(path / "globals.sql", existing=[manifest.bootstrap_role], with_settings=True)
        for database in manifest.databases:
            server.database.create_database(database.facts.properties.name, database.facts.properties)
    except StratumError as error:
        return could_not_verify("throwaway-server", error.message)
    for database in manifest.databases:
        name = database.facts.properties.name
        ports.progress.say(f"restoring {name} into a throwaway server")
        try:
            server.tools.restore(name, path / database.path)
            server.database.apply_properties(name, database.facts.properties)
        except StratumError as error:
            return Check(name="restore", verdict=Verdict.FAILED, reason=error.message)
    return None


def _deep_checks(
    database: DumpedDatabase, ports: Ports, server: Server, manifest: Manifest, plain: Path
) -> Iterator[Check]:
    name = database.facts.properties.name
    yield _check_schema(database, plain / database.path, server)
    yield _check_roles(manifest, server)
    yield server.database.check_collations(name)
    yield from server.database.run_smoke(name, ports.stack.drill.smoke_sql)
    yield server.tools.amcheck(name)


def _check_schema(database: DumpedDatabase, source: Path, server: Server) -> Check:
    """Whether what came back is defined as the dump defines it.

    PostgreSQL prints some expressions differently once they were read back from its own text (casts in a
    CHECK … IN, column names in a UNION). Where the texts differ, the dump's definitions make the same trip
    in an empty database, and the two results are compared.
    """
    restored = server.tools.schema_of_database(database.facts.properties.name)
    check = compare_schemas(dumped=server.tools.schema_of_dump(source), restored=restored)
    if check.verdict is Verdict.PROVEN:
        return check
    server.database.create_database(_SCHEMA_ONLY, database.facts.properties)
    try:
        server.tools.restore_schema(_SCHEMA_ONLY, source)
        return compare_schemas(dumped=server.tools.schema_of_database(_SCHEMA_ONLY), restored=restored)
    finally:
        server.database.drop_database(_SCHEMA_ONLY)


def _check_roles(manifest: Manifest, server: Server) -> Check:
    missing = {role.name for role in manifest.roles} - {role.name for role in server.database.roles()}
    if missing:
        return Check(name="roles", verdict=Verdict.FAILED, reason=f"missing: {', '.join(sorted(missing))}")
    return Check(name="roles", verdict=Verdict.PROVEN, reason=f"{len(manifest.roles)} present")


def _named(checks: tuple[Check, ...], database: DumpedDatabase, *, several: bool) -> list[Check]:
    """With several databases each check says which one it is about."""
    if not several:
        return list(checks)
    name = database.facts.properties.name
    return [Check(name=f"{check.name} {name}", verdict=check.verdict, reason=check.reason) for check in checks]


def _manifest(plan: Plan, ports: Ports) -> Manifest:
    return find_manifest(str(plan.params["backup_id"]), ports)


def find_manifest(backup_id: str, ports: Ports) -> Manifest:
    """A backup by its id, or by the last part of it. Raises `unknown-backup`."""
    for manifest in ports.archive.manifests():
        if backup_id in {manifest.id, manifest.id.rsplit("-", 1)[-1]}:
            return manifest
    raise StratumError("unknown-backup", backup=backup_id)
