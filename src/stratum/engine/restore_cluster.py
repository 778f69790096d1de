"""restore --cluster on the embedded runtime: the whole cluster of a moment, beside the old one, then in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, PlanEnd, Step, observe_progress
from stratum.core.recovery import compare_tables
from stratum.core.volume_recovery import Moment, RecoveredCluster
from stratum.engine.moments import describe_moment, moment_params, order_of
from stratum.engine.recover_moment import moment_of, needed_bytes, refuse_failed
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.show_difference import render_difference
from stratum.engine.take_dump import space_guard
from stratum.engine.tripwire import record_identity
from stratum.ports import Action, Outcome, Ports, Prepared, Role, RunState

VERB, UNDO = "restore-cluster", "undo-restore-cluster"
_RECOVER = Step(name="recover", summary="build the cluster beside, from a base backup and WAL, and look at it",
                effect=Effect.ADDS, way_back="what was built beside is thrown away")  # fmt: skip
_SWITCH = Step(
    name="switch",
    summary="stop everything; the other data directory takes this one's place",
    effect=Effect.SETS_ASIDE,
    way_back="the old data directory takes its place again",
    asks=True,
)
_START = Step(name="start", summary="start PostgreSQL on it and wait until it answers", way_back="it is stopped again")
_REMEMBER = Step(name="remember", summary="record the cluster's new identity, and end sign-ins of before")
_SERVICES = Step(name="services", summary="start the services again", way_back="`stratum up` starts them")


def restore_cluster(ports: Ports, moment: Moment) -> Outcome:
    """Bring the whole cluster back to a moment. The old data directory is kept for the undo window.

    The live server serves until the switch. Raises `no-backup-yet`, `target-out-of-reach`, `wal-damaged`,
    `recovery-failed`, `disk-too-small`, `declined`, `not-from-here`; the live cluster is untouched after any of them.
    """
    if ports.stack.external or ports.inside:
        raise StratumError("not-from-here", what="replace a whole cluster")
    base_id = ports.recovery.check(order_of(moment, ports))
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    state = ports.runtime.observe()
    lost = state.state in {RunState.ABSENT, RunState.DAMAGED}
    plan = Plan(
        id=plan_id,
        verb=VERB,
        stack=ports.stack.name,
        created_at=now,
        headline=f"bring the whole cluster back to {describe_moment(moment)}",
        steps=(_RECOVER, _SWITCH, _START, _REMEMBER, _SERVICES),
        params={"base_id": base_id, "aside": f"cluster-before-{short(plan_id)}", **moment_params(moment)},
        guards=(space_guard(what="recovery", needed=needed_bytes(ports), free=ports.runtime.free_bytes(),
                            where="the data directory's disk"),),
        notes=(
            f"from base backup {base_id} and the WAL after it",
            state.detail if lost else "what was written after that moment stays in the old data directory alone",
        ),
        forward_from="start",
        confirmations=1,
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=cluster_actions(plan, ports)), ports)


def cluster_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. The old data directory is renamed and never written to."""
    recovered: list[RecoveredCluster] = []

    def recover(_: Facts) -> Facts:
        ports.progress.say(f"recovering {describe_moment(moment_of(plan))}")
        # Without a serving one there is nothing to compare content with.
        found = ports.recovery.beside(order_of(moment_of(plan), ports, compared=_is_served(ports)))
        refuse_failed(found.checks)
        recovered.append(found)
        return {"reached": found.reached, "base_id": found.base_id, "checks": len(found.checks)}

    def known(facts: Facts) -> tuple[str, ...]:
        said = (str(facts.get("reached", "")), f"{facts.get('checks')} checks hold")
        return (*said, *_difference(ports, recovered[0] if recovered else None))

    return (
        Action(name="recover", run=recover, undo=lambda _: ports.recovery.discard_beside()),
        *_switch_actions(plan, ports, known=known),
    )


