"""check, identity, destroy: knowing that the data is safe, and the one way to delete it."""

from __future__ import annotations

from typing import Annotated

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
from stratum.core.errors import ExitCode


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
        show_record(to_dict(answer), "\n".join(render_line(line) for line in lines), as_json=as_json)
        if not all_hold(lines):
            fail(ExitCode.AT_RISK)


def identity_show(stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """What was recorded, what stands there now, and how the two relate."""
    from stratum.adapters.records import to_dict
    from stratum.engine.accept_identity import describe
    from stratum.engine.tripwire import observe_sighting

    with opened(stack, as_json=as_json) as ports:
        sighting = observe_sighting(ports)
        show_record({"format": 1, **to_dict(sighting)}, "\n".join(describe(sighting)), as_json=as_json)


def identity_accept(
    confirm: ConfirmOption = [],  # noqa: B006 - typer copies the default
    stack: StackOption = HERE,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say that the cluster standing here is the right one, or, when none does, that a new one may be made."""
    from stratum.engine.accept_identity import accept_identity

    with opened(stack, as_json=as_json, dry_run=dry_run, confirm=confirm) as ports:
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

    with opened(stack, as_json=as_json, dry_run=dry_run, confirm=confirm) as ports:
        outcome = carry_out(ports, why="destroy", dry_run=dry_run, verb=lambda: run(ports))
        final = outcome.facts.get("final_backup")
        show_outcome(outcome, as_json=as_json, done=f"the data is deleted; {final} in the archive brings it back")
