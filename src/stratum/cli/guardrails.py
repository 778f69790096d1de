"""check, identity, destroy: knowing that the data is safe, and the one way to delete it."""

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
    fail,
    opened,
    show_outcome,
    show_record,
)
from stratum.core.errors import ExitCode, StratumError

if TYPE_CHECKING:
    from stratum.core.answers import ChecklistAnswer
    from stratum.project import Project


def check(
    stack: StackOption = HERE,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without touching data.")] = False,
    as_json: JsonOption = False,
) -> None:
    """The anti-panic checklist; exits 0 only when every line holds."""
    from stratum.adapters.messages import speak_line
    from stratum.adapters.records import to_dict
    from stratum.cli.render import render_line
    from stratum.core.answers import ChecklistAnswer
    from stratum.core.checklist import all_hold
    from stratum.engine.check import mend, run_check

    with opened(stack, as_json=as_json) as ports:
        if fix:
            mend(ports)
        lines = run_check(ports)
        answer = ChecklistAnswer(all_hold=all_hold(lines), lines=tuple(speak_line(line) for line in lines))
        if ports.project is not None:
            answer = joined(answer, ports.project)
        show_record(to_dict(answer), "\n".join(render_line(line) for line in answer.lines), as_json=as_json)
        if not answer.all_hold:
            fail(ExitCode.AT_RISK)


def joined(own: ChecklistAnswer, project: Project) -> ChecklistAnswer:
    """The host's lines, then those the service `backup` looked at; without its answer they could not be looked at."""
    from stratum.adapters.messages import speak_error, speak_line
    from stratum.adapters.records import parse_plain
    from stratum.core.answers import ChecklistAnswer
    from stratum.core.checklist import LINES, Line, LineState, Place

    try:
        there = parse_plain(ChecklistAnswer, project.inside(("check",)), file="the answer of backup")
    except StratumError as error:
        why = {"why": speak_error(error).message}
        names = (kind.name for kind in LINES.values() if kind.place is Place.INSIDE)
        unknown = (speak_line(Line(name=name, state=LineState.UNKNOWN, details=why)) for name in names)
        there = ChecklistAnswer(all_hold=False, lines=tuple(unknown))
    return ChecklistAnswer(all_hold=own.all_hold and there.all_hold, lines=(*own.lines, *there.lines))


def identity_show(stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """What was recorded, what stands there now, and how the two relate."""
    from stratum.adapters.records import to_dict
    from stratum.engine.accept_identity import describe
    from stratum.engine.tripwire import observe_sighting

    with opened(stack, as_json=as_json, inside=True) as ports:
        sighting = observe_sighting(ports)
        show_record({"format": 1, **to_dict(sighting)}, "\n".join(describe(sighting)), as_json=as_json)


def identity_check(
    record: Annotated[
        bool, typer.Option("--record", help="Also record it, and make the console's database where it is missing.")
    ] = False,
    heads: Annotated[bool, typer.Option("--heads", help="Also say where the migrations stand.")] = False,
    stack: StackOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Refuse a look-alike; exits 0 only for the recorded cluster, or where none was recorded yet."""
    from stratum.engine.tripwire import refuse_look_alike, settle_identity
    from stratum.engine.undo_copy import observe_heads

    with opened(stack, as_json=as_json, inside=True) as ports:
        made = settle_identity(ports) if record else False
        found = refuse_look_alike(ports)
        shown: dict[str, object] = {"format": 1, "likeness": found.likeness.value, "console_made": made}
        if heads:
            shown["heads"] = observe_heads(ports)
        show_record(shown, f"the cluster is {found.likeness}", as_json=as_json)


def identity_accept(
    confirm: ConfirmOption = [],  # noqa: B006 - typer copies the default
    stack: StackOption = HERE,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say that the cluster standing here is the right one, or, when none does, that a new one may be made."""
    from stratum.engine.accept_identity import accept_identity

    with opened(stack, as_json=as_json, dry_run=dry_run, confirm=confirm, inside=True) as ports:
        outcome = carry_out(ports, why="identity accept", dry_run=dry_run, verb=lambda: accept_identity(ports))
        show_outcome(outcome, as_json=as_json, done="accepted; `stratum up` goes on from here")


def destroy(
    confirm: ConfirmOption = [],  # noqa: B006 - typer copies the default
    stack: StackOption = HERE,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete the stack's data: a final proven backup first, the stack's name typed three times."""
    from stratum.engine.destroy import destroy as run
    from stratum.engine.destroy import destroy_volume

    with opened(stack, as_json=as_json, dry_run=dry_run, confirm=confirm) as ports:
        project = ports.project
        verb = (lambda: destroy_volume(ports, project)) if project else (lambda: run(ports))
        outcome = carry_out(ports, why="destroy", dry_run=dry_run, verb=verb)
        final = outcome.facts.get("final_backup")
        show_outcome(outcome, as_json=as_json, done=f"the data is deleted; {final} in the archive brings it back")
