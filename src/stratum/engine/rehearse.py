"""rehearse: the new version's migrations on a clone of the data, watched, and what they would do to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from stratum.core.backup import DigestMode, Manifest
from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.proof import Verdict
from stratum.core.rehearsal import (
    Acted,
    DatabaseLook,
    Rehearsal,
    RehearsalOrder,
    find_changes,
    find_difference,
    find_losses,
    judge,
    not_accepted,
)
from stratum.core.schema import Columns
from stratum.core.side_by_side import find_obstacles, why_not_beside
from stratum.engine.deploy import kept_images, names_in
from stratum.engine.run_drill import find_manifest, restore_everything
from stratum.engine.run_plan import new_plan_id
from stratum.engine.take_dump import space_guard
from stratum.engine.verify_backup import check_stored_files
from stratum.ports import Action, Outcome, Ports, Prepared, Server
from stratum.project import Project
from stratum.rehearsal import Clone, Seen

VERB = "rehearse"
_UNREHEARSED = frozenset({"rehearsal-broke-off", "rehearsal-not-closed-off"})
_SPARE_BYTES, _GROWTH = 256 << 20, 2
"""A migration that rewrites every table takes their size once more."""


Act = Callable[[Clone], Acted]
"""Runs the new version on the clone."""


def rehearse(manifest: Manifest, ports: Ports, act: Act) -> Outcome:
    """Run the new version on a clone made from a backup. The running database is not touched, and not reachable.

    The report is recorded whatever it says; `facts["rehearsal_id"]` names it. Raises `disk-too-small` before anything
    is written, `rehearsal-broke-off` where no clone could be made, and what `act` raises.
    """
    now = ports.clock.now()
    size = sum(database.facts.size_bytes for database in manifest.databases)
    plan = Plan(
        id=new_plan_id(now),
        verb=VERB,
        stack=ports.stack.name,
        created_at=now,
        headline=f"rehearse on {manifest.id}",
        steps=(
            Step(name="rehearse", summary="restore into a throwaway server, run the new version on it, throw it away",
                 effect=Effect.NONE, way_back="the throwaway server is removed"),
        ),
        params={"backup_id": manifest.id},
        guards=(
            space_guard(what="the rehearsal", needed=_GROWTH * size + _SPARE_BYTES, free=ports.runtime.free_bytes(),
                        where="the scratch directory"),
        ),
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=rehearsal_actions(plan, ports, act)), ports)


def rehearsal_actions(plan: Plan, ports: Ports, act: Act | None = None) -> tuple[Action, ...]:
    """What the plan's step does. Undone, no throwaway server is left; a cut one is never gone on with."""

    def run(_: Facts) -> Facts:
        if act is None:
            raise StratumError("rehearsal-broke-off", problem="it was cut")
        found = _rehearse(find_manifest(str(plan.params["backup_id"]), ports), ports, act, rehearsal_id=plan.id)
        ports.rehearsals.record(found)
        return {"rehearsal_id": found.id, "rehearsal": found.verdict.value, "summary": found.summary}

    def sweep(_: Facts) -> None:
        ports.runtime.sweep_scratch()

    return (Action(name="rehearse", run=run, undo=sweep),)


def run_commands(ports: Ports, clone: Clone) -> Acted:
    """Run the stack's own migrate command on this machine, closed off. Raises `nothing-to-rehearse`."""
    argv = ports.stack.commands.migrate
    if not argv:
        raise StratumError("nothing-to-rehearse", problem="[commands] migrate of stratum.toml is not set")
    run = ports.rehearsals.run_closed_off(clone, "migrate", argv)
    return Acted(runs=(run,), notes=("the application itself was not started on the clone",))


def order_on_host(ports: Ports, backup_id: str | None) -> RehearsalOrder:
    """What the host of a Compose stack runs on a clone."""
    commands = ports.stack.commands
    return RehearsalOrder(
        backup_id=backup_id,
        service=commands.service,
        migrate=commands.migrate,
        environment=ports.stack.rehearsal.env | {"STRATUM_REHEARSAL": "true"},
        start=ports.stack.rehearsal.start,
        checks={name: argv for name, argv in (("health", commands.health), ("smoke", commands.smoke)) if argv},
    )


