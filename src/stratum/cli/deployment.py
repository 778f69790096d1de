"""build, update, rollback, shell, undo-copy: moving a Compose stack from one release to another, and back."""

from __future__ import annotations

import os
from enum import StrEnum
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
    show_record,
)
from stratum.core.errors import StratumError

if TYPE_CHECKING:
    from stratum.core.answers import UndoCopyAnswer
    from stratum.ports import Outcome, Ports


class Shell(StrEnum):
    """Where a shell is opened."""

    BACKEND = "backend"
    FRONTEND = "frontend"
    BACKUP = "backup"
    DB = "db"


class UndoCopy(StrEnum):
    """What to do with the copies of an update."""

    ROOM = "room"
    MAKE = "make"
    HEADS = "heads"
    COST = "cost"
    BACK = "back"
    FORWARD = "forward"
    DROP = "drop"


def build(
    stack: StackOption = HERE,
    pull: Annotated[bool, typer.Option("--pull", help="Fetch newer base images first.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Build the stack's images from its files and the Stratum that runs now; what runs goes on as it is."""
    from stratum.engine.deploy import project_of

    with opened(stack, as_json=as_json) as ports:
        project = project_of(ports)
        project.check()
        with ports.lock.hold(why="build"):
            project.stage()
            project.build(pull=pull)
        show_record({"format": 1, "built": True}, "built; `stratum up` starts what changed", as_json=as_json)


def update(
    stack: StackOption = HERE,
    to: Annotated[str | None, typer.Option("--to", metavar="REF", help="A commit, tag or branch to move to.")] = None,
    accept: Annotated[
        list[str], typer.Option(metavar="NAME", help="Go on though the rehearsal names this; may be given again.")
    ] = [],  # noqa: B006 - typer copies the default
    no_downtime: Annotated[
        bool, typer.Option("--no-downtime", help="Start the new release beside the old one, behind nginx.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Back up, prove, build, rehearse, stop, migrate, start, verify; back by itself when any of it fails."""
    from stratum.engine.deploy import project_of
    from stratum.engine.update import update as run

    with opened(stack, as_json=as_json, dry_run=dry_run) as ports:
        project = project_of(ports)
        verb = lambda: run(ports, project, to=to, accept=tuple(accept), no_downtime=no_downtime)  # noqa: E731 - names the call below
        outcome = carry_out(ports, why="update", dry_run=dry_run, verb=verb)
        commit = outcome.facts.get("commit") or "no git checkout"
        done = (
            f"updated ({commit}); {_away(outcome)}\n"
            f"backup {outcome.facts.get('backup_id')} and `stratum rollback` lead back"
        )
        show_outcome(outcome, as_json=as_json, done=done)


def rollback(
    release: Annotated[
        str | None,
        typer.Argument(metavar="[RELEASE]", help="A release's id, or its last part; by default the one before."),
    ] = None,
    stack: StackOption = HERE,
    data: Annotated[
        bool, typer.Option("--data", help="The databases it worked on too; what is live now is kept.")
    ] = False,
    accept: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="Go on though trying it on a clone found this, by name."),
    ] = [],  # noqa: B006 - typer copies the default
    confirm: ConfirmOption = [],  # noqa: B006 - typer copies the default
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Back to the release before, or to any that is kept; with --data to its databases. Says first what that costs."""
    from stratum.engine.deploy import project_of
    from stratum.engine.roll_back import roll_back

    with opened(stack, as_json=as_json, dry_run=dry_run, confirm=confirm) as ports:
        project = project_of(ports)
        verb = lambda: roll_back(ports, project, release=release, with_data=data, accept=tuple(accept))  # noqa: E731 - names the call below
        outcome = carry_out(ports, why="rollback", dry_run=dry_run, verb=verb)
        show_outcome(outcome, as_json=as_json, done=f"done: {outcome.plan.headline}; {_away(outcome)}")


def _away(outcome: Outcome) -> str:
    if "visits" in outcome.facts:
        visits, failed, cut_off = (outcome.facts.get(name, 0) for name in ("visits", "visits_failed", "cut_off"))
        long = f"; {cut_off} workers of it still answered what takes long, and that was cut off" if cut_off else ""
        well = "" if failed or cut_off else "nobody was kept out: "
        return f"{well}nginx answered {visits} requests meanwhile, {failed} of them with an error{long}"
    return f"the application was away for {outcome.facts.get('downtime_seconds')} s"


def shell(
    where: Annotated[Shell, typer.Argument(help="backend, frontend or backup: a shell there; db: psql.")],
    stack: StackOption = HERE,
) -> None:
    """A shell in one of the stack's containers, or psql in the database."""
    from stratum import wiring

    with reported(as_json=False):
        if where is Shell.DB:
            wiring.open_psql(stack)
        wiring.open_shell(stack, where.value)


def undo_copy(
    what: Annotated[UndoCopy, typer.Argument(help="What to do with the copies.")],
    label: Annotated[str, typer.Argument(help="The update they belong to.")],
    database: Annotated[list[str], typer.Option(help="Only this database; may be given again.")] = [],  # noqa: B006 - typer copies the default
    forward: Annotated[
        bool, typer.Option("--forward", help="cost: of going forward again to what a way back set aside.")
    ] = False,
    counts: Annotated[bool, typer.Option("--counts", help="cost: count rows only, compare no value.")] = False,
    stack: StackOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """The copies of the databases that `update` makes for its way back; it and `rollback` use this."""
    from stratum.adapters.records import to_dict
    from stratum.engine.undo_copy import show_cost

    with opened(stack, as_json=as_json, inside=True) as ports, ports.lock.hold(why=f"undo-copy {what.value}"):
        _refuse_by_hand(what)
        if what is UndoCopy.COST:
            found = show_cost(ports, label, databases=database, forward=forward, counts=counts)
        else:
            found = _undo_copy(ports, what, label, database)
        text = "\n".join(found.cost) or f"{what.value}: {', '.join(found.databases)}"
        show_record(to_dict(found), text, as_json=as_json)


def _refuse_by_hand(what: UndoCopy) -> None:
    """These swap and delete databases without asking: the plan that they are steps of has asked, and leads back."""
    if what not in {UndoCopy.HEADS, UndoCopy.COST, UndoCopy.ROOM} and not os.environ.get("STRATUM_UNDER"):
        plans = "change the copies of an update by itself: `stratum update` and `stratum rollback --data` do"
        raise StratumError("not-from-here", what=plans)


def _undo_copy(ports: Ports, what: UndoCopy, label: str, databases: list[str]) -> UndoCopyAnswer:
    from stratum.core.answers import UndoCopyAnswer
    from stratum.engine import undo_copy as copies

    if what is UndoCopy.MAKE:
        return copies.make_undo_copies(ports, label)
    if what is UndoCopy.ROOM:
        return copies.see_room(ports)
    if what is UndoCopy.DROP:
        return copies.drop_undo_copies(ports, label)
    if what is UndoCopy.HEADS:
        return UndoCopyAnswer(databases=ports.stack.databases, heads=copies.observe_heads(ports))
    return copies.swap_undo_copies(ports, label, databases=databases, forward=what is UndoCopy.FORWARD)
