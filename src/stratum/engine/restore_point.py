"""restore-point: a name for the present moment, in the WAL and in the journal."""

from __future__ import annotations

import re

from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, JournalEntry, JournalKind, Plan, Step
from stratum.core.protect_answer import RestorePointAnswer
from stratum.core.receiving import ProtectMode
from stratum.core.wal import render_lsn
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.tripwire import refuse_look_alike
from stratum.ports import Action, Ports

VERB = "restore-point"
NAME_MOMENT = Step(
    name="restore-point",
    summary="give this moment a name in the WAL, to come back to just before what follows",
    effect=Effect.ADDS,
    way_back="the name stays: it harms nothing",
)
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def set_restore_point(name: str, ports: Ports) -> RestorePointAnswer:
    """Write a named restore point into the WAL, and note it. Recovery stops at it by its name.

    Takes no lock: nothing that exists changes. Raises `invalid-argument` for a name that is not plain or was given
    before (recovery stops at the first of its name), `restore-point-not-permitted` and the tripwire's errors.
    (https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-BACKUP)
    """
    if not _PLAIN.fullmatch(name):
        problem = f"{name!r} is not made of 1 to 63 letters, digits, `-`, `_` and `.`"
        raise StratumError("invalid-argument", argument="NAME", problem=problem)
    if _is_taken(name, ports):
        raise StratumError("invalid-argument", argument="NAME", problem=f"{name!r} names an earlier moment already")
    refuse_look_alike(ports)
    try:
        marked, now = ports.replication.commits.mark(name), ports.clock.now()
    finally:
        ports.replication.commits.close()
    ports.journal.append(
        JournalEntry(
            at=now,
            kind=JournalKind.NOTED,
            plan_id=new_plan_id(now),
            verb=VERB,
            who=ports.who,
            facts={
                "name": name,
                "at": marked.at.isoformat(),
                "lsn": render_lsn(marked.lsn),
                "timeline": marked.timeline,
                "system_identifier": marked.system_identifier,
            },
        )
    )
    return RestorePointAnswer(name=name, at=marked.at, timeline=marked.timeline, lsn=render_lsn(marked.lsn))


def name_steps(ports: Ports) -> tuple[Step, ...]:
    """The step that names the moment before a verb that may be regretted; none where no WAL is received."""
    return () if ports.stack.protect.mode is ProtectMode.DUMPS else (NAME_MOMENT,)


def name_action(plan: Plan, ports: Ports) -> Action:
    """What the step does. A server that lets nobody name a moment is no reason not to go on: its words are noted."""

    def name(_: Facts) -> Facts:
        called = f"before-{plan.verb}-{short(plan.id)}"
        try:
            if ports.project is not None:
                ports.project.inside((VERB, called))
            elif not _is_taken(called, ports):
                set_restore_point(called, ports)
        except StratumError as error:
            if error.code != "restore-point-not-permitted":
                raise
            return {"restore_point": None, "restore_point_problem": error.message}
        return {"restore_point": called}

    return Action(name=NAME_MOMENT.name, run=name)


def _is_taken(name: str, ports: Ports) -> bool:
    return any(entry.verb == VERB and entry.facts.get("name") == name for entry in ports.journal.entries())
