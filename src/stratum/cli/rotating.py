"""rotate: new secrets, in the server, in .env and in what runs."""

from __future__ import annotations

from typing import Annotated

import typer

from stratum.cli.session import HERE, DryRunOption, JsonOption, StackOption, carry_out, opened, reported, show_outcome
from stratum.core.errors import StratumError
from stratum.rotation import SecretName

DATABASE = "database"
_WORDS = (DATABASE, *(name.value for name in SecretName))


def rotate(
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="WHAT", help=f"Which of: {', '.join(_WORDS)}; without, all the stack has."),
    ] = None,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Let the signing key of before count no more: every session ends.")
    ] = False,
    stack: StackOption = HERE,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change the passwords and the signing key of the stack: in the server, in .env, in what runs, or nowhere."""
    from stratum import wiring
    from stratum.engine.deploy import names_in
    from stratum.engine.rotate import rotate as run

    with reported(as_json=as_json):
        words = _checked(what or [])
    with opened(stack, as_json=as_json, dry_run=dry_run) as ports:
        names = _names(words, ports.rotation.known() if ports.rotation else ())
        verb = lambda: run(ports, names, at_once=at_once)  # noqa: E731 - names the call below
        outcome = carry_out(ports, why="rotate", dry_run=dry_run, verb=verb)
        if not dry_run:
            wiring.keep_stack_files(stack)
        proven = names_in(outcome.facts.get("proven"))
        roles = f"; seen to let in, and the old ones refused: {', '.join(proven)}" if proven else ""
        show_outcome(outcome, as_json=as_json, done=f"done: {outcome.plan.headline}{roles}")


def _checked(words: list[str]) -> list[str]:
    for word in words:
        if word not in _WORDS:
            problem = f"{word!r} is none of {', '.join(_WORDS)}"
            raise StratumError("invalid-argument", argument="WHAT", problem=problem)
    return words


def _names(words: list[str], known: tuple[SecretName, ...]) -> tuple[SecretName, ...]:
    """`database` stands for every password of a role."""
    chosen = {SecretName(word) for word in words if word != DATABASE}
    if DATABASE in words:
        chosen |= {name for name in known if name is not SecretName.JWT}
    return tuple(name for name in SecretName if name in chosen)
