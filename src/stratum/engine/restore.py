"""restore: build the database beside, verify it, show the difference, ask, and swap; the old one is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stratum.core.backup import DumpedDatabase, Manifest
from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.proof import Verdict, compare_facts, listed, overall
from stratum.core.recovery import choose_backup, difference, older_proven
from stratum.core.sizes import render_age
from stratum.engine.restore_guards import restore_guards
from stratum.engine.run_drill import find_manifest
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.show_difference import render_difference
from stratum.engine.tripwire import record_identity
from stratum.engine.verify_backup import verify_backup
from stratum.ports import Action, Outcome, Ports, Prepared, Role, RunState, SwapNames

_NAME_LIMIT_BYTES = 63


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
    is made and what remained of the old data directory is kept aside. Raises `nothing-to-restore`,
    `backup-damaged`, `wrong-cluster`, `wrong-version`, `disk-too-small`, `swap-obstacle`, `name-taken`,
    `restore-not-proven`, `swap-blocked`; the live database is untouched after any of them.
    """
    ports.runtime.sweep_scratch()
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
        if target.backup_id is not None:
            manifest = find_manifest(target.backup_id, ports)
        else:
            chosen = choose_backup(manifests, proofs, at=target.at)
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


def find_database(manifest: Manifest, name: str) -> DumpedDatabase:
    """One database of a backup by its name. Raises `unknown-database`."""
    for database in manifest.databases:
        if database.facts.properties.name == name:
            return database
    raise StratumError("unknown-database", backup=manifest.id, database=name)


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
            "beside": target.into or _named(live, "restoring", plan_id),
            "kept": _named(live, "before", plan_id),
            "swap": target.into is None,
            "rebuild": rebuild,
            "aside": f"data-before-{short(plan_id)}",
        },
        guards=restore_guards(ports, manifest, dumped, into=target.into, rebuild=rebuild),
        notes=(*passed_over, *_notes(ports, live, rebuild=rebuild, into=target.into)),
        forward_from=None if target.into else "swap",
        confirmations=0 if target.into else 1,
    )


def _named(database: str, what: str, plan_id: str) -> str:
    """A name beside the live one's, cut to what PostgreSQL takes without splitting a character."""
    suffix = f"__{what}_{short(plan_id)}"
    head = database.encode()[: _NAME_LIMIT_BYTES - len(suffix)].decode(errors="ignore")
    return head + suffix


