"""init, up, stop, down, status: none of them can delete data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from stratum.cli.services import render_console, render_service
from stratum.cli.session import (
    HERE,
    DryRunOption,
    JsonOption,
    StackOption,
    carry_out,
    opened,
    reported,
    show_outcome,
    show_record,
)
from stratum.core.errors import StratumError


def init(
    directory: Annotated[Path, typer.Argument(help="Where the stack's files go.")] = HERE,
    name: Annotated[str | None, typer.Option(help="The stack's name; by default the directory's.")] = None,
    archive: Annotated[str, typer.Option(help="The archive's directory, best on another disk.")] = "archive",
    console: Annotated[
        bool, typer.Option("--console/--no-console", help="Whether `stratum up` starts the web console as well.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Lay down a new stack: settings, generated secrets, an empty archive."""
    from stratum import wiring

    with reported(as_json=as_json):
        stack = name or re.sub(r"[^a-z0-9_-]+", "-", directory.absolute().name.lower()).strip("-_") or "stack"
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", stack):
            problem = f"{stack!r} is not made of 1 to 41 small letters, digits, - and _"
            raise StratumError("invalid-argument", argument="--name", problem=problem)
        written = wiring.init_stack(directory, name=stack, archive=archive, console=console)
        text = "\n".join((*(f"wrote {path}" for path in written), f"next: stratum up --stack {directory}"))
        show_record({"format": 1, "stack": stack, "written": [str(path) for path in written]}, text, as_json=as_json)


def up(stack: StackOption = HERE, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Make the cluster the first time, start it, refuse a look-alike, and start the console's services."""
    from stratum.engine.bring_up import bring_up

    with opened(stack, as_json=as_json, dry_run=dry_run) as ports:
        outcome = carry_out(ports, why="up", dry_run=dry_run, verb=lambda: bring_up(ports))
        said = [outcome.facts.get("detail"), *map(render_service, ports.services.observe(ask=False))]
        if console := outcome.facts.get("console"):
            said.append(f"console   {console}")
        if outcome.facts.get("console_made"):
            said.append("its first administrator is made with a one-time token: see `stratum logs backend`")
        show_outcome(outcome, as_json=as_json, done="\n".join(map(str, said)))


def stop(stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """Stop the console's services and the database cleanly; the data stays."""
    _take_down(stack, as_json=as_json)


def down(stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """Stop everything of the stack; the data stays."""
    _take_down(stack, as_json=as_json)


def _take_down(stack: Path, *, as_json: bool) -> None:
    from stratum.engine.bring_up import take_down
    from stratum.ports import RunState

    with opened(stack, as_json=as_json) as ports:
        with ports.lock.hold(why="stop"):
            take_down(ports)
        found = ports.runtime.observe()
        text = f"{found.detail}; the data stays" if found.state is RunState.STOPPED else found.detail
        record = {"format": 1, "database": found.state.value, "detail": found.detail}
        show_record(record, text, as_json=as_json)


def status(stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """Say what would be lost now, how long getting back takes, and when that was last proven."""
    from stratum.adapters.messages import speak_protection
    from stratum.adapters.records import to_dict
    from stratum.engine.report_status import report_status

    with opened(stack, as_json=as_json) as ports:
        found = report_status(ports)
        lines = [
            speak_protection(found.protection),
            "",
            f"stack     {found.stack}",
            f"database  {found.database_detail}",
        ]
        lines.append(f"backups   {found.backups}, newest drill: {found.protection.newest_drill or 'never run'}")
        lines += map(render_service, found.services)
        lines += [line] if (line := render_console(found.services)) else []
        lines += [f"damaged   {name}" for name in found.broken_backups]
        lines += [f"foreign   {name} (in the archive, not Stratum's; never touched)" for name in found.foreign_files]
        lines += [f"cut short {plan}; the next command finishes it or takes it back" for plan in found.cut_plans]
        show_record(to_dict(found), "\n".join(lines), as_json=as_json)
