"""rehearse: the new version's migrations on a clone, and what they would do."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stratum.cli.session import HERE, JsonOption, StackOption, carry_out, fail, opened, show_record
from stratum.core.errors import ExitCode

if TYPE_CHECKING:
    from stratum.core.rehearsal import Acted, Rehearsal
    from stratum.rehearsal import Clone

_SLOW_SECONDS = 0.01


def rehearse(
    backup_id: Annotated[
        str | None, typer.Argument(metavar="[BACKUP]", help="The backup the clone is made from; by default the newest.")
    ] = None,
    stack: StackOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Run the new version's migrations on a clone of the data, and say what they would do; production is not reached.

    Exits 13 where they fail or take something away.
    """
    from stratum.adapters.records import to_dict
    from stratum.core.rehearsal import RehearsalVerdict
    from stratum.engine.list_backups import choose_manifest
    from stratum.engine.rehearse import order_on_host, run_commands
    from stratum.engine.rehearse import rehearse as run

    with opened(stack, as_json=as_json) as ports:
        if ports.project is not None:
            found = ports.project.rehearse(order_on_host(ports, backup_id))
        else:
            verb = lambda: run(choose_manifest(backup_id, ports), ports, lambda clone: run_commands(ports, clone))  # noqa: E731 - names the call below
            outcome = carry_out(ports, why="rehearse", dry_run=False, verb=verb)
            found = next(one for one in ports.rehearsals.recorded() if one.id == outcome.facts["rehearsal_id"])
        show_record(to_dict(found), "\n".join(render_rehearsal(found)), as_json=as_json)
        if found.verdict in {RehearsalVerdict.FAILS, RehearsalVerdict.DESTRUCTIVE}:
            fail(ExitCode.AT_RISK)


def host_clone(
    backup_id: Annotated[str | None, typer.Argument(help="The backup the clone is made from.")] = None,
    stack: StackOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Make a clone for the host of a Compose stack, which runs the new version on it; `stratum rehearse` uses this."""
    from stratum.adapters.records import to_dict
    from stratum.engine.list_backups import choose_manifest
    from stratum.engine.rehearse import rehearse as run

    with opened(stack, as_json=as_json) as ports:
        verb = lambda: run(choose_manifest(backup_id, ports), ports, _wait_for_the_host)  # noqa: E731 - names the call below
        outcome = carry_out(ports, why="rehearse", dry_run=False, verb=verb)
        found = next(one for one in ports.rehearsals.recorded() if one.id == outcome.facts["rehearsal_id"])
        print(json.dumps(to_dict(found)))


def _wait_for_the_host(clone: Clone) -> Acted:
    """One line tells the host where the clone is, one from it says what was run there."""
    from stratum.adapters.records import parse
    from stratum.core.errors import StratumError
    from stratum.core.rehearsal import Acted

    print(json.dumps({"socket": str(clone.socket)}), flush=True)
    line = sys.stdin.readline()
    if not line:
        raise StratumError("rehearsal-broke-off", problem="the host has gone")
    return parse(Acted, line, file="standard input")


def render_rehearsal(found: Rehearsal) -> list[str]:
    """For a person: the verdict first, then what was seen."""
    from stratum.core.sizes import render_bytes

    clone = f"clone     of {found.backup_id}: {found.clone_seconds:.1f} s, {render_bytes(found.clone_bytes)} of disk"
    lines = [f"verdict   {found.summary}", clone]
    lines += [f"ran       {run.name}: {'well' if run.ok else 'failed'}, {run.seconds:.1f} s" for run in found.runs]
    lines += [f"          {line}" for run in found.runs if not run.ok for line in run.said.splitlines()[-8:]]
    lines += [f"loses     {loss}" for loss in found.losses]
    lines += [
        f"lock      {lock.mode} on {lock.table} for {lock.seconds:.2f} s: {lock.blocks} would wait"
        for lock in found.locks
    ]
    lines += [f"rewrites  {one.table} ({render_bytes(one.bytes_after)})" for one in found.tables if one.rewritten]
    lines += [f"changes   {one.table}: {', '.join(one.changed)}" for one in found.tables if one.changed]
    lines += [
        f"rows      {one.table}: {_count(one.rows_before)} → {_count(one.rows_after)}"
        for one in found.tables
        if one.rows_before != one.rows_after
    ]
    lines += [f"schema    {line}" for line in found.difference]
    lines.append(f"disk      {'+' if found.growth_bytes >= 0 else '-'}{render_bytes(abs(found.growth_bytes))}")
    lines += [
        f"slowest   {one.seconds:.2f} s  {one.text}" for one in found.statements[:3] if one.seconds >= _SLOW_SECONDS
    ]
    lines += [f"before    the release that serves may stumble: {one}" for one in found.obstacles]
    lines += [f"advice    {one.statement}: {one.advice} ({one.rule})" for one in found.findings]
    return lines + [f"note      {note}" for note in found.notes]


def _count(rows: int | None) -> str:
    return "none" if rows is None else f"{rows:,}"
