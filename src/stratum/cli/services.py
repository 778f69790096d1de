"""ps, logs, agent, console-token: the processes of a stack, what they say, and a way in when the database is down."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from stratum.cli.session import HERE, JsonOption, StackOption, opened, reported, show_record
from stratum.core.services import ServicePhase, ServiceState, console_address


class Logged(StrEnum):
    """Whose log is shown."""

    POSTGRES = "postgres"
    AGENT = "agent"
    BACKEND = "backend"
    FRONTEND = "frontend"
    SUPERVISOR = "supervisor"


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
        return f"{state.name:<9} stopped"
    since = f" since {state.since:%Y-%m-%d %H:%M:%S} UTC" if state.since else ""
    restarts = f", started again {state.restarts} times" if state.restarts else ""
    if state.phase is ServicePhase.WAITING:
        return f"{state.name:<9} ended with {state.exit_code}{since}; it is started again{restarts}"
    taken = f"; port {state.wished_port} is taken, so not on it" if state.port != state.wished_port else ""
    deaf = ", but it does not answer" if state.healthy is False else ""
    return f"{state.name:<9} running on {state.address} (process {state.pid}){since}{restarts}{taken}{deaf}"


def logs(
    service: Annotated[
        Logged, typer.Argument(metavar="SERVICE", help="postgres, agent, backend, frontend or supervisor.")
    ] = Logged.POSTGRES,
    stack: StackOption = HERE,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """The end of the database's log, or of a service's."""
    with opened(stack, as_json=as_json) as ports:
        if service is Logged.POSTGRES:
            found = ports.runtime.server_log(lines)
        else:
            found = ports.services.log(service.value, lines)
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

    with opened(stack, as_json=as_json) as ports:
        found = make_console_token(ports)
        where = f"{found.address}/console-token" if found.address else "the console; `stratum up` starts it"
        text = f"{found.token}\n\nOnce, until {found.expires_at:%H:%M:%S} UTC, read-only, at {where}"
        show_record(to_dict(found), text, as_json=as_json)


def render_console(services: tuple[ServiceState, ...]) -> str | None:
    """Where to open the console; None while nobody can."""
    address = console_address(services)
    return f"console   {address}" if address else None