def undo_cluster(ports: Ports) -> Outcome:
    """Go back to the data directory that the last `restore --cluster` replaced. Raises `nothing-to-undo`."""
    label = find_replaced(ports)
    if label is None:
        raise StratumError("nothing-to-undo", reason="no data directory that a restore replaced is kept")
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    plan = Plan(
        id=plan_id,
        verb=UNDO,
        stack=ports.stack.name,
        created_at=now,
        headline=f"go back to the data directory kept as {label}",
        steps=(_SWITCH, _START, _REMEMBER, _SERVICES),
        params={"comes_back": label, "aside": f"cluster-undone-{short(plan_id)}"},
        notes=("what is live now is kept as well: `stratum restore --undo` again comes back to it",),
        forward_from="start",
        confirmations=1,
    )
    return ports.run(Prepared(plan=plan, actions=undo_cluster_actions(plan, ports)), ports)


def undo_cluster_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """The same switch, with the kept data directory brought beside first."""
    label = str(plan.params["comes_back"])

    def known(_: Facts) -> tuple[str, ...]:
        return (f"{label} takes the live data directory's place",)

    return _switch_actions(plan, ports, known=known, comes_back=label)


def find_replaced(ports: Ports) -> str | None:
    """The data directory the newest switch set aside, where it is still kept."""
    entries, kept = ports.journal.entries(), ports.runtime.kept_clusters()
    plans = [entry.plan for entry in entries if entry.plan is not None and entry.plan.verb in {VERB, UNDO}]
    for plan in reversed(plans):
        done = observe_progress(entries, plan.id).end is PlanEnd.DONE
        if done and str(plan.params["aside"]) in kept:
            return str(plan.params["aside"])
    return None


def _switch_actions(
    plan: Plan, ports: Ports, *, known: Callable[[Facts], Sequence[str]], comes_back: str | None = None
) -> tuple[Action, ...]:
    aside = str(plan.params["aside"])

    def switch(_: Facts) -> Facts:
        there = ports.runtime.observe().state is not RunState.ABSENT
        # The receiver goes last, so that the archive has the old timeline to its end.
        ports.services.stop_writers()
        if ports.runtime.observe().state is RunState.RUNNING:
            ports.runtime.stop()
        ports.services.stop()
        if comes_back is not None:
            ports.recovery.bring_beside(kept=comes_back)
        ports.recovery.put_in_place(kept=aside)
        return {"set_aside": there}

    def switch_back(_: Facts) -> None:
        ports.recovery.put_back(kept=aside)
        if comes_back is not None:
            ports.recovery.keep_beside(kept=comes_back)
        if ports.runtime.observe().state is RunState.STOPPED:
            ports.runtime.start()
            ports.services.start()

    def start(_: Facts) -> None:
        ports.runtime.start()

    def remember(_: Facts) -> None:
        ports.archive.raise_token_epoch(because=plan.id)
        record_identity(ports)

    def is_served(_: Facts) -> bool:
        """From the first connection on there may be rows that taking it back would take along."""
        return _is_served(ports)

    return (
        Action(name="switch", run=switch, undo=switch_back, known=known),
        Action(name="start", run=start, took_effect=is_served),
        Action(name="remember", run=remember),
        Action(name="services", run=lambda _: ports.services.start()),
    )


def _is_served(ports: Ports) -> bool:
    return ports.runtime.observe().state is RunState.RUNNING


def _difference(ports: Ports, found: RecoveredCluster | None) -> tuple[str, ...]:
    """Table by table against the live databases, where there are any."""
    if found is None or not _is_served(ports):
        return ()
    lines: list[str] = []
    live = ports.runtime.server(Role.MAINTENANCE).database
    there = live.database_oids()
    for facts in found.databases:
        name = facts.properties.name
        if name in there:
            now = live.observe_facts(name, facts.digest_mode)
            lines += [
                f"{name}: {line}" for line in render_difference(compare_tables(now=now.tables, then=facts.tables))
            ]
    return tuple(lines)
