"""copies: where else the archive stands, how far each copy has come, and bringing them up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stratum.cli.session import HERE, JsonOption, StackOption, fail, opened, show_record
from stratum.core.errors import ExitCode

if TYPE_CHECKING:
    from datetime import datetime

    from stratum.core.copies import CopiesAnswer, CopyState


def copies(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One copy; by default all of them.")] = None,
    now: Annotated[bool, typer.Option("--now", help="Send what is missing, and compare it.")] = False,
    stack: StackOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Say where else the archive stands and how far behind; exits 13 where a copy cannot be brought up to date."""
    from stratum.adapters.records import to_dict
    from stratum.core.copies import CopiesAnswer
    from stratum.wiring import open_copies

    with opened(stack, as_json=as_json, inside=True) as ports:
        found = open_copies(stack, ports)
        if now:
            with ports.progress.task("sending", total=None, unit="bytes") as sent:
                total = 0

                def on_file(copy: str, left: int, bytes_: int) -> None:
                    nonlocal total
                    del copy, left
                    total += bytes_
                    sent(total)

                states = found.bring_up_to_date(name, on_file=on_file)
        else:
            states = tuple(state for state in found.states() if name in {None, state.name})
        answer = CopiesAnswer(copies=states, recipients=found.recipients)
        show_record(to_dict(answer), "\n".join(render_copies(answer, now=ports.clock.now())), as_json=as_json)
        if any(state.problem for state in states):
            fail(ExitCode.AT_RISK)


def render_copies(answer: CopiesAnswer, *, now: datetime) -> list[str]:
    """For a person: each copy, what could be lost with it alone, and what is wrong."""
    lines = [line for state in answer.copies for line in _copy_lines(state, now)]
    sealed = f"sealed for {len(answer.recipients)} recipients" if answer.recipients else "not sealed"
    return (
        [*lines, f"archive   {sealed}"]
        if lines
        else ["there is no copy: [[archive.copies]] of stratum.toml names none"]
    )


def _copy_lines(state: CopyState, now: datetime) -> list[str]:
    from stratum.core.sizes import render_age, render_bytes

    safe = "nothing can be brought back from it yet"
    if state.safe_at is not None:
        safe = f"survives {state.failure_domain}; would lose the last {render_age(now - state.safe_at)}"
    lines = [f"{state.name}: {state.files} files, {render_bytes(state.bytes)}; {safe}"]
    lines += [f"  missing   {state.missing} files"] if state.missing else []
    lines += [f"  left out  {len(state.left_out)} backups from before the archive was sealed"] if state.left_out else []
    if state.verified_at is not None:
        lines.append(f"  compared  {state.verified_at:%Y-%m-%d %H:%M:%S} UTC")
    if state.problem:
        since = f", since {state.since:%Y-%m-%d %H:%M:%S} UTC" if state.since else ""
        lines.append(f"  problem   {state.problem}{since}")
    return lines
