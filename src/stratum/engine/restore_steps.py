"""What the steps of a restore do, and how each is taken back; another process can do either after a crash."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from stratum.core.backup import DumpedDatabase, Manifest
from stratum.core.errors import StratumError
from stratum.core.plan import Facts, Plan
from stratum.core.proof import Verdict, compare_facts, listed, overall
from stratum.core.recovery import difference, older_proven
from stratum.engine.run_drill import find_manifest
from stratum.engine.run_plan import short
from stratum.engine.show_difference import render_difference
from stratum.engine.tripwire import record_identity_of
from stratum.ports import Action, Ports, Role, RunState, SwapNames

Chosen = Callable[[], tuple[Manifest, DumpedDatabase]]
"""Finds the backup when a step needs it: taking a plan back must not hang on a backup that is gone by then."""


def restore_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Until the swap they add beside, or set aside what is put back."""
    params = plan.params
    names = SwapNames(live=str(params["database"]), beside=str(params["beside"]), kept=str(params["kept"]))
    chosen = choose_lazily(plan, ports)
    actions = (
        *_rebuilding_actions(plan, ports, chosen, names),
        *_building_actions(plan, ports, chosen, names),
        *_swapping_actions(plan, ports, chosen, names),
    )
    planned = {step.name for step in plan.steps}
    return tuple(action for action in actions if action.name in planned)


def choose_lazily(plan: Plan, ports: Ports) -> Chosen:
    """The plan's backup and database, looked for once, when first asked. Raises `unknown-backup` then."""

    @cache
    def chosen() -> tuple[Manifest, DumpedDatabase]:
        manifest = find_manifest(str(plan.params["backup_id"]), ports)
        return manifest, find_database(manifest, str(plan.params["database"]))

    return chosen


def find_database(manifest: Manifest, name: str) -> DumpedDatabase:
    """One database of a backup by its name. Raises `unknown-database`."""
    for database in manifest.databases:
        if database.facts.properties.name == name:
            return database
    raise StratumError("unknown-database", backup=manifest.id, database=name)


def _rebuilding_actions(plan: Plan, ports: Ports, chosen: Chosen, names: SwapNames) -> tuple[Action, ...]:
    aside = str(plan.params["aside"])

    def set_aside(_: Facts) -> Facts:
        return {"set_aside": ports.runtime.set_cluster_aside(aside)}

    def put_back(_: Facts) -> None:
        ports.runtime.put_cluster_back(aside)

    def make_cluster(_: Facts) -> None:
        ports.runtime.create_cluster(bootstrap_role=chosen()[0].bootstrap_role, application_database=False)
        ports.runtime.start()

    def remove_cluster(_: Facts) -> None:
        """The one this plan made has no live database yet; any other is set aside and not deleted."""
        if _holds(ports, names.live):
            ports.runtime.set_cluster_aside(f"data-taken-back-{short(plan.id)}")
        else:
            ports.runtime.remove_cluster()

    return (
        Action(name="set-aside", run=set_aside, undo=put_back),
        Action(name="make-cluster", run=make_cluster, undo=remove_cluster),
    )


def _holds(ports: Ports, database: str) -> bool:
    """Whether the cluster holds this database; one that cannot be asked may."""
    state = ports.runtime.observe().state
    if state is RunState.RUNNING:
        return database in ports.runtime.server(Role.MAINTENANCE).database.database_oids()
    return state is not RunState.ABSENT


def _building_actions(plan: Plan, ports: Ports, chosen: Chosen, names: SwapNames) -> tuple[Action, ...]:
    def roles(_: Facts) -> None:
        server = ports.runtime.server(Role.MAINTENANCE)
        if ports.stack.external and not server.database.is_superuser():
            return  # only a superuser makes roles as they were; the plan named those that are missing
        existing = [role.name for role in server.database.roles()]
        with ports.archive.opened(chosen()[0].id, "globals.sql") as plain:
            script = plain / "globals.sql"
            server.tools.apply_roles(script, existing=existing, with_settings=bool(plan.params["rebuild"]))

    def build_beside(_: Facts) -> None:
        manifest, dumped = chosen()
        server = ports.runtime.server(Role.MAINTENANCE)
        server.database.create_database(names.beside, dumped.facts.properties)
        ports.progress.say(f"restoring {names.live} beside, as {names.beside}")
        load = server.tools.restore if server.database.is_superuser() else server.tools.restore_as_member
        with ports.archive.opened(manifest.id, dumped.path) as plain:
            load(names.beside, plain / dumped.path)
        server.database.apply_properties(names.beside, dumped.facts.properties)

    def drop_beside(_: Facts) -> None:
        ports.runtime.server(Role.MAINTENANCE).database.drop_database(names.beside)

    def verify(_: Facts) -> Facts:
        manifest, dumped = chosen()
        observed = ports.runtime.server(Role.MAINTENANCE).database.observe_identity(ports.stack.databases)
        verdict = _verify_beside(ports, manifest, dumped, names.beside)
        return {"verdict": verdict, "cluster": observed.system_identifier}

    return (
        Action(name="roles", run=roles),
        Action(name="build-beside", run=build_beside, undo=drop_beside),
        # Where nothing is swapped, being verified is what makes the new database somebody's.
        Action(name="verify", run=verify, took_effect=lambda _: False),
    )


def _swapping_actions(plan: Plan, ports: Ports, chosen: Chosen, names: SwapNames) -> tuple[Action, ...]:
    def swap(_: Facts) -> Facts:
        database = ports.runtime.server(Role.MAINTENANCE).database
        replaced = names.live in database.database_oids()
        end_console_sessions(plan, ports, names)
        database.swap_databases(names)
        return {"replaced": replaced}

    def remember(facts: Facts) -> None:
        record_identity_of(ports, cluster=facts.get("cluster"))
        renew_console(ports, names)

    return (
        Action(
            name="swap",
            run=swap,
            undo=lambda _: reopen(ports, names),
            known=lambda facts: _known_before_swap(ports, chosen()[1], names, facts),
            took_effect=lambda _: is_swapped(ports, names),
        ),
        Action(name="remember", run=remember),
    )


def end_console_sessions(plan: Plan, ports: Ports, names: SwapNames) -> None:
    """Before the console's own database is replaced: what comes back must not let in who was signed out since."""
    if names.live == ports.stack.console_database:
        ports.archive.raise_token_epoch(because=plan.id)


def renew_console(ports: Ports, names: SwapNames) -> None:
    """After it was replaced: what came back may be of an earlier release, and is migrated at a start."""
    if names.live == ports.stack.console_database:
        ports.services.renew("backend")


def is_swapped(ports: Ports, names: SwapNames) -> bool:
    """Both renames happen in one transaction, so the names tell. Raises `not-running` when nobody can be asked."""
    oids = ports.runtime.server(Role.MAINTENANCE).database.database_oids()
    return names.beside not in oids and names.live in oids


def reopen(ports: Ports, names: SwapNames) -> None:
    """The way back of a swap that did not happen: the live database accepts connections again."""
    database = ports.runtime.server(Role.MAINTENANCE).database
    if names.live in database.database_oids():
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
    try:
        live = database.observe_facts(names.live, dumped.facts.digest_mode)
    except StratumError as error:
        return (verdict, f"the live {names.live} could not be read, so the difference is not known: {error.message}")
    return (verdict, *render_difference(difference(live=live, backup=dumped.facts)))
