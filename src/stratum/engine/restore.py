"""restore: build the database beside, verify it, show the difference, ask, and swap; the old one is kept."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stratum.core.backup import DumpedDatabase, Manifest
from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Plan, Step
from stratum.core.proof import Verdict, listed
from stratum.core.recovery import choose_backup, older_proven
from stratum.core.sizes import render_age
from stratum.engine.restore_guards import own_server_notes, restore_guards
from stratum.engine.restore_steps import find_database, restore_actions
from stratum.engine.run_drill import find_manifest
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.verify_backup import verify_backup
from stratum.ports import Outcome, Ports, Prepared, Role, RunState

_NAME_LIMIT_BYTES = 63
_BESIDE = re.compile(r".+__(?P<what>restoring|before|undone|before_update|taken_back)_(?P<id>[0-9a-z]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What to restore: a backup by id, or the newest at a time, or the newest of all; one database of it."""

    backup_id: str | None = None
    at: datetime | None = None
    database: str | None = None
    into: str | None = None
    """Restore beside under this name and leave the live database alone."""


def restore(ports: Ports, target: Target) -> Outcome:
    """Bring one database back from a backup; never overwrites.

    The live database serves until the swap, and is kept for the undo window. With no cluster left, a new one
    is made and what remained of the old data directory is kept aside. Raises `no-backup-yet`, `nothing-to-restore`,
    `backup-damaged`, `wrong-cluster`, `wrong-version`, `disk-too-small`, `swap-obstacle`, `name-taken`,
    `restore-not-proven`, `swap-blocked`; the live database is untouched after any of them.
    """
    manifest, passed_over = choose_whole_backup(ports, target)
    dumped = find_database(manifest, target.database or ports.stack.databases[0])
    rebuild = not _is_serving(ports)
    plan = _plan(ports, target, manifest, dumped, rebuild=rebuild, passed_over=passed_over)
    return ports.run(Prepared(plan=plan, actions=restore_actions(plan, ports)), ports)


def choose_whole_backup(ports: Ports, target: Target) -> tuple[Manifest, tuple[str, ...]]:
    """The backup to use, its stored bytes read just now, and what was passed over because it is damaged.

    A backup asked for by id is used or refused; otherwise the next older one takes a damaged one's place.
    """
    passed_over: list[str] = []
    while True:
        manifests, proofs = ports.archive.manifests(), ports.archive.proofs()
        wanted = target.database or ports.stack.databases[0]
        # A file that was taken in holds one database, and must not stand before another one's newest backup.
        holding = tuple(m for m in manifests if holds(m, wanted)) or manifests
        if target.backup_id is not None:
            manifest = find_manifest(target.backup_id, ports)
        else:
            chosen = choose_backup(holding, proofs, at=target.at)
            if chosen is None:
                raise _nothing(ports, target)
            manifest = chosen
        proof = verify_backup(manifest, ports)
        if proof.verdict is not Verdict.FAILED:
            return manifest, tuple(passed_over)
        findings = listed(f"{c.name}: {c.reason}" for c in proof.checks if c.verdict is Verdict.FAILED)
        if target.backup_id is not None:
            older = older_proven(manifests, proofs, than=manifest)
            raise StratumError(
                "backup-damaged",
                backup=manifest.id,
                findings=findings,
                older=older.id if older else "(there is none)",
            )
        passed_over.append(f"backup {manifest.id} is damaged and was passed over: {findings}")


def holds(manifest: Manifest, database: str) -> bool:
    """Whether a backup has this database."""
    return any(dumped.facts.properties.name == database for dumped in manifest.databases)


def _is_serving(ports: Ports) -> bool:
    """Whether there is a cluster to restore into; a stopped one is started to find out.

    Starting changes no data, and a data directory that will not start is as good as none.
    """
    state = ports.runtime.observe().state
    if state is RunState.STOPPED:
        try:
            ports.runtime.start()
        except StratumError as error:
            if error.code != "server-start-failed":
                raise
            return False
        return True
    return state is RunState.RUNNING


