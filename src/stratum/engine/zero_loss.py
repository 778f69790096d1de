"""protect: how a server acknowledges commits now, and the hand tool that lets them go on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from stratum.core.errors import StratumError
from stratum.core.plan import JournalEntry, JournalKind
from stratum.core.protect_answer import ProtectAnswer, WaitingSession
from stratum.core.receiving import ProtectMode
from stratum.core.receiving_rules import is_fresh
from stratum.core.zero_loss import CommitLook, why_impossible
from stratum.engine.run_plan import new_plan_id
from stratum.ports import Ports

VERB = "zero-loss"
BY_HAND = "`stratum protect --degrade`"
UNWRITTEN = "commits do not wait any more, and the journal has no line of it: {problem}"


def report_protection(ports: Ports) -> ProtectAnswer:
    """How commits are acknowledged now. Raises `not-running` and `unreachable-server`; changes nothing."""
    commits = ports.replication.commits
    try:
        return _answer(commits.look(), ports)
    finally:
        commits.close()


def degrade(ports: Ports) -> ProtectAnswer:
    """Let commits wait no more. Works while all of them hang, and without an agent; takes no lock.

    What is acknowledged from now on is as safe as with `streaming`. An agent that lives arms again once the receiver
    has caught up. Raises `zero-loss-not-permitted`.
    """
    commits = ports.replication.commits
    try:
        unwritten = ""
        if commits.look().armed:
            commits.disarm()
            unwritten = note_by_hand(ports)
        answer = _answer(commits.look(), ports)
        return replace(answer, problem=answer.problem or unwritten)
    finally:
        commits.close()


def note_by_hand(ports: Ports) -> str:
    """Note that somebody let commits go on, and say what kept it from the journal: they go on in either case.

    A full archive is where commits wait in vain, and where no line can be written.
    """
    try:
        note_change(ports, armed=False, because=BY_HAND, who=ports.who, at=ports.clock.now())
    except StratumError as error:
        return UNWRITTEN.format(problem=error.message)
    return ""


def note_change(ports: Ports, *, armed: bool, because: str, who: str, at: datetime) -> None:
    """A line of the journal for every change of when commits are acknowledged: none is ever silent."""
    ports.journal.append(
        JournalEntry(
            at=at,
            kind=JournalKind.NOTED,
            plan_id=new_plan_id(at),
            verb=VERB,
            who=who,
            facts={"armed": armed, "because": because},
        )
    )


def _answer(look: CommitLook, ports: Ports) -> ProtectAnswer:
    mode, state, now = ports.stack.protect.mode, ports.wal.receiver(), ports.clock.now()
    live = state if state is not None and is_fresh(state, now) else None
    asked = mode is ProtectMode.ZERO_LOSS
    impossible = why_impossible(look) if asked else None
    covered = live is not None and live.unprotected_since is None and look.receiving
    return ProtectAnswer(
        mode=mode,
        armed=look.armed,
        receiver=live.phase.value if live else "silent",
        receiving=look.receiving,
        # Without zero-loss the receiver tells the server only what it wrote; the agent puts it on disk itself.
        behind_bytes=look.behind_bytes if asked else (live.behind_bytes if live else None),
        waiting=tuple(
            WaitingSession(
                pid=one.pid, user=one.user, database=one.database, application=one.application, seconds=one.seconds
            )
            for one in look.waiting
        ),
        lowered_for=look.lowered_for,
        lowered_sessions=len(look.lowered),
        cancelled_waits=state.cancelled_waits if state else 0,
        degraded_since=None if look.armed or state is None else state.degraded_since,
        problem=impossible or "",
        at_risk=(asked and not look.armed) or bool(impossible) or (mode is not ProtectMode.DUMPS and not covered),
    )
