"""restore: the whole database, one table, beside under another name, or back to before the last restore."""

from __future__ import annotations

from datetime import UTC, datetime
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
    show_outcome,
)
from stratum.core.errors import StratumError

if TYPE_CHECKING:
    from stratum.engine.restore import Target
    from stratum.ports import Outcome, Ports

_NAME_LIMIT_BYTES = 63


def restore(
    backup_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A backup; by default the newest whole one.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="The newest backup at this time, e.g. 2026-03-02T10:00+01:00.")] = None,
    database: Annotated[str | None, typer.Option(help="Which database; by default the application's.")] = None,
    table: Annotated[str | None, typer.Option(help="Only this table, into a schema of its own.")] = None,
    place: Annotated[
        str | None,
        typer.Option("--place", metavar="SCHEMA", help="With --table: put the one restored there in place."),
    ] = None,
    into: Annotated[str | None, typer.Option(metavar="NAME", help="Into a new database; the live one stays.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Swap back to what the last restore replaced.")] = False,
    confirm: ConfirmOption = [],  # noqa: B006 - typer copies the default
    stack: StackOption = HERE,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring data back: built beside, verified, compared with what is live, then swapped; never overwritten."""
    with opened(stack, as_json=as_json, dry_run=dry_run, confirm=confirm) as ports:
        _refuse_contradictions(undo=undo, backup_id=backup_id, at=at, table=table, into=into, place=place)

        def verb() -> Outcome:
            if undo:
                return _undo(ports, database)
            if table is not None:
                return _table(ports, table, place, _target(backup_id, at, database, None))
            return _whole(ports, _target(backup_id, at, database, into))

        outcome = carry_out(ports, why="restore", dry_run=dry_run, verb=verb)
        show_outcome(outcome, as_json=as_json, done=_done(outcome))


def parse_moment(text: str) -> datetime:
    """ISO 8601; without a zone it is this machine's local time. Raises `invalid-argument`."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        problem = f"{text!r} is not a time such as 2026-03-02T10:00+01:00"
        raise StratumError("invalid-argument", argument="--at", problem=problem) from None


def _target(backup_id: str | None, at: str | None, database: str | None, into: str | None) -> Target:
    from stratum.engine.restore import Target

    if into is not None and not 0 < len(into.encode()) <= _NAME_LIMIT_BYTES:
        problem = f"a database's name has 1 to {_NAME_LIMIT_BYTES} bytes, not {len(into.encode())}"
        raise StratumError("invalid-argument", argument="--into", problem=problem)
    moment = parse_moment(at) if at else None
    return Target(backup_id=backup_id, at=moment, database=database, into=into)


def _whole(ports: Ports, target: Target) -> Outcome:
    from stratum.engine.restore import restore as run

    return run(ports, target)


def _undo(ports: Ports, database: str | None) -> Outcome:
    from stratum.engine.undo_restore import undo_restore

    return undo_restore(ports, database)


def _table(ports: Ports, table: str, place: str | None, target: Target) -> Outcome:
    from stratum.engine.restore_table import parse_table, put_in_place, restore_table

    if place is not None:
        return put_in_place(ports, parse_table(table), place, target.database)
    return restore_table(ports, target, parse_table(table))


def _refuse_contradictions(**given: object) -> None:
    """Options that name different restores are refused instead of one of them winning in silence."""
    set_ones = {name for name, value in given.items() if value}
    for first, second in (("undo", "backup_id"), ("undo", "at"), ("undo", "table"), ("undo", "into"), ("table", "into"),
                          ("backup_id", "at"), ("place", "backup_id"), ("place", "at")):  # fmt: skip
        if {first, second} <= set_ones:
            problem = f"it cannot go with --{second.replace('_', '-')}"
            raise StratumError("invalid-argument", argument=f"--{first}", problem=problem)
    if "place" in set_ones and "table" not in set_ones:
        raise StratumError("invalid-argument", argument="--place", problem="it needs --table")


def _done(outcome: Outcome) -> str:
    from stratum.engine.restore import still_to_restore

    params, facts = outcome.plan.params, outcome.facts
    if outcome.plan.verb == "restore-table":
        place = f"stratum restore --table {params['table_schema']}.{params['table']} --place {facts.get('schema')}"
        return f"restored into schema {facts.get('schema')}; put it in place with `{place}`"
    if outcome.plan.verb == "place-table":
        return f"in place; the table it replaced is kept in schema {params['kept_schema']}"
    if outcome.plan.verb == "restore" and not params["swap"]:
        return f"restored into {params['beside']}: {facts.get('verdict')}; the live database was not touched"
    if params.get("rebuild"):
        kept = (
            f"; what was left of the old data directory is kept as kept/{params['aside']}"
            if facts.get("set_aside")
            else ""
        )
        left = params.get("left")
        others = [still_to_restore(str(name)) for name in left] if isinstance(left, list) else []
        return "\n".join((f"done: {outcome.plan.headline}", f"a new cluster was made{kept}", *others))
    if facts.get("replaced") is False:
        return f"done: {outcome.plan.headline}\nthere was no {params['database']} that it replaced"
    back = f"what it replaced is kept as {params['kept']}; `{params.get('undo')}` swaps back"
    return f"done: {outcome.plan.headline}\n{back}"
