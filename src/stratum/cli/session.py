"""What every command shares: opening the stack, holding the lock, and turning errors into exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from stratum.core.errors import ExitCode, StratumError

if TYPE_CHECKING:
    from stratum.ports import Outcome, Ports

StackOption = Annotated[Path, typer.Option("--stack", help="The stack's directory, or one below it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on stdout.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the plan; touch nothing.")]
ConfirmOption = Annotated[
    list[str],
    typer.Option("--confirm", metavar="STACK", help="The stack's own name, to confirm without a terminal."),
]
IdentityOption = Annotated[
    Path | None,
    typer.Option("--identity", metavar="FILE", help="The private key of a sealed archive; by default .env names it."),
]
HERE = Path()


@contextmanager
def opened(
    stack: Path,
    *,
    as_json: bool,
    dry_run: bool = False,
    confirm: list[str] | None = None,
    inside: bool = False,
    profiles: tuple[str, ...] = (),
    file: Path | None = None,
    file_set: str | None = None,
    identity: Path | None = None,
) -> Iterator[Ports]:
    """The stack, ready for the engine; errors leave as exit codes.

    With `inside` the verb works on data: on the host of a Compose stack this process goes on as the same command in
    the service `backup`, and nothing after this runs here; `file`, which was named among its options, goes with it.
    `file_set` is one that the verb writes to.
    """
    from stratum import wiring
    from stratum.cli.render import TypedConsent, choose_progress

    with reported(as_json=as_json):
        if inside:
            _refuse_identity_outside(stack, identity)
            if not dry_run:
                wiring.keep_stack_files(stack)
            wiring.pass_on_inside(stack, typed_arguments(), file=file, file_set=file_set)
        yield wiring.open_stack(
            stack,
            consent=TypedConsent(confirm or []),
            progress=choose_progress(quiet=as_json),
            dry_run=dry_run,
            profiles=profiles,
            identity=identity,
        )


def _refuse_identity_outside(stack: Path, identity: Path | None) -> None:
    """A file of the host is not seen in a container, and a key is not copied to where it could stay."""
    from stratum import wiring

    if identity is not None and wiring.is_compose_host(stack):
        problem = "in a Compose stack the key reaches the service backup as AGE_IDENTITY of .env, with `stratum up`"
        raise StratumError("invalid-argument", argument="--identity", problem=problem)


def typed_arguments() -> tuple[str, ...]:
    """What was typed after `stratum`, without the stack's directory: inside a container it has another name."""
    kept, skip = [], False
    for word in sys.argv[1:]:
        if skip:
            skip = False
        elif word == "--stack":
            skip = True
        elif not word.startswith("--stack="):
            kept.append(word)
    return tuple(kept)


@contextmanager
def reported(*, as_json: bool) -> Iterator[None]:
    """Print an error in its three parts and exit with its code.

    A fault of our own becomes the `unexpected` error and no traceback; STRATUM_TRACEBACK=1 in the environment
    prints that on stderr first.
    """
    from stratum.cli.render import print_error

    try:
        yield
    except StratumError as error:
        print_error(error, as_json=as_json)
        raise typer.Exit(error.exit) from error
    except KeyboardInterrupt as interrupt:
        signal_name = str(interrupt) or "Ctrl-C"
        print_error(StratumError("interrupted", verb="the command", signal=signal_name), as_json=as_json)
        raise typer.Exit(ExitCode.FAILED) from interrupt
    except (typer.Exit, BrokenPipeError):
        raise
    except Exception as fault:
        if os.environ.get("STRATUM_TRACEBACK"):
            traceback.print_exc()
        print_error(StratumError("unexpected", problem=f"{type(fault).__name__}: {fault}"), as_json=as_json)
        raise typer.Exit(ExitCode.FAILED) from fault


def carry_out(ports: Ports, *, why: str, dry_run: bool, verb: Callable[[], Outcome]) -> Outcome:
    """Run a verb under the lock, after finishing whatever a crash cut; a dry run needs neither."""
    from stratum.engine.finish_plans import under_lock

    return verb() if dry_run else under_lock(ports, why=why, verb=verb)


def show_outcome(outcome: Outcome, *, as_json: bool, done: str) -> None:
    """The plan of a dry run, or what was done."""
    from stratum.adapters.records import to_dict
    from stratum.cli.render import print_json, render_plan
    from stratum.core.answers import OutcomeAnswer

    if as_json:
        print_json(to_dict(OutcomeAnswer(plan=outcome.plan, end=outcome.end, facts=outcome.facts)))
    elif outcome.end is None:
        print(render_plan(outcome.plan))
    else:
        print(done)


def show_record(record: dict[str, Any], text: str, *, as_json: bool) -> None:
    """What was found: one JSON object for a program, or text for a person."""
    from stratum.cli.render import print_json

    print_json(record) if as_json else print(text)


def fail(code: ExitCode) -> NoReturn:
    """Leave with this exit code after everything was printed."""
    sys.stdout.flush()
    raise typer.Exit(code)