def rehearsal_on_host(plan: Plan, ports: Ports, project: Project) -> Action:
    """The step of an update: the new version on a clone of the backup it took. What nobody accepted ends it."""
    accepted, beside = names_in(plan.params.get("accept")), bool(plan.params.get("no_downtime"))

    def run(facts: Facts) -> Facts:
        order = order_on_host(ports, str(facts["backup_id"]))
        if beside:
            order = replace(order, image_of_before=kept_images(facts)[order.service])
        try:
            found = project.rehearse(order, under=ports.lock.token)
        except StratumError as error:
            if error.code not in _UNREHEARSED or "unrehearsed" not in accepted:
                raise
            return {"rehearsal": None, "rehearsal_problem": error.message}
        refuse_rehearsal(found, accepted)
        if beside and (reasons := why_not_beside(found, order.service)):
            raise StratumError("needs-downtime", reasons="; ".join(reasons))
        return {"rehearsal_id": found.id, "rehearsal": found.verdict.value, "rehearsal_summary": found.summary}

    return Action(name=VERB, run=run)


def refuse_rehearsal(rehearsal: Rehearsal, accepted: tuple[str, ...]) -> None:
    """Raise `rehearsal-refuses` for what it found and nobody accepted by name."""
    names = not_accepted(rehearsal, accepted)
    if names:
        accept = " ".join(f"`--accept {name}`" for name in names)
        raise StratumError("rehearsal-refuses", summary=rehearsal.summary, accept=accept)


def _rehearse(manifest: Manifest, ports: Ports, act: Act, *, rehearsal_id: str) -> Rehearsal:
    at, began = ports.clock.now(), ports.clock.monotonic()
    files = check_stored_files(manifest, ports.archive.backup_path(manifest.id), ports)
    if files.verdict is not Verdict.PROVEN:
        raise StratumError("rehearsal-broke-off", problem=f"backup {manifest.id}: {files.reason}")
    digest = ports.stack.backup.digest is not DigestMode.COUNTS
    names = tuple(database.facts.properties.name for database in manifest.databases)

    def load(server: Server) -> None:
        with ports.archive.opened(manifest.id) as plain:
            failed = restore_everything(manifest, ports, server, plain)
        if failed is not None:
            raise StratumError("rehearsal-broke-off", problem=f"the clone was not made: {failed.reason}")

    with ports.rehearsals.clone(bootstrap_role=manifest.bootstrap_role, load=load) as clone:
        cloned = ports.clock.monotonic() - began
        ports.progress.say("looking at every table of the clone")
        before, columns = clone.look(names, digest=digest), _columns(clone, names)
        ports.progress.say("running the new version on the clone")
        with clone.watching(before) as watch:
            acted = act(clone)
        ports.progress.say("looking at every table again")
        after = clone.look(names, digest=digest)
        obstacles = find_obstacles(then=columns, now=_columns(clone, names), before=before, after=after)
    seconds = (round(cloned, 3), round(ports.clock.monotonic() - began, 3))
    went = _Went(
        at=at, seconds=seconds, before=before, after=after, acted=acted, seen=watch.seen(), obstacles=obstacles
    )
    return _report(manifest, ports, went, rehearsal_id=rehearsal_id)


def _columns(clone: Clone, names: Sequence[str]) -> dict[str, Columns]:
    there = clone.server.database.database_oids()
    return {name: clone.server.database.columns(name) for name in names if name in there}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Went:
    """How a rehearsal went."""

    at: datetime
    seconds: tuple[float, float]
    """Until the clone stood, and until its end."""
    before: tuple[DatabaseLook, ...]
    after: tuple[DatabaseLook, ...]
    acted: Acted
    seen: Seen
    obstacles: tuple[str, ...]


def _report(manifest: Manifest, ports: Ports, went: _Went, *, rehearsal_id: str) -> Rehearsal:
    losses, runs = find_losses(went.before, went.after), went.acted.runs
    limit = ports.stack.rehearsal.lock_limit
    verdict, summary = judge(runs=runs, losses=losses, locks=went.seen.locks, lock_limit=limit)
    size, later = sum(look.bytes for look in went.before), sum(look.bytes for look in went.after)
    return Rehearsal(
        id=rehearsal_id,
        backup_id=manifest.id,
        at=went.at,
        verdict=verdict,
        summary=summary,
        runs=runs,
        losses=losses,
        locks=went.seen.locks,
        statements=went.seen.statements,
        statement_count=went.seen.statement_count,
        tables=find_changes(went.before, went.after),
        difference=find_difference(went.before, went.after),
        growth_bytes=later - size,
        downtime_seconds=round(sum(run.seconds for run in runs if run.name == "migrate"), 3),
        clone_seconds=went.seconds[0],
        total_seconds=went.seconds[1],
        clone_bytes=max(size, later),
        started=went.acted.started,
        notes=(*went.acted.notes, *went.seen.notes),
        findings=went.seen.findings,
        obstacles=went.obstacles,
    )
