"""upgrade-postgres on this machine: a cluster of another major beside, compared, then in the old one's place."""

from __future__ import annotations

from dataclasses import replace

from stratum.core.backup import Manifest
from stratum.core.errors import StratumError
from stratum.core.guard import GuardResult
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.proof import Verdict, compare_facts, listed
from stratum.engine.restore import is_beside
from stratum.engine.restore_point import name_action, name_steps
from stratum.engine.run_drill import find_manifest, run_drill
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.take_dump import space_guard, take_dump
from stratum.engine.tripwire import record_identity
from stratum.ports import Action, Outcome, Ports, Prepared, Role, RunState, Server
from stratum.upgrade import LocalUpgrade

VERB = "upgrade-postgres"
SPARE_BYTES = 256 << 20

TAKE_BACKUP = Step(name="backup", summary="take a backup of the running databases", effect=Effect.ADDS,
              way_back="it stays: a backup harms nothing")  # fmt: skip
PROVE = Step(name="prove", summary="prove it by a drill on the major that serves now")
REHEARSE = Step(name="rehearse", summary="bring it back on a throwaway server of the new major, and compare",
                way_back="the throwaway server is removed")  # fmt: skip
_STOP = Step(name="stop", summary="stop the services and close the database to everybody but Stratum", asks=True,
             way_back="the old server serves again, and the services are started")  # fmt: skip
DUMP = Step(name="dump", summary="take the backup that moves: nobody writes any more", effect=Effect.ADDS,
            way_back="it stays: a backup harms nothing")  # fmt: skip
_MAKE = Step(name="make-beside", summary="make a cluster of the new major in a data directory beside, and fill it",
             effect=Effect.ADDS, way_back="it is stopped and removed")  # fmt: skip
_COMPARE = Step(name="compare", summary="compare rows and digests table by table with the old cluster's")
ANALYZE = Step(name="analyze", summary="count anew what the planner goes by")
_SWITCH = Step(name="switch", summary="let it take the old data directory's place, which is kept as it is",
               effect=Effect.SETS_ASIDE, way_back="the old data directory takes its place again")  # fmt: skip
START = Step(name="start", summary="start PostgreSQL on it and wait until it answers", way_back="it is stopped again")
REMEMBER = Step(name="remember", summary="record the cluster's new identity")
SERVICES = Step(name="services", summary="start the services again", way_back="`stratum up` starts them")


def upgrade_postgres(ports: Ports, major: int) -> Outcome:
    """Bring the embedded server to a newer major. The old data directory is kept, and `--undo` goes back to it.

    Until the switch the old cluster is only read. Raises `upgrade-refused`, `upgrade-no-programs`,
    `backup-not-proven`, `upgrade-not-whole`, `disk-too-small`, `declined`; the old cluster serves after any of them.
    """
    upgrade = upgrade_of(ports)
    now_at = upgrade.major()
    refuse_other_way(now_at, major)
    if ports.runtime.observe().state is not RunState.RUNNING:
        raise StratumError("not-running", detail=ports.runtime.observe().detail)
    there = tuple(ports.runtime.server(Role.MAINTENANCE).database.database_oids())
    beside = refuse_databases_left_behind(major, there, ports)
    missing = upgrade.missing_extensions(major, ports.stack.databases)
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    plan = Plan(
        id=plan_id,
        verb=VERB,
        stack=ports.stack.name,
        created_at=now,
        headline=f"bring PostgreSQL from {now_at} to {major}",
        steps=(TAKE_BACKUP, PROVE, REHEARSE, *name_steps(ports), _STOP, DUMP, _MAKE, _COMPARE, ANALYZE, _SWITCH, START,
               REMEMBER, SERVICES),
        params={"major": major, "from_major": now_at, "kept": f"postgresql-{now_at}-{short(plan_id)}"},
        guards=(extensions_guard(major, missing), _space_guard(ports)),
        notes=("the application stands still for as long as a backup and a restore take; the rehearsal says how long",
               "the old data directory stays as it is: `stratum upgrade-postgres --undo` goes back to it",
               *beside, *settings_notes(upgrade.own_settings())),
        forward_from="start",
        confirmations=1,
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=upgrade_actions(plan, ports)), ports)