def _steps(*, rebuild: bool, into: bool) -> tuple[Step, ...]:
    rebuilding = (
        Step(name="set-aside", summary="keep what is left of the data directory under another name",
             effect=Effect.SETS_ASIDE, way_back="it is put back"),
        Step(name="make-cluster", summary="make a new cluster with this stack's roles", effect=Effect.ADDS,
             way_back="the new cluster is removed"),
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
    return (*notes, f"the database it replaces is kept for {window}; `stratum restore --undo` swaps back")


def restore_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Until the swap they add beside, or set aside what is put back."""
    params = plan.params
    manifest = find_manifest(str(params["backup_id"]), ports)
    dumped = find_database(manifest, str(params["database"]))
    names = SwapNames(live=str(params["database"]), beside=str(params["beside"]), kept=str(params["kept"]))
    actions = (
        *_rebuilding_actions(plan, ports, manifest),
        *_building_actions(plan, ports, manifest, dumped, names),
        *_swapping_actions(ports, dumped, names),
    )
    planned = {step.name for step in plan.steps}
    return tuple(action for action in actions if action.name in planned)


def _rebuilding_actions(plan: Plan, ports: Ports, manifest: Manifest) -> tuple[Action, ...]:
    aside = str(plan.params["aside"])

    def set_aside(_: Facts) -> Facts:
        return {"set_aside": ports.runtime.set_cluster_aside(aside)}

    def put_back(_: Facts) -> None:
        ports.runtime.put_cluster_back(aside)

    def make_cluster(_: Facts) -> None:
        ports.runtime.create_cluster(bootstrap_role=manifest.bootstrap_role, application_database=False)
        ports.runtime.start()

    def remove_cluster(_: Facts) -> None:
        ports.runtime.remove_cluster()

    return (
        Action(name="set-aside", run=set_aside, undo=put_back),
        Action(name="make-cluster", run=make_cluster, undo=remove_cluster),
    )


def _building_actions(
    plan: Plan, ports: Ports, manifest: Manifest, dumped: DumpedDatabase, names: SwapNames
) -> tuple[Action, ...]:
    source = ports.archive.backup_path(manifest.id)

    def roles(_: Facts) -> None:
        server = ports.runtime.server(Role.MAINTENANCE)
        existing = [role.name for role in server.database.roles()]
        rebuild = bool(plan.params["rebuild"])
        server.tools.apply_roles(source / "globals.sql", existing=existing, with_settings=rebuild)

    def build_beside(_: Facts) -> None:
        server = ports.runtime.server(Role.MAINTENANCE)
        server.database.create_database(names.beside, dumped.facts.properties)
        ports.progress.say(f"restoring {names.live} beside, as {names.beside}")
        server.tools.restore(names.beside, source / dumped.path)
        server.database.apply_properties(names.beside, dumped.facts.properties)

    def drop_beside(_: Facts) -> None:
        if ports.runtime.observe().state is RunState.RUNNING:
            ports.runtime.server(Role.MAINTENANCE).database.drop_database(names.beside)

    def verify(_: Facts) -> Facts:
        return {"verdict": _verify_beside(ports, manifest, dumped, names.beside)}

    return (
        Action(name="roles", run=roles),
        Action(name="build-beside", run=build_beside, undo=drop_beside),
        Action(name="verify", run=verify),
    )


def _swapping_actions(ports: Ports, dumped: DumpedDatabase, names: SwapNames) -> tuple[Action, ...]:
    def swap(_: Facts) -> None:
        ports.runtime.server(Role.MAINTENANCE).database.swap_databases(names)

    def remember(_: Facts) -> None:
        record_identity(ports)

    return (
        Action(
            name="swap",
            run=swap,
            undo=lambda _: unswap(ports, names),
            known=lambda facts: _known_before_swap(ports, dumped, names, facts),
        ),
        Action(name="remember", run=remember),
    )


def unswap(ports: Ports, names: SwapNames) -> None:
    """Take a swap back, if it happened; either way the live database accepts connections again."""
    database = ports.runtime.server(Role.MAINTENANCE).database
    oids = database.database_oids()
    if names.beside not in oids and names.kept in oids:
        database.swap_databases(SwapNames(live=names.live, beside=names.kept, kept=names.beside))
    elif names.live in oids:
        database.allow_connections(names.live, allowed=True)


def _verify_beside(ports: Ports, manifest: Manifest, dumped: DumpedDatabase, beside: str) -> str:
    database = ports.runtime.server(Role.MAINTENANCE).database
    restored = database.observe_facts(beside, manifest.digest_mode)
    checks = compare_facts(expected=dumped.facts, restored=restored)
    failed = [f"{check.name}: {check.reason}" for check in checks if check.verdict is Verdict.FAILED]
    if failed:
        older = older_proven(ports.archive.manifests(), ports.archive.proofs(), than=manifest)
        raise StratumError(
            "restore-not-proven",
            backup=manifest.id,
            findings=listed(failed),
            older=older.id if older else "(there is none)",
        )
    return overall(checks).value


def _known_before_swap(ports: Ports, dumped: DumpedDatabase, names: SwapNames, facts: Facts) -> tuple[str, ...]:
    database = ports.runtime.server(Role.MAINTENANCE).database
    verdict = f"what came back: {facts['verdict']}, {dumped.facts.rows} rows"
    if names.live not in database.database_oids():
        return (verdict, f"there is no live {names.live}: nothing is replaced")
    live = database.observe_facts(names.live, dumped.facts.digest_mode)
    return (verdict, *render_difference(difference(live=live, backup=dumped.facts)))


def _nothing(ports: Ports, target: Target) -> StratumError:
    manifests = ports.archive.manifests()
    return StratumError(
        "nothing-to-restore",
        target=f"{target.at:%Y-%m-%d %H:%M:%S} UTC" if target.at else "any moment",
        oldest=f"{manifests[0].taken_at:%Y-%m-%d %H:%M:%S} UTC" if manifests else "never",
        newest=f"{manifests[-1].taken_at:%Y-%m-%d %H:%M:%S} UTC" if manifests else "never",
    )
