"""Carries a plan out: each step journaled, taken back when one fails, finished or taken back after a crash."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime

from stratum.core.errors import StratumError
from stratum.core.guard import failing
from stratum.core.plan import Facts, JournalEntry, JournalKind, Plan, PlanEnd, PlanProgress, unfinished_plans
from stratum.ports import Action, Outcome, Ports, Prepared, RunState

ActionsOf = Callable[[Plan, Ports], tuple[Action, ...]]


def new_plan_id(now: datetime) -> str:
    """Sorts by time, reads well, and does not repeat: `2026-11-22T01-00-00Z-k3f9`."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
    token = "".join(secrets.choice(alphabet) for _ in range(4))
    return f"{now:%Y-%m-%dT%H-%M-%SZ}-{token}"


def short(plan_id: str) -> str:
    """The part of an id that fits into the name of a database or schema."""
    return plan_id.rsplit("-", 1)[-1]


def refuse_failing_guards(plan: Plan) -> None:
    """Raise the first guard that does not hold, as its own error."""
    for guard in failing(plan.guards):
        raise StratumError(guard.code, **guard.details)


def run_plan(prepared: Prepared, ports: Ports) -> Outcome:
    """Carry a plan out, to its end or back to where it began.

    The caller holds the lock. A failing step, a no, Ctrl-C and SIGTERM take back every step that had begun,
    newest first. Raises what the step raised; `declined`; `interrupted`; `plan-stranded` when a way back
    failed too; or `plan-unfinished` when the plan had taken effect, which the next command finishes.
    """
    refuse_failing_guards(prepared.plan)
    _journal(ports, prepared.plan, JournalKind.PLAN_STARTED)
    return _carry_on(prepared, ports, done=(), facts=dict(prepared.plan.params))


def show_plan(prepared: Prepared, ports: Ports) -> Outcome:  # noqa: ARG001 - stands in for run_plan
    """The dry run: nothing is asked, written or journaled. Guards still refuse, so its exit code tells the truth."""
    refuse_failing_guards(prepared.plan)
    return Outcome(plan=prepared.plan, end=None, facts={})


def finish_unfinished(
    ports: Ports,
    actions_of: Mapping[str, ActionsOf],
    *,
    leaving: Collection[str] = (),
    elsewhere: Collection[str] = (),
) -> tuple[str, ...]:
    """Bring every plan that a crash cut to an end, inner ones first; says in one line each what was done.

    A plan that is past the point from which it is finished was agreed to and has taken effect: it is finished.
    Any other is taken back; one that cannot be finished is taken back where that loses nothing. The caller holds
    the lock. Raises `plan-stranded` and `plan-unfinished`; the plan then stays open for the next command. One of the
    verbs `leaving` that took effect and cannot be finished ends as it is: what comes next leads away from it.
    """
    said = []
    for cut in reversed(unfinished_plans(ports.journal.entries())):
        plan = cut.plan
        if plan.verb not in actions_of or plan.id in elsewhere:
            continue  # the host's, or the container's: it is finished there
        # As in the first run, a step finds the plan's own values among the facts.
        progress = replace(cut, facts=plan.params | cut.facts)
        prepared = Prepared(plan=plan, actions=actions_of[plan.verb](plan, ports))
        if _goes_forward(prepared, progress, ports):
            try:
                said.append(f"{plan.verb} {plan.id} had been cut short; {_finish(prepared, progress, ports)}")
            except StratumError as error:
                if error.code != "plan-unfinished" or plan.verb not in leaving:
                    raise
                _journal(ports, plan, JournalKind.PLAN_ENDED, end=PlanEnd.DONE, error=error.record())
                said.append(f"{plan.verb} {plan.id} took effect and is left as it stands: {error.message}")
        else:
            _take_back(prepared, ports, progress.begun, progress.facts)
            _journal(ports, plan, JournalKind.PLAN_ENDED, end=PlanEnd.COMPENSATED, error=_CUT)
            said.append(f"{plan.verb} {plan.id} had been cut short; it was taken back")
    return tuple(said)


def _goes_forward(prepared: Prepared, progress: PlanProgress, ports: Ports) -> bool:
    """Whether a cut plan is finished. A step that may have happened is asked; with no server left it is undone."""
    last = _point_of_return(prepared)
    if last is None or last.name not in progress.begun:
        return False
    if last.name in progress.done or last.took_effect is None:
        return True
    try:
        return last.took_effect(progress.facts)
    except StratumError as error:
        if _is_for_want_of_a_server(error, ports):
            return False
        raise


def _finish(prepared: Prepared, progress: PlanProgress, ports: Ports) -> str:
    try:
        _carry_on(prepared, ports, done=progress.done, facts=progress.facts, agreed=True)
    except StratumError as error:
        if error.code in _STAYS_OPEN:
            raise
        return f"it could not be finished ({error.message}) and was taken back"
    return "it is finished now"


_STAYS_OPEN = frozenset({"plan-stranded", "plan-unfinished", "interrupted"})


def _point_of_return(prepared: Prepared) -> Action | None:
    return next((a for a in prepared.actions if a.name == prepared.plan.forward_from), None)


def _is_for_want_of_a_server(error: StratumError, ports: Ports) -> bool:
    return error.code == "not-running" and ports.runtime.observe().state is not RunState.RUNNING


_CUT = {"code": "cut", "message": "the process that ran this plan was killed"}