def _plan(
    ports: Ports,
    target: Target,
    manifest: Manifest,
    dumped: DumpedDatabase,
    *,
    rebuild: bool,
    passed_over: tuple[str, ...],
) -> Plan:
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    live = dumped.facts.properties.name
    age = render_age(now - manifest.taken_at)
    where = f"into {target.into}" if target.into else "in its place"
    # A new cluster holds nothing but what is restored into it.
    kept_files = manifest.file_sets if target.into is None else ()
    left = [d.facts.properties.name for d in manifest.databases if rebuild and d is not dumped]
    return Plan(
        id=plan_id,
        verb="restore",
        stack=ports.stack.name,
        created_at=now,
        headline=f"restore {live} from {manifest.id}, taken {age} ago, {where}",
        steps=_steps(rebuild=rebuild, into=target.into is not None),
        params={
            "backup_id": manifest.id,
            "database": live,
            "beside": target.into or name_beside(live, "restoring", plan_id),
            "kept": name_beside(live, "before", plan_id),
            "swap": target.into is None,
            "rebuild": rebuild,
            "aside": f"data-before-{short(plan_id)}",
            "undo": undo_command(ports, live),
            "left": list(left),
        },
        guards=restore_guards(ports, manifest, dumped, into=target.into, rebuild=rebuild),
        notes=(
            *passed_over,
            *own_server_notes(ports, manifest, dumped),
            *_notes(ports, live, rebuild=rebuild, into=target.into),
            *map(still_to_restore, left),
            *(f"it holds files as well: `stratum restore --files {one.name}` brings them back" for one in kept_files),
        ),
        forward_from="verify" if target.into else "swap",
        confirmations=0 if target.into else 1,
    )


def name_beside(database: str, what: str, plan_id: str) -> str:
    """A name beside the live one's, cut to what PostgreSQL takes without splitting a character.

    Databases whose long names begin alike get different ones all the same.
    """
    suffix = f"__{what}_{short(plan_id)}"
    if len(database.encode()) + len(suffix) > _NAME_LIMIT_BYTES:
        suffix = f"_{hashlib.sha256(database.encode()).hexdigest()[:6]}{suffix}"
    head = database.encode()[: _NAME_LIMIT_BYTES - len(suffix)].decode(errors="ignore")
    return head + suffix


def is_beside(name: str, databases: Sequence[str]) -> bool:
    """Whether a database of this name was put beside one of these, by a restore, an update or a way back."""
    found = _BESIDE.fullmatch(name)
    return found is not None and any(
        name == name_beside(database, found["what"], found["id"]) for database in databases
    )


def _steps(*, rebuild: bool, into: bool) -> tuple[Step, ...]:
    rebuilding = (
        Step(name="set-aside", summary="keep what is left of the data directory under another name",
             effect=Effect.SETS_ASIDE, way_back="it is put back"),
        Step(name="make-cluster", summary="make a new cluster with this stack's roles", effect=Effect.ADDS,
             way_back="the new cluster is removed, or set aside when it cannot be looked into"),
    )  # fmt: skip
    building = (
        Step(name="roles", summary="create roles the backup knows and this cluster does not", effect=Effect.ADDS,
             way_back="they stay; a role without a password harms nothing"),
        Step(name="build-beside", summary="restore into a new database beside the live one", effect=Effect.ADDS,
             way_back="the new database is dropped"),
        Step(name="verify", summary="compare what came back with the manifest"),
    )  # fmt: skip
    swapping = (
        Step(name="swap", summary="end sessions and swap the two databases by name, in one transaction",
             effect=Effect.SETS_ASIDE, way_back="the names are swapped back", asks=True),
        Step(name="remember", summary="record the cluster's new identity"),
    )  # fmt: skip
    return (*(rebuilding if rebuild else ()), *building, *(() if into else swapping))


def _notes(ports: Ports, live: str, *, rebuild: bool, into: str | None) -> tuple[str, ...]:
    if rebuild:
        return ("there is no cluster to restore into: a new one is made",)
    if into is not None:
        return ()
    left = ports.runtime.server(Role.MAINTENANCE).database.does_not_follow(live)
    notes = [f"does not follow the rename: {name}" for name in left]
    window = render_age(ports.stack.restore.undo_window)
    return (*notes, f"the database it replaces is kept for {window}; `{undo_command(ports, live)}` swaps back")


def undo_command(ports: Ports, database: str) -> str:
    """What to type to swap this database back; without a name it would be the application's."""
    named = "" if database == ports.stack.databases[0] else f" --database {shlex.quote(database)}"
    return f"stratum restore --undo{named}"


def still_to_restore(database: str) -> str:
    """A database of the backup that this restore leaves out."""
    return f"not restored yet: {database}; `stratum restore --database {shlex.quote(database)}` brings it back"


def _nothing(ports: Ports, target: Target) -> StratumError:
    manifests = ports.archive.manifests()
    if not manifests:
        return StratumError("no-backup-yet")
    return StratumError(
        "nothing-to-restore",
        target=f"{target.at:%Y-%m-%d %H:%M:%S} UTC" if target.at else "any moment",
        oldest=f"{manifests[0].taken_at:%Y-%m-%d %H:%M:%S} UTC",
        newest=f"{manifests[-1].taken_at:%Y-%m-%d %H:%M:%S} UTC",
    )
