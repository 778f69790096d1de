"""backup: a dump taken in one snapshot with its facts, read back in full, and published only when whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from stratum import __version__
from stratum.core.backup import (
    CHECKSUMS,
    DIGEST_ALGORITHM,
    BackupKind,
    DatabaseFacts,
    DumpedDatabase,
    FileFacts,
    Manifest,
    RoleFacts,
)
from stratum.core.dump_contents import compare_contents
from stratum.core.errors import StratumError
from stratum.core.file_sets import RESTORE, UNDO_RESTORE, FileSetFacts
from stratum.core.guard import GuardResult
from stratum.core.identity import Identity
from stratum.core.plan import Effect, Facts, Plan, Step, unfinished_plans
from stratum.core.proof import Verdict
from stratum.core.sizes import render_bytes
from stratum.engine.run_plan import new_plan_id
from stratum.engine.tripwire import record_identity, refuse_look_alike
from stratum.ports import Action, Outcome, Ports, Prepared, Role, Server

FILES_DIRECTORY = "file-sets"
"""Where a backup keeps its file sets."""
_RESERVED = {FILES_DIRECTORY, "globals.sql", "manifest.json", CHECKSUMS}
_FULL_BELOW_BYTES = 1 << 20
_CLOCK_TOLERANCE_SECONDS = 5.0
_STEPS = (
    Step(name="dump", summary="dump every database in one snapshot each, counting and digesting its rows",
         effect=Effect.ADDS, way_back="the unfinished dump is thrown away"),
    Step(name="read-back", summary="read the whole dump back and compare it with the backup before it"),
    Step(name="publish", summary="write checksums and, last of all, the manifest", effect=Effect.ADDS,
         way_back="a backup that is whole stays: it harms nothing"),
    Step(name="remember", summary="record the cluster's identity as of now"),
)  # fmt: skip


def take_dump(ports: Ports, *, accept_fewer_rows: bool = False) -> Outcome:
    """Take a dump of the stack's databases now; `facts["backup_id"]` names it.

    The running database is only read. The directories of `[[files]]` are read after it, so that what a row of the
    dump names was there by then. Raises the tripwire's errors, `archive-…`, `disk-too-small`, `clock-behind`,
    `backup-not-whole`, `rows-collapsed`, `files-collapsed`, `files-away`, `files-cut` and `files-unreadable`; after any
    of them no new backup is visible.
    """
    ports.archive.check_writable()
    refuse_look_alike(ports)
    ports.file_sets.refuse_away()
    refuse_cut_files(ports, ports.stack.file_sets)
    now = ports.clock.now()
    plan = Plan(
        id=new_plan_id(now),
        verb="backup",
        stack=ports.stack.name,
        created_at=now,
        headline=f"dump {', '.join((*ports.stack.databases, *(f'file set {name}' for name in ports.stack.file_sets)))}",
        steps=_STEPS,
        params={"accept_fewer_rows": accept_fewer_rows},
        guards=(clock_guard(ports), _space_guard(ports)),
    )
    return ports.run(Prepared(plan=plan, actions=dump_actions(plan, ports)), ports)


@dataclass(slots=True)
class _Notebook:
    """What the dump step learned and later steps of the same process need; a crash throws the dump away anyway."""

    databases: list[DumpedDatabase] = field(default_factory=list)
    changed: dict[str, bool] = field(default_factory=dict)
    """By file set, whether something wrote to it while it was packed."""
    file_sets: tuple[FileSetFacts, ...] = ()
    roles: tuple[RoleFacts, ...] = ()
    identity: Identity | None = None
    bootstrap_role: str = ""


def dump_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Until `publish` no backup is visible, and undoing throws the dump away."""
    notebook = _Notebook()
    backup_id = plan.id

    def dump(_: Facts) -> Facts:
        aside = ports.archive.begin_backup(backup_id)
        _dump_everything(ports, aside, notebook)
        _pack_files(ports, aside, notebook)
        return {"backup_id": backup_id}

    def discard(_: Facts) -> None:
        ports.archive.discard_partial(backup_id)

    def read_back(_: Facts) -> None:
        _refuse_collapse(ports, notebook, accepted=bool(plan.params["accept_fewer_rows"]))
        tools = ports.runtime.offline_tools()
        aside = ports.archive.partial_path(backup_id)
        for database in notebook.databases:
            source = aside / database.path
            found = compare_contents(database.facts.tables, tools.contents(source), tools.read_everything(source))
            if found.verdict is not Verdict.PROVEN:
                raise StratumError("backup-not-whole", problem=found.reason)
        notebook.file_sets = tuple(
            FileSetFacts(name=name, path=_packed(name), contents=ports.file_sets.read(aside / _packed(name)),
                         changed=changed)
            for name, changed in notebook.changed.items()
        )  # fmt: skip
        _refuse_files_collapse(ports, notebook, accepted=bool(plan.params["accept_fewer_rows"]))

    def publish(_: Facts) -> Facts:
        manifest = _manifest(plan, ports, notebook)
        ports.archive.publish(manifest)
        return {"rows": manifest.rows, "bytes": manifest.bytes, "taken_at": manifest.taken_at.isoformat()}

    def remember(_: Facts) -> None:
        record_identity(ports)

    return (
        Action(name="dump", run=dump, undo=discard),
        Action(name="read-back", run=read_back),
        Action(name="publish", run=publish),
        Action(name="remember", run=remember),
    )


