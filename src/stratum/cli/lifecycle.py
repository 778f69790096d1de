"""init, up, stop, down, status: none of them can delete data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from stratum.cli.beginning import show_begun
from stratum.cli.services import render_console, render_receiver, render_service
from stratum.cli.session import (
    HERE,
    DryRunOption,
    IdentityOption,
    JsonOption,
    StackOption,
    carry_out,
    opened,
    reported,
    show_outcome,
    show_record,
)
from stratum.config import COMPOSE, DEFAULT_BACKUP_DIR, RUNTIMES
from stratum.core.errors import StratumError

ImageOption = Annotated[
    str | None,
    typer.Option(
        metavar="IMAGE",
        help="With Compose: the database's image, any official Debian one from 14 on; postgres:16-bookworm.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="With Compose: a directory for the data volume's files, instead of Docker's."),
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="PLACE", help="Take a stack up again: its archive, or s3:// and a copy of it."),
]


def init(
    directory: Annotated[Path, typer.Argument(help="Where the stack's files go.")] = HERE,
    name: Annotated[str | None, typer.Option(help="The stack's name; by default the directory's.")] = None,
    archive: Annotated[
        str | None,
        typer.Option(help="The archive, best on another disk; `archive`, or with Compose /opt/stratum_backups."),
    ] = None,
    console: Annotated[
        bool, typer.Option("--console/--no-console", help="Whether `stratum up` starts the web console as well.")
    ] = True,
    self_signed: Annotated[
        bool, typer.Option("--self-signed", help="With Compose: a certificate for a first try of nginx in front.")
    ] = False,
    runtime: Annotated[
        str, typer.Option(help="embedded: local processes, no Docker; compose: containers, by Docker Compose.")
    ] = "embedded",
    postgres_image: ImageOption = None,
    data_directory: DataOption = None,
    begin_from: FromOption = None,
    identity: IdentityOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lay down a new stack: settings, generated secrets, an empty archive; or with --from one that was lost."""
    from stratum import compose_init, wiring

    with reported(as_json=as_json):
        if begin_from is not None:
            show_begun(directory, begin_from, identity=identity, archive=archive, as_json=as_json)
            return
        stack = _stack_name(name, directory)
        of_compose = {"--postgres-image": postgres_image, "--data-directory": data_directory}
        _refuse_unfit_options(runtime, of_compose, console=console)
        if runtime == COMPOSE:
            written = compose_init.init_compose_stack(
                directory,
                name=stack,
                archive=archive or DEFAULT_BACKUP_DIR,
                console=console,
                self_signed=self_signed,
                database=compose_init.DatabasePlace(image=postgres_image, directory=data_directory),
            )
        else:
            written = wiring.init_stack(directory, name=stack, archive=archive or "archive", console=console)
        _show_written(written, directory, stack=stack, as_json=as_json)


def _show_written(written: Sequence[Path], directory: Path, *, stack: str, as_json: bool) -> None:
    paths = [str(path) for path in written]
    text = "\n".join((*(f"wrote {path}" for path in paths), f"next: stratum up --stack {directory}"))
    show_record({"format": 1, "stack": stack, "written": paths}, text, as_json=as_json)


def _stack_name(name: str | None, directory: Path) -> str:
    found = name or re.sub(r"[^a-z0-9_-]+", "-", directory.absolute().name.lower()).strip("-_") or "stack"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", found):
        problem = f"{found!r} is not made of 1 to 41 small letters, digits, - and _"
        raise StratumError("invalid-argument", argument="--name", problem=problem)
    return found


def _refuse_unfit_options(runtime: str, options: Mapping[str, object], *, console: bool) -> None:
    if runtime not in RUNTIMES:
        problem = f"{runtime!r} is not one of: {', '.join(RUNTIMES)}"
        raise StratumError("invalid-argument", argument="--runtime", problem=problem)
    if runtime == COMPOSE and not console:
        problem = "with Compose take backend and frontend out of compose.yaml, and set [console] enabled = false"
        raise StratumError("invalid-argument", argument="--no-console", problem=problem)
    for option, value in options.items():
        if value is not None and runtime != COMPOSE:
            raise StratumError("invalid-argument", argument=option, problem="it goes with --runtime compose")


def up(
    stack: StackOption = HERE,
    all_services: Annotated[bool, typer.Option("--all", help="With nginx in front (Compose only).")] = False,
    self_signed: Annotated[
        bool, typer.Option("--self-signed", help="With --all: make a certificate for a first try, where none is.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the cluster the first time, start it, refuse a look-alike, and start the console's services."""
    from stratum import wiring
    from stratum.engine.bring_up import bring_up
    from stratum.engine.deploy import deploy
    from stratum.rotation_wiring import forget_outlived_key

    profiles = ("nginx",) if all_services else ()
    if not dry_run:
        with reported(as_json=as_json):
            forget_outlived_key(stack)
    with opened(stack, as_json=as_json, dry_run=dry_run, profiles=profiles) as ports:
        project = ports.project
        if all_services and project:
            from stratum import compose_init

            compose_init.refuse_missing_certificate(stack, self_signed=self_signed)
        verb = (lambda: deploy(ports, project)) if project else (lambda: bring_up(ports))
        outcome = carry_out(ports, why="up", dry_run=dry_run, verb=verb)
        if not dry_run:
            wiring.keep_stack_files(stack)
        said = [outcome.facts.get("detail"), *map(render_service, ports.services.observe(ask=False))]
        if ports.project is None and not ports.services.planned():
            said.append("no console  `stratum agent`, kept running by the machine, receives WAL and keeps the schedule")
        if console := outcome.facts.get("console"):
            said.append(f"console   {console}")
        if outcome.facts.get("console_made"):
            said.append("its first administrator is made with a one-time token: see `stratum logs backend`")
        show_outcome(outcome, as_json=as_json, done="\n".join(map(str, said)))


def stop(stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """Stop the console's services and the database cleanly; the data stays."""
    _take_down(stack, as_json=as_json, remove=False)


def down(stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """Stop everything of the stack; the data stays."""
    _take_down(stack, as_json=as_json, remove=True)


def _take_down(stack: Path, *, as_json: bool, remove: bool) -> None:
    from stratum.engine.bring_up import take_down
    from stratum.engine.deploy import take_project_down
    from stratum.ports import RunState

    with opened(stack, as_json=as_json, profiles=("nginx",)) as ports:
        with ports.lock.hold(why="stop"):
            if ports.project is None:
                take_down(ports)
            else:
                take_project_down(ports.project, remove=remove)
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
        lines += [f"receiver  {render_receiver(found.receiver, ports.clock.now())}"] if found.receiver else []
        lines += map(render_service, found.services)
        lines += [line] if (line := render_console(found.services)) else []
        lines += [f"damaged   {name}" for name in found.broken_backups]
        lines += [f"foreign   {name} (in the archive, not Stratum's; never touched)" for name in found.foreign_files]
        lines += [f"cut short {plan}; the next command finishes it or takes it back" for plan in found.cut_plans]
        show_record(to_dict(found), "\n".join(lines), as_json=as_json)
