"""ps, logs, agent, console-token: the processes of a stack, what they say, and a way in when the database is down."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from stratum.cli.session import HERE, JsonOption, StackOption, opened, reported, show_record
from stratum.core.containers import BACKUP, POSTGRES
from stratum.core.errors import StratumError
from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.core.receiving_rules import is_fresh
from stratum.core.services import ServicePhase, ServiceState, console_address
from stratum.core.sizes import render_age

LOCAL_LOGS = ("agent", "backend", "frontend", "supervisor")
"""What has a log on the embedded runtime beside the database."""


def ps(stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """The processes of the stack: how each stands, where it listens, how often it was started again."""
    from stratum.adapters.records import to_dict
    from stratum.core.services import ServicesAnswer

    with opened(stack, as_json=as_json) as ports:
        found, services = ports.runtime.observe(), ports.services.observe(ask=True)
        answer = ServicesAnswer(database=found.state.value, database_detail=found.detail, services=services)
        lines = [f"{'database':<9} {found.detail}", *map(render_service, services)]
        show_record(to_dict(answer), "\n".join(lines), as_json=as_json)


def render_service(state: ServiceState) -> str:
    """One line: `backend   running on http://127.0.0.1:4001 (process 4711) since …`."""
    if state.phase is ServicePhase.STOPPED:
        ended = f", it ended with {state.exit_code}" if state.exit_code else ""
        return f"{state.name:<9} stopped{ended}"
    since = f" since {state.since:%Y-%m-%d %H:%M:%S} UTC" if state.since else ""
    restarts = f", started again {state.restarts} times" if state.restarts else ""
    if state.phase is ServicePhase.WAITING:
        return f"{state.name:<9} ended with {state.exit_code}{since}; it is started again{restarts}"
    taken = f"; port {state.wished_port} is taken, so not on it" if state.port != state.wished_port else ""
    deaf = ", but it does not answer" if state.healthy is False else ""
    process = f" (process {state.pid})" if state.pid is not None else ""
    return f"{state.name:<9} running on {state.address}{process}{since}{restarts}{taken}{deaf}"


def logs(
    service: Annotated[
        str,
        typer.Argument(metavar="SERVICE", help="postgres, agent, backend, frontend, supervisor; with Compose any."),
    ] = POSTGRES,
    stack: StackOption = HERE,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """The end of the database's log, or of a service's."""
    with opened(stack, as_json=as_json) as ports:
        if ports.project is None and service not in {POSTGRES, *LOCAL_LOGS}:
            problem = f"{service!r} is not one of: {', '.join((POSTGRES, *LOCAL_LOGS))}"
            raise StratumError("invalid-argument", argument="SERVICE", problem=problem)
        if service == POSTGRES:
            found = ports.runtime.server_log(lines)
        else:
            found = ports.services.log(BACKUP if ports.project and service == "agent" else service, lines)
        show_record({"format": 1, "lines": found}, "\n".join(found), as_json=as_json)


def agent(stack: StackOption = HERE) -> None:
    """Run the agent in this terminal, until Ctrl-C; `stratum up` runs it in the background."""
    from stratum import wiring

    with reported(as_json=False):
        wiring.become_agent(stack)


def console_token(stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """A one-time, read-only sign-in to the console, good for 15 minutes, also when the database is down."""
    from stratum.adapters.records import to_dict
    from stratum.engine.console_token import make_console_token

    with opened(stack, as_json=as_json, inside=True) as ports:
        found = make_console_token(ports)
        where = f"{found.address}/console-token" if found.address else "the console; `stratum up` starts it"
        text = f"{found.token}\n\nOnce, until {found.expires_at:%H:%M:%S} UTC, read-only, at {where}"
        show_record(to_dict(found), text, as_json=as_json)


def render_console(services: tuple[ServiceState, ...]) -> str | None:
    """Where to open the console; None while nobody can."""
    address = console_address(services)
    return f"console   {address}" if address else None


def render_receiver(state: ReceiverState, now: datetime) -> str:
    """The line of the receiver below the sentence: what it does, how far behind, and through what."""
    phase = state.phase if state.mode is ProtectMode.DUMPS or is_fresh(state, now) else "silent"
    parts = [f"{phase} ({state.mode})"]
    if state.phase is not ReceiverPhase.OFF:
        parts += [f"{render_age(now - state.safe_at)} behind"] if state.safe_at else []
        parts += [f"timeline {state.timeline}", f"slot {state.slot}"] if state.slot else []
        parts += [state.problem] if state.problem else []
    return ", ".join(parts)