def _dump_everything(ports: Ports, aside: Path, notebook: _Notebook) -> None:
    maintenance = ports.runtime.server(Role.MAINTENANCE).database
    notebook.identity = maintenance.observe_identity(ports.stack.databases)
    notebook.bootstrap_role = maintenance.bootstrap_role()
    server = ports.runtime.server(Role.BACKUP)
    notebook.roles = server.database.roles()
    try:
        server.tools.dump_roles(aside / "globals.sql")
        (aside / "globals.sql").chmod(0o600)
        for name in ports.stack.databases:
            notebook.databases.append(_dump_database(ports, server, name, aside))
    except StratumError as error:
        if error.code == "tool-failed" and ports.archive.free_bytes() < _FULL_BELOW_BYTES:
            raise StratumError("archive-full", path=aside.parent) from None
        raise


def _pack_files(ports: Ports, aside: Path, notebook: _Notebook) -> None:
    for name in ports.stack.file_sets:
        into = aside / _packed(name)
        into.parent.mkdir(mode=0o750, exist_ok=True)
        with ports.progress.task(f"packing the file set {name}", total=None, unit="bytes") as packed:
            notebook.changed[name] = ports.file_sets.pack(name, into, on_bytes=packed)


def _packed(name: str) -> str:
    return f"{FILES_DIRECTORY}/{name}.tar.zst"


def _dump_database(ports: Ports, server: Server, name: str, aside: Path) -> DumpedDatabase:
    path = aside / file_name(name)
    with server.database.snapshot(name) as snapshot:
        with ports.progress.task(f"counting {name}", total=None, unit="bytes") as counted:
            facts = snapshot.observe_facts(ports.stack.backup.digest, lambda done, _: counted(done))
        with _dumping(ports, name, facts) as written:
            server.tools.dump(name, snapshot=snapshot.name, into=path, on_bytes=written)
    return DumpedDatabase(path=path.name, archive_version=server.tools.archive_version(path), facts=facts)


def _dumping(ports: Ports, name: str, facts: DatabaseFacts) -> AbstractContextManager[Callable[[int], None]]:
    """The size of a dump is not known beforehand; the newest one's is the best guess."""
    before = [d for m in ports.archive.manifests()[-1:] for d in m.databases if d.facts.properties.name == name]
    share = facts.size_bytes / before[0].facts.size_bytes if before and before[0].facts.size_bytes else None
    last = _bytes_of(before[0], ports.archive.manifests()[-1].files) if share else None
    return ports.progress.task(f"dumping {name}", total=int(last * share) if last and share else None, unit="bytes")


def _refuse_collapse(ports: Ports, notebook: _Notebook, *, accepted: bool) -> None:
    """A dump that lost most of its rows is a sign of an accident, not a backup of it."""
    manifests = ports.archive.manifests()
    if accepted or not manifests:
        return
    rows, before = (_rows_that_count(found, ports) for found in (notebook.databases, manifests[-1].databases))
    if before and rows < before * (1 - ports.stack.backup.collapse_limit):
        percent = f"{100 * (before - rows) / before:.0f}"
        raise StratumError("rows-collapsed", rows=rows, rows_before=before, percent=percent)


def _refuse_files_collapse(ports: Ports, notebook: _Notebook, *, accepted: bool) -> None:
    """As with rows: a disk that is not mounted, or a volume that was made anew, looks like an empty directory."""
    if accepted:
        return
    before = {found.name: found.contents for manifest in ports.archive.manifests() for found in manifest.file_sets}
    for name, now in ((found.name, found.contents) for found in notebook.file_sets):
        then = before.get(name)
        if then is None:
            continue
        few = now.entries < then.entries * (1 - ports.stack.backup.collapse_limit)
        if few or (then.bytes and not now.bytes):
            raise StratumError("files-collapsed", name=name, entries=now.entries, entries_before=then.entries,
                               bytes=now.bytes, bytes_before=then.bytes)  # fmt: skip


