"""upgrade-postgres: another major of PostgreSQL under the same data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stratum.cli.session import (
    HERE,
    ConfirmOption,
    DryRunOption,
    JsonOption,
    StackOption,
    carry_out,
    opened,
    reported,
    show_outcome,
)

if TYPE_CHECKING:
    from stratum.ports import Outcome, Ports


def upgrade_postgres(
    major: Annotated[int | None, typer.Argument(metavar="[MAJOR]", help="The major to go to, such as 17.")] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Go back to the cluster from before the last upgrade, which was kept.")
    ] = False,
    image: Annotated[
        str | None,
        typer.Option("--image", help="With Docker: the new image; by default the one of .env with that major."),
    ] = None,
    stack: StackOption = HERE,
    confirm: ConfirmOption = [],  # noqa: B006 - typer reads it as the default of a repeated option
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring PostgreSQL to another major: rehearsed on a copy, compared table by table, the old cluster kept."""
    from stratum.core.errors import StratumError

    with reported(as_json=as_json):
        if (major is None) is not undo:
            raise StratumError(
                "invalid-argument", argument="MAJOR", problem="say which to go to, as 18; or --undo alone"
            )
    with opened(stack, as_json=as_json, dry_run=dry_run, confirm=confirm) as ports:
        verb = lambda: _carried_out(ports, major, image)  # noqa: E731 - names the call below
        outcome = carry_out(ports, why="upgrade-postgres", dry_run=dry_run, verb=verb)
        show_outcome(outcome, as_json=as_json, done=_done(outcome))


def _carried_out(ports: Ports, major: int | None, image: str | None) -> Outcome:
    from stratum.engine.undo_upgrade import undo_upgrade
    from stratum.engine.undo_upgrade_on_host import undo_on_host
    from stratum.engine.upgrade_on_host import upgrade_on_host
    from stratum.engine.upgrade_postgres import upgrade_postgres as run

    if ports.project is not None:
        return undo_on_host(ports) if major is None else upgrade_on_host(ports, major, image=image)
    return undo_upgrade(ports) if major is None else run(ports, major)


def _done(outcome: Outcome) -> str:
    lines = [f"done: {outcome.plan.headline}"]
    tables, rows = outcome.facts.get("tables"), outcome.facts.get("rows")
    if tables is not None:
        lines.append(f"{tables} tables and {rows} rows are the same; `stratum upgrade-postgres --undo` goes back")
    return "\n".join(lines)