def upgrade_of(ports: Ports) -> LocalUpgrade:
    """Raises `not-from-here` with a server of the user's own and in a container."""
    if ports.upgrade is None:
        raise StratumError("not-from-here", what="change PostgreSQL's major")
    return ports.upgrade


def refuse_other_way(before: int | None, major: int) -> None:
    """Raises `upgrade-refused` for the same major and for an older one."""
    if before is None:
        problem = "there is no cluster yet; `stratum up` makes one"
    elif major == before:
        problem = f"it is PostgreSQL {before} already"
    elif major < before:
        problem = f"the cluster is PostgreSQL {before}, and an older server does not read a newer one's dump"
    else:
        return
    raise StratumError("upgrade-refused", major=major, problem=problem)


def refuse_databases_left_behind(major: int, there: tuple[str, ...], ports: Ports) -> tuple[str, ...]:
    """Raises `upgrade-refused` for databases that no backup holds: they would not be in the new cluster.

    What a restore or an update put beside stays with the old one; returned is what is to be said of it.
    """
    strange = sorted(set(there) - set(ports.stack.databases) - {"postgres"})
    copies = [name for name in strange if is_beside(name, ports.stack.databases)]
    left = [name for name in strange if name not in copies]
    if left:
        problem = f"no backup holds {listed(left)}; name them in stratum.toml, [database] databases, or drop them"
        raise StratumError("upgrade-refused", major=major, problem=problem)
    stay = "kept beside for a way back, and stays with the old cluster; there it can be asked for after `--undo`"
    return (f"{listed(copies)}: {stay}",) if copies else ()


def settings_notes(own: tuple[str, ...]) -> tuple[str, ...]:
    """What the person has to set again: a setting of one major may keep the next from starting."""
    if not own:
        return ()
    said = f"settings made with ALTER SYSTEM do not move; set again afterwards what you still need: {', '.join(own)}"
    return (said,)


def extensions_guard(major: int, missing: tuple[str, ...]) -> GuardResult:
    """Holds when the new major has every extension that is in use."""
    details = {
        "major": str(major),
        "problem": f"it has no extension {', '.join(missing)}: install it for that major, or drop it where it is used",
    }
    what = f"no {', '.join(missing)}" if missing else "every extension in use"
    said = f"PostgreSQL {major} has {what}"
    return GuardResult(name="extensions", holds=not missing, statement=said, code="upgrade-refused", details=details)


def _space_guard(ports: Ports) -> GuardResult:
    database = ports.runtime.server(Role.MAINTENANCE).database
    size = sum(database.observe_size(name) for name in ports.stack.databases)
    return space_guard(what="the new cluster", needed=size + SPARE_BYTES, free=ports.runtime.free_bytes(),
                       where="the data directory's disk")  # fmt: skip