def observe_cut(ports: Ports) -> tuple[PlanProgress, ...]:
    """Plans that nobody is about any more: the one that runs at this moment has no end either, and was not cut."""
    without_end = unfinished_plans(ports.journal.entries())
    if not without_end:
        return ()
    since = ports.lock.held_since()
    if since is not None:
        return tuple(found for found in without_end if found.plan.created_at < since)
    # It may have ended between the two looks.
    still = {found.plan.id for found in unfinished_plans(ports.journal.entries())}
    return tuple(found for found in without_end if found.plan.id in still)


def describe_unfinished(progress: PlanProgress) -> str:
    """A cut plan in a few words, for `status` and the checklist."""
    last = progress.begun[-1] if progress.begun else "its first step"
    return f"{progress.plan.verb} {progress.plan.id} was cut at {last}"


def _carry_on(
    prepared: Prepared, ports: Ports, *, done: tuple[str, ...], facts: Facts, agreed: bool = False
) -> Outcome:
    plan, begun = prepared.plan, list(done)
    try:
        for action in prepared.actions:
            if action.name in done:
                continue
            if not agreed:
                _ask(prepared, action, ports, facts)
            begun.append(action.name)
            _journal(ports, plan, JournalKind.STEP_STARTED, step=action.name)
            learned = action.run(facts) or {}
            facts |= learned
            _journal(ports, plan, JournalKind.STEP_DONE, step=action.name, facts=learned)
    except BaseException as error:
        raised = _translate(error, plan)
        if _has_taken_effect(prepared, begun, facts):
            raise _unfinished(plan, begun[-1], raised) from None
        _take_back(prepared, ports, tuple(begun), facts, because=raised)
        end = PlanEnd.DECLINED if raised.code == "declined" else PlanEnd.COMPENSATED
        _journal(ports, plan, JournalKind.PLAN_ENDED, end=end, error=raised.record())
        if raised.code == "unexpected":
            raise
        raise raised from None
    _journal(ports, plan, JournalKind.PLAN_ENDED, end=PlanEnd.DONE)
    return Outcome(plan=plan, end=PlanEnd.DONE, facts=facts)


def _has_taken_effect(prepared: Prepared, begun: list[str], facts: Facts) -> bool:
    """Whether a failing plan is past taking back; what cannot be asked now is left for the next command to ask."""
    last = _point_of_return(prepared)
    if last is None or last.name not in begun or last.took_effect is None:
        return False
    try:
        return last.took_effect(facts)
    except StratumError:
        return True


def _unfinished(plan: Plan, step: str, because: StratumError) -> StratumError:
    return StratumError("plan-unfinished", step=step, verb=plan.verb, error=because.message)


def _ask(prepared: Prepared, action: Action, ports: Ports, facts: Facts) -> None:
    step = next(step for step in prepared.plan.steps if step.name == action.name)
    if not step.asks:
        return
    lines = tuple(action.known(facts)) if action.known else ()
    if not ports.consent(prepared.plan, step.summary, lines):
        raise StratumError("declined", verb=prepared.plan.verb)


def _take_back(
    prepared: Prepared,
    ports: Ports,
    begun: tuple[str, ...],
    facts: Facts,
    because: StratumError | None = None,
) -> None:
    for action in reversed(prepared.actions):
        if action.name not in begun:
            continue
        try:
            if action.undo is not None:
                action.undo(facts)
        except Exception as error:  # noqa: BLE001 - a way back that fails, however it does, has to be reported
            undoing = _translate(error, prepared.plan)
            if because is not None or not _is_for_want_of_a_server(undoing, ports):
                raise _stranded(prepared.plan, action.name, because, undoing) from None
            ports.progress.say(f"step {action.name} of {prepared.plan.verb} went with the cluster it was done in")
        _note_undone(ports, prepared.plan, action.name)


def _note_undone(ports: Ports, plan: Plan, step: str) -> None:
    """A full archive takes no note; the way back goes on all the same.

    The plan's own end is not noted then either: the plan stays open, and the next command undoes once more.
    """
    try:
        _journal(ports, plan, JournalKind.STEP_UNDONE, step=step)
    except StratumError as error:
        ports.progress.say(f"step {step} of {plan.verb} is undone, and the journal does not take it: {error.message}")


def _stranded(plan: Plan, step: str, because: StratumError | None, undoing: StratumError) -> StratumError:
    """Both the work and its way back failed: both are reported, and the plan stays open for the next run."""
    return StratumError(
        "plan-stranded",
        step=step,
        verb=plan.verb,
        error=because.message if because else _CUT["message"],
        undo_error=undoing.message,
    )


def _translate(error: BaseException, plan: Plan) -> StratumError:
    if isinstance(error, StratumError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return StratumError("interrupted", verb=plan.verb, signal=str(error) or "Ctrl-C")
    return StratumError("unexpected", problem=f"{type(error).__name__}: {error}")


def _journal(
    ports: Ports,
    plan: Plan,
    kind: JournalKind,
    *,
    step: str | None = None,
    facts: Facts | None = None,
    end: PlanEnd | None = None,
    error: dict[str, str] | None = None,
) -> None:
    ports.journal.append(
        JournalEntry(
            at=ports.clock.now(),
            kind=kind,
            plan_id=plan.id,
            verb=plan.verb,
            who=ports.who,
            step=step,
            facts=facts or {},
            end=end,
            error=error,
            plan=plan if kind is JournalKind.PLAN_STARTED else None,
        )
    )
