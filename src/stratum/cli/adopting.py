"""adopt: a database that is there already, taken into care without being touched."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stratum.cli.session import HERE, ConfirmOption, DryRunOption, JsonOption, fail, reported, show_record
from stratum.config import COMPOSE, EMBEDDED, RUNTIMES
from stratum.core.errors import ExitCode, StratumError

if TYPE_CHECKING:
    from stratum import adopt_wiring
    from stratum.core.adopted_tools import FoundCommands
    from stratum.core.answers import AdoptAnswer

DirectoryArgument = Annotated[
    Path, typer.Argument(help="A directory with a Compose project, or where the stack's files go.")
]
UrlOption = Annotated[
    str | None, typer.Option(help="The address of a server of your own; not needed where .env sets DATABASE_URL.")
]
NameOption = Annotated[str | None, typer.Option(help="The stack's name; by default the directory's.")]
ArchiveOption = Annotated[
    str | None,
    typer.Option(help="The archive's directory, best on another disk; `archive`, or in Docker /opt/stratum_backups."),
]
ConsoleOption = Annotated[
    bool | None,
    typer.Option(
        "--console/--no-console",
        help="With --url: whether there is the web console as well; in Docker there always is.",
    ),
]
ServiceOption = Annotated[
    str | None, typer.Option(help="The Compose service that runs PostgreSQL, where several could.")
]
RuntimeOption = Annotated[
    str, typer.Option(help="With --url: embedded runs Stratum's own programs on this machine, compose in Docker.")
]
ProveOption = Annotated[
    bool,
    typer.Option("--prove", help="Then give the server its roles, start guard and agent, back up, and drill it."),
]
MoveOption = Annotated[
    bool,
    typer.Option("--move", help="Copy an adopted database's files into a held volume; the old one is kept."),
]
RolesOption = Annotated[
    bool,
    typer.Option("--print-roles", help="Print the SQL script that gives the server its roles; write nothing."),
]


def adopt(
    directory: DirectoryArgument = HERE,
    url: UrlOption = None,
    name: NameOption = None,
    archive: ArchiveOption = None,
    console: ConsoleOption = None,
    service: ServiceOption = None,
    runtime: RuntimeOption = EMBEDDED,
    print_roles: RolesOption = False,
    prove: ProveOption = False,
    move: MoveOption = False,
    confirm: ConfirmOption = [],  # noqa: B006 - typer copies the default
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a database that is there already into care, and say what is at risk today; nothing of it is touched."""
    from stratum import adopt_wiring
    from stratum.cli.adopting_further import move_data

    with reported(as_json=as_json):
        _refuse_address(directory)
        place = directory.absolute()
        if move:
            move_data(place, confirm=confirm, dry_run=dry_run, as_json=as_json)
            return
        if dry_run:
            raise StratumError("invalid-argument", argument="--dry-run", problem="it goes with --move")
        if print_roles:
            _print_roles(place, as_json=as_json)
            return
        _refuse_unfit(
            runtime, console=console, prove=prove and (url is not None or not adopt_wiring.holds_project(place))
        )
        stack = _stack_name(name, place)
        wanted = adopt_wiring.Adoption(
            directory=place,
            name=stack,
            archive=archive,
            console=runtime == COMPOSE if console is None else console,
            compose=runtime == COMPOSE,
        )
        if url is None and adopt_wiring.holds_project(place):
            found = adopt_wiring.adopt_project(wanted, service=service)
        else:
            found = adopt_wiring.adopt_server(wanted, url=url)
        _show(_answer(found, stack=stack), prove=place if prove and found.written else None, as_json=as_json)


def _refuse_address(directory: Path) -> None:
    """An address typed as the directory holds a password, which is not to be said again."""
    if re.match(r"[a-z]+:/", str(directory)):
        problem = "this is an address and no directory: put it into DATABASE_URL of .env there, or give it with --url"
        raise StratumError("invalid-argument", argument="DIRECTORY", problem=problem)


def _print_roles(place: Path, *, as_json: bool) -> None:
    from stratum import adopt_wiring

    script = adopt_wiring.print_roles(place)
    show_record({"format": 1, "script": script}, script, as_json=as_json)


def _refuse_unfit(runtime: str, *, console: bool | None, prove: bool) -> None:
    """Options that do not go together; `prove` where it was asked for without a Compose project."""
    if prove:
        problem = "it goes with a Compose project; whoever administers a server of your own gives it its roles"
        raise StratumError("invalid-argument", argument="--prove", problem=problem)
    if runtime not in RUNTIMES:
        problem = f"{runtime!r} is not one of: {', '.join(RUNTIMES)}"
        raise StratumError("invalid-argument", argument="--runtime", problem=problem)
    if runtime == COMPOSE and console is False:
        problem = "the containers of the stack hold the console; without --runtime compose it can be left out"
        raise StratumError("invalid-argument", argument="--no-console", problem=problem)


def _stack_name(given: str | None, place: Path) -> str:
    name = given or re.sub(r"[^a-z0-9_-]+", "-", place.name.lower()).strip("-_") or "stack"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", name):
        problem = f"{name!r} is not made of 1 to 41 small letters, digits, - and _"
        raise StratumError("invalid-argument", argument="--name", problem=problem)
    return name


def _commands(found: FoundCommands) -> list[str]:
    """What was found of how the application migrates, and what was not."""
    lines = [f"  migrate  {' '.join(found.migrate).splitlines()[0]} ({found.tool})"] if found.migrate else []
    lines += [f"  health   {' '.join(found.health)}"] if found.health else []
    lines += [f"  note     {note}" for note in found.notes]
    where = f", run in the image of {found.service}" if found.service else ""
    return ["", f"commands{where}:", *lines] if lines else []


def _show(answer: AdoptAnswer, *, prove: Path | None, as_json: bool) -> None:
    """What was found, and with `prove` what the first backup of that stack is worth; the exit code says it too."""
    from stratum.adapters.records import to_dict
    from stratum.cli.adopting_further import prove_adopted
    from stratum.cli.render import print_json
    from stratum.core.proof import Verdict

    if not as_json:
        print(_render(answer))
    proof = prove_adopted(prove, as_json=as_json) if prove is not None else None
    if proof is not None:
        answer = replace(answer, backup=proof.backup_id, verdict=proof.verdict.value)
    if as_json:
        print_json(to_dict(answer))
    elif proof is not None:
        print(f"backup {proof.backup_id}: {proof.verdict}")
    if proof is not None and proof.verdict is not Verdict.PROVEN:
        fail(ExitCode.AT_RISK if proof.verdict is Verdict.FAILED else ExitCode.COULD_NOT_VERIFY)


def _answer(found: adopt_wiring.Adopted, *, stack: str) -> AdoptAnswer:
    from stratum.adapters.messages import speak_risk
    from stratum.core.answers import AdoptAnswer

    return AdoptAnswer(
        stack=stack,
        database=found.database,
        written=tuple(map(str, found.written)),
        not_written=found.not_written,
        risks=tuple(map(speak_risk, found.risks)),
        commands=found.commands,
        next=found.next,
    )


def _render(answer: AdoptAnswer) -> str:
    lines = [f"wrote {path}" for path in answer.written]
    lines += [answer.not_written] if answer.not_written else []
    lines += ["", f"at risk today, in {answer.database}:"]
    lines += [line for risk in answer.risks for line in (f"  {risk.name}: {risk.statement}", f"    {risk.fix}")]
    lines += _commands(answer.commands)
    return "\n".join((*lines, "", "next:", *(f"  {step}" for step in answer.next)))
