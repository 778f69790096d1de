"""Carries a plan out: each step journaled, taken back when one fails, finished or taken back after a crash."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime

from stratum.core.errors import StratumError
from stratum.core.guard import failing
from stratum.core.plan import Facts, JournalEntry, JournalKind, Plan, PlanEnd, PlanProgress, unfinished_plans
from stratum.ports import Action, Outcome, Ports, Prepared

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
    newest first. Raises what the step raised; `declined`; `interrupted`; or `plan-stranded` when a way back
    failed too.
    """
    refuse_failing_guards(prepared.plan)
    _journal(ports, prepared.plan, JournalKind.PLAN_STARTED)
    return _carry_on(prepared, ports, done=(), facts=dict(prepared.plan.params))


def show_plan(prepared: Prepared, ports: Ports) -> Outcome:  # noqa: ARG001 - stands in for run_plan
    """The dry run: nothing is asked, written or journaled. Guards still refuse, so its exit code tells the truth."""
    refuse_failing_guards(prepared.plan)
    return Outcome(plan=prepared.plan, end=None, facts={})


def finish_unfinished(ports: Ports, actions_of: Mapping[str, ActionsOf]) -> tuple[str, ...]:
    """Bring every plan that a crash cut to an end; says in one line each what was done.

    A plan whose `forward_from` step had begun was already agreed to and may have taken effect: it is
    finished. Any other is taken back. The caller holds the lock.
    """
    said = []
    for progress in unfinished_plans(ports.journal.entries()):
        prepared = Prepared(plan=progress.plan, actions=actions_of[progress.plan.verb](progress.plan, ports))
        if progress.plan.forward_from in progress.begun:
            _carry_on(prepared, ports, done=progress.done, facts=progress.facts, agreed=True)
            said.append(f"{progress.plan.verb} {progress.plan.id} had been cut short; it is finished now")
        else:
            _take_back(prepared, ports, progress.begun, progress.facts)
            _journal(ports, progress.plan, JournalKind.PLAN_ENDED, end=PlanEnd.COMPENSATED, error=_CUT)
            said.append(f"{progress.plan.verb} {progress.plan.id} had been cut short; it was taken back")
    return tuple(said)


_CUT = {"code": "cut", "message": "the process that ran this plan was killed"}


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
        _take_back(prepared, ports, tuple(begun), facts, because=raised)
        end = PlanEnd.DECLINED if raised.code == "declined" else PlanEnd.COMPENSATED
        _journal(ports, plan, JournalKind.PLAN_ENDED, end=end, error=raised.record())
        if raised.code == "unexpected":
            raise
        raise raised from None
    _journal(ports, plan, JournalKind.PLAN_ENDED, end=PlanEnd.DONE)
    return Outcome(plan=plan, end=PlanEnd.DONE, facts=facts)


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
            raise _stranded(prepared.plan, action.name, because, _translate(error, prepared.plan)) from None
        _journal(ports, prepared.plan, JournalKind.STEP_UNDONE, step=action.name)


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