def refuse_cut_files(ports: Ports, names: Collection[str]) -> None:
    """Raises `files-cut` for a set in which a restore broke off: what lies there is neither the old nor the new."""
    for cut in unfinished_plans(ports.journal.entries()):
        name = str(cut.plan.params.get("files"))
        if cut.plan.verb in {RESTORE, UNDO_RESTORE} and name in names:
            raise StratumError("files-cut", name=name)


def _rows_that_count(databases: Sequence[DumpedDatabase], ports: Ports) -> int:
    """Sessions and events of the console come and go, and must not hide what the application lost."""
    return sum(d.facts.rows for d in databases if d.facts.properties.name != ports.stack.console_database)


def _manifest(plan: Plan, ports: Ports, notebook: _Notebook) -> Manifest:
    files = ports.archive.measure(ports.archive.partial_path(plan.id))
    empty = [database.path for database in notebook.databases if _bytes_of(database, files) == 0]
    if empty or not notebook.databases:
        raise StratumError("backup-not-whole", problem=f"{', '.join(empty) or 'the list of databases'} is empty")
    if notebook.identity is None:
        raise StratumError("backup-not-whole", problem="the cluster was not identified")
    return Manifest(
        id=plan.id,
        kind=BackupKind.DUMP,
        stack=ports.stack.name,
        started_at=plan.created_at,
        taken_at=max(database.facts.snapshot_at for database in notebook.databases),
        finished_at=ports.clock.now(),
        cluster=notebook.identity,
        bootstrap_role=notebook.bootstrap_role,
        tool_version=ports.runtime.tools_version(),
        stratum_version=__version__,
        digest_algorithm=DIGEST_ALGORITHM,
        digest_mode=ports.stack.backup.digest,
        databases=tuple(notebook.databases),
        roles=notebook.roles,
        files=files,
        file_sets=notebook.file_sets,
    )


def _bytes_of(database: DumpedDatabase, files: tuple[FileFacts, ...]) -> int:
    """Single files may be empty: an empty large object is one."""
    return sum(file.bytes for file in files if Path(file.path).parts[0] == database.path)


def file_name(database: str) -> str:
    """A database's name as one harmless path component; characters that are not are written as %XX.

    No database can take the place of what else a backup's directory holds.
    """
    found = re.sub(r"[^A-Za-z0-9_.-]|^\.", lambda m: "".join(f"%{b:02X}" for b in m.group().encode()), database)
    return f"%{ord(found[0]):02X}{found[1:]}" if found in _RESERVED else found


def clock_guard(ports: Ports) -> GuardResult:
    """Holds unless the newest backup is from the future: with such a clock, newest would mean nothing."""
    now, manifests = ports.clock.now(), ports.archive.manifests()
    newest = manifests[-1] if manifests else None
    behind = newest is not None and (newest.taken_at - now).total_seconds() > _CLOCK_TOLERANCE_SECONDS
    details = {"now": f"{now:%Y-%m-%d %H:%M:%S} UTC"}
    if newest is not None:
        details |= {"backup": newest.id, "taken_at": f"{newest.taken_at:%Y-%m-%d %H:%M:%S} UTC"}
    return GuardResult(
        name="clock-not-behind",
        holds=not behind,
        statement=f"it is {details['now']}; the newest backup is from {details.get('taken_at', 'never')}",
        code="clock-behind",
        details=details,
    )


def _space_guard(ports: Ports) -> GuardResult:
    """The next dump is taken to be about as large as the last; the first one cannot be foreseen."""
    manifests = ports.archive.manifests()
    needed = int(manifests[-1].bytes * 1.2) if manifests else _FULL_BELOW_BYTES
    free = ports.archive.free_bytes()
    return space_guard(what="a backup", needed=needed, free=free, where="the archive")


def space_guard(*, what: str, needed: int, free: int, where: str) -> GuardResult:
    """Holds when `free` bytes are enough for the `needed` ones; `where` names the disk in the refusal."""
    return GuardResult(
        name="disk-space",
        holds=free >= needed,
        statement=f"{what} needs about {render_bytes(needed)}; {render_bytes(free)} are free at {where}",
        code="disk-too-small",
        details={
            "what": what,
            "needed": render_bytes(needed),
            "free": render_bytes(free),
            "where": where,
            "missing": render_bytes(max(0, needed - free)),
        },
    )
