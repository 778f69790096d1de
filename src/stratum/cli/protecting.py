"""protect, restore-point: when commits are acknowledged, and names for moments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stratum.cli.session import HERE, JsonOption, StackOption, fail, opened, reported, show_record
from stratum.core.errors import ExitCode, StratumError
from stratum.core.receiving import ProtectMode

if TYPE_CHECKING:
    from stratum.core.protect_answer import ProtectAnswer


def protect(
    stack: StackOption = HERE,
    degrade: Annotated[
        bool, typer.Option("--degrade", help="Let commits wait no more for a receiver that is gone; needs no agent.")
    ] = False,
    mode: Annotated[
        ProtectMode | None, typer.Option(help="Write what is to be kept into stratum.toml, and let the agent follow.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say when commits are acknowledged, and who waits; exits 13 where less is kept than was asked for."""
    from stratum.adapters.records import to_dict
    from stratum.cli.protecting_host import degraded_on_host
    from stratum.engine.zero_loss import degrade as run
    from stratum.engine.zero_loss import report_protection

    if mode is not None:
        _write_mode(stack, mode, degrade=degrade, as_json=as_json)
        return
    if degrade and degraded_on_host(stack, as_json=as_json):
        fail(ExitCode.AT_RISK)
    with opened(stack, as_json=as_json, inside=True) as ports:
        answer = run(ports) if degrade else report_protection(ports)
        show_record(to_dict(answer), "\n".join(render_protect(answer)), as_json=as_json)
        if answer.at_risk:
            fail(ExitCode.AT_RISK)


def restore_point(
    name: Annotated[str, typer.Argument(help="Letters, digits, `-`, `_` and `.`; 63 at most.")],
    stack: StackOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Give this moment a name, to come back to it by that name."""
    from stratum.adapters.records import to_dict
    from stratum.engine.restore_point import set_restore_point

    with opened(stack, as_json=as_json, inside=True) as ports:
        answer = set_restore_point(name, ports)
        text = f"{answer.name}: {answer.at:%Y-%m-%d %H:%M:%S} UTC, timeline {answer.timeline}, {answer.lsn}"
        show_record(to_dict(answer), text, as_json=as_json)


def render_protect(answer: ProtectAnswer) -> list[str]:
    """For a person: what is asked for, what there is, who waits, and what to do."""
    from stratum.core.sizes import render_bytes

    behind = "" if answer.behind_bytes is None else f", {render_bytes(answer.behind_bytes)} behind"
    seen = "has caught up" if answer.receiving else "is not there"
    lines = [
        f"mode      {answer.mode}",
        f"commits   {'wait for the receiver' if answer.armed else 'do not wait for the receiver'}",
        f"receiver  {answer.receiver}; to the server it {seen}{behind}",
    ]
    count = len(answer.waiting)
    lines += [f"waiting   {count} {'commit waits' if count == 1 else 'commits wait'}"] if count else []
    lines += [f"          process {w.pid}: {w.user} in {w.database}, for {w.seconds:.0f} s" for w in answer.waiting]
    lines += [f"opted out {where} does not wait" for where in answer.lowered_for]
    lines += [f"opted out {answer.lowered_sessions} sessions do not wait"] if answer.lowered_sessions else []
    lines += [f"cancelled {answer.cancelled_waits} waits ended unreceived"] if answer.cancelled_waits else []
    lines += [f"degraded  since {answer.degraded_since:%Y-%m-%d %H:%M:%S} UTC"] if answer.degraded_since else []
    lines += [f"problem   {answer.problem}"] if answer.problem else []
    return [*lines, *_next(answer)]


def _next(answer: ProtectAnswer) -> list[str]:
    if answer.armed and not answer.receiving:
        return ["next      `stratum up` starts the receiver; `stratum protect --degrade` lets commits go on at once"]
    if answer.at_risk and not answer.problem:
        return ["next      `stratum up`, or `stratum agent` where there is no console; an agent mends this by itself"]
    return []


def _write_mode(stack: Path, mode: ProtectMode, *, degrade: bool, as_json: bool) -> None:
    from stratum.adapters.protect_mode import write_mode
    from stratum.config import FILE, find_stack
    from stratum.core.containers import BACKUP
    from stratum.core.services import ServicePhase

    with reported(as_json=as_json):
        if degrade:
            problem = "--mode and --degrade are two things: one at a time"
            raise StratumError("invalid-argument", argument="--degrade", problem=problem)
        file = find_stack(stack.absolute()) / FILE
        write_mode(file, mode)
    with opened(stack, as_json=as_json) as ports:
        agent = "agent" if ports.project is None else BACKUP
        follows = any(s.name == agent and s.phase is ServicePhase.RUNNING for s in ports.services.observe(ask=False))
        if follows:
            ports.services.renew(agent)
        text = f'{file}: [protect] mode = "{mode}"; ' + ("the agent follows" if follows else "next: stratum up")
        show_record({"format": 1, "mode": mode.value, "agent_follows": follows}, text, as_json=as_json)
