"""One job in a process of its own: `python -m stratum.agent.job_process`, spoken to by lines of JSON.

Reads an Order, then an answer for each question; writes a Report for whatever happens. SIGTERM takes the plan back.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from stratum.adapters.clock import SystemClock
from stratum.adapters.messages import speak_error
from stratum.adapters.records import parse
from stratum.adapters.signals import interrupt_once
from stratum.agent.reports import Order, Report, ReportKind
from stratum.agent.telling import AskingConsent, PatientLock, Teller, TellingJournal, TellingProgress
from stratum.core.errors import StratumError
from stratum.core.proof import Verdict
from stratum.engine.finish_plans import finish_plans, under_lock
from stratum.engine.run_request import run_request
from stratum.ports import Outcome, Ports
from stratum.wiring import open_stack

SETTLER = "agent"
"""Who the journal names when the agent brings to an end what was cut."""


def main() -> int:
    """Carry the order out; how it ended is the last line."""
    interrupt_once()
    tell = Teller(_own_output())
    answers = os.fdopen(os.dup(0), "rb")
    tell(_heard_out(answers, tell))
    return 0


def _heard_out(answers: BinaryIO, tell: Callable[[Report], None]) -> Report:
    try:
        return _ended(_carry_out(answers, tell))
    except StratumError as error:
        raised = error
    except KeyboardInterrupt as interrupt:
        raised = StratumError("interrupted", verb="the job", signal=str(interrupt) or "SIGINT")
    except Exception as fault:  # noqa: BLE001 - whatever it was, the agent has to hear of it
        traceback.print_exc()
        raised = StratumError("unexpected", problem=f"{type(fault).__name__}: {fault}")
    return Report(kind=ReportKind.ENDED, error=speak_error(raised))


def _own_output() -> BinaryIO:
    """The pipe to the agent; whatever else is printed goes to the log instead of between the reports."""
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return own


def _carry_out(answers: BinaryIO, tell: Callable[[Report], None]) -> Outcome | None:
    order = parse(Order, answers.readline(), file="the agent's order")
    request = order.request
    ports = _ports(order, answers, tell)
    if request is None:
        with ports.lock.hold(why="finish what was cut"):
            for line in finish_plans(ports):
                ports.progress.say(line)
        return None
    return under_lock(ports, why=request.verb.value, verb=lambda: _told(run_request(request, ports), tell))


def _ports(order: Order, answers: BinaryIO, tell: Callable[[Report], None]) -> Ports:
    who = order.request.who if order.request else SETTLER
    verb = order.request.verb.value if order.request else None
    progress, consent = TellingProgress(tell, SystemClock()), AskingConsent(tell, answers)
    ports = open_stack(Path(order.directory), consent=consent, progress=progress, who=who)
    return replace(
        ports,
        journal=TellingJournal(ports.journal, tell, verb=verb),
        lock=PatientLock(ports.lock, tell, ports.clock),
        rotation=None,
    )


def _told(outcome: Outcome, tell: Callable[[Report], None]) -> Outcome:
    """A verb that journals no plan of its own has one to show all the same."""
    tell(Report(kind=ReportKind.PLAN, plan=outcome.plan))
    return outcome


def _ended(outcome: Outcome | None) -> Report:
    if outcome is None:
        return Report(kind=ReportKind.ENDED)
    verdict = outcome.facts.get("verdict")
    known = {each.value: each for each in Verdict}
    return Report(kind=ReportKind.ENDED, facts=outcome.facts, verdict=known.get(str(verdict)))


if __name__ == "__main__":
    sys.exit(main())