def upgrade_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Each may be done again after a crash."""
    actions = (
        *_before_stop(plan, ports),
        name_action(plan, ports),
        *_copying_actions(plan, ports),
        *_switch_actions(plan, ports),
    )
    planned = {step.name for step in plan.steps}
    return tuple(action for action in actions if action.name in planned)


def _before_stop(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    upgrade, major = upgrade_of(ports), int(str(plan.params["major"]))

    def prove(facts: Facts) -> None:
        backup = str(facts["backup_id"])
        verdict = str(run_drill(find_manifest(backup, ports), ports).facts["verdict"])
        if verdict != Verdict.PROVEN:
            raise StratumError("backup-not-proven", backup=backup, verdict=verdict)

    def rehearse(facts: Facts) -> Facts:
        manifest, began = find_manifest(str(facts["backup_id"]), ports), ports.clock.monotonic()
        with upgrade.scratch(major, bootstrap_role=manifest.bootstrap_role) as server:
            load_all(manifest, ports, server)
            refuse_differences(manifest, ports, server, major)
            version = server.tools.version()
        return {"rehearsed_seconds": round(ports.clock.monotonic() - began, 3), "rehearsed_on": version}

    return (
        Action(name="backup", run=lambda _: {"backup_id": take_dump(ports).facts["backup_id"]}),
        Action(name="prove", run=prove),
        Action(name="rehearse", run=rehearse, undo=lambda _: _sweep(ports)),
    )


def _sweep(ports: Ports) -> None:
    ports.runtime.sweep_scratch()


def _copying_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    upgrade, major = upgrade_of(ports), int(str(plan.params["major"]))
    beside: list[Server] = []

    def known(facts: Facts) -> tuple[str, ...]:
        return (
            f"backup {facts['backup_id']} is proven",
            f"on PostgreSQL {facts['rehearsed_on']} every table came back the same, in {facts['rehearsed_seconds']} s",
        )

    def stop(_: Facts) -> Facts:
        # The receiver goes last, so that the archive has all that was acknowledged.
        ports.services.stop_writers()
        ports.runtime.stop()
        ports.services.stop()
        upgrade.serve_alone()
        return {"stopped_at": ports.clock.now().isoformat()}

    def unstop(_: Facts) -> None:
        upgrade.forget_alone()
        ports.runtime.start()
        ports.services.start()

    def make(facts: Facts) -> None:
        manifest = find_manifest(str(facts["moved_id"]), ports)
        beside[:] = [upgrade.make_beside(major, bootstrap_role=manifest.bootstrap_role)]
        load_all(manifest, ports, beside[0])
        upgrade.copy_passwords(major, [role.name for role in manifest.roles])

    def compare(facts: Facts) -> Facts:
        manifest = find_manifest(str(facts["moved_id"]), ports)
        refuse_differences(manifest, ports, beside[0], major)
        return {"tables": sum(len(d.facts.tables) for d in manifest.databases), "rows": manifest.rows}

    return (
        Action(name="stop", run=stop, undo=unstop, known=known),
        Action(name="dump", run=lambda _: {"moved_id": take_dump(ports).facts["backup_id"]}),
        Action(name="make-beside", run=make, undo=lambda _: upgrade.discard_beside()),
        Action(name="compare", run=compare),
        Action(name="analyze", run=lambda _: upgrade.analyze_beside(major, ports.stack.databases)),
    )


def _switch_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    upgrade, params = upgrade_of(ports), plan.params
    major, before, kept = int(str(params["major"])), int(str(params["from_major"])), str(params["kept"])
    return (
        Action(
            name="switch",
            run=lambda _: upgrade.put_in_place(major, kept=kept),
            undo=lambda _: upgrade.put_back(before, kept=kept),
        ),
        *serving_actions(ports),
    )


def serving_actions(ports: Ports) -> tuple[Action, ...]:
    """Start what took the live data directory's place: the same in both directions."""

    def start(_: Facts) -> Facts:
        ports.runtime.start()
        return {"started_at": ports.clock.now().isoformat()}

    def is_served(_: Facts) -> bool:
        """From the first connection on there may be rows that taking it back would take along."""
        return ports.runtime.observe().state is RunState.RUNNING

    def remember(_: Facts) -> None:
        record_identity(ports)
        upgrade_of(ports).discard_beside()

    return (
        Action(name="start", run=start, took_effect=is_served),
        Action(name="remember", run=remember),
        Action(name="services", run=lambda _: ports.services.start()),
    )


def load_all(manifest: Manifest, ports: Ports, server: Server) -> None:
    """Bring roles with their settings and every database of a backup into an empty cluster."""
    existing = [role.name for role in server.database.roles()]
    with ports.archive.opened(manifest.id) as plain:
        server.tools.apply_roles(plain / "globals.sql", existing=existing, with_settings=True)
        for database in manifest.databases:
            name = database.facts.properties.name
            ports.progress.say(f"restoring {name} into PostgreSQL {server.tools.version()}")
            server.database.create_database(name, database.facts.properties)
            server.tools.restore(name, plain / database.path)
            server.database.apply_properties(name, replace(database.facts.properties, collation_version=None))


def refuse_differences(manifest: Manifest, ports: Ports, server: Server, major: int) -> None:
    """Raises `upgrade-not-whole` where a table, sequence, extension or index is not what the backup says."""
    found: list[str] = []
    for database in manifest.databases:
        name = database.facts.properties.name
        ports.progress.say(f"comparing {name} table by table")
        restored = server.database.observe_facts(name, manifest.digest_mode)
        checks = (
            *compare_facts(expected=database.facts, restored=restored),
            server.database.check_collations(name),
        )
        found += [f"{name}: {c.name}: {c.reason}" for c in checks if c.verdict is Verdict.FAILED]
    missing = {role.name for role in manifest.roles} - {role.name for role in server.database.roles()}
    found += [f"role {name} is missing" for name in sorted(missing)]
    if found:
        raise StratumError("upgrade-not-whole", major=major, problem=listed(found))
