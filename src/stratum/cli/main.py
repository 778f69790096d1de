"""The `stratum` command: every verb, one line each."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from stratum import __version__
from stratum.adapters import leash
from stratum.adapters.signals import install_signal_handlers
from stratum.cli import (
    adopting,
    application,
    backups,
    copying,
    demonstration,
    deployment,
    guardrails,
    kit,
    lifecycle,
    notifying,
    protecting,
    rehearsing,
    releasing,
    restoring,
    rotating,
    services,
    upgrading,
)
from stratum.core.containers import INSIDE_ARCHIVE

app = typer.Typer(
    name="stratum",
    help="Runs an application made of containers and PostgreSQL, and proves that its data is safe.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
backups_app = typer.Typer(
    help="The catalogue: list, show, pin, unpin, export.", no_args_is_help=True, rich_markup_mode=None
)
identity_app = typer.Typer(
    help="The tripwire's record: show, check, accept.", no_args_is_help=True, rich_markup_mode=None
)

app.command("init")(lifecycle.init)
app.command("adopt")(adopting.adopt)
app.command("up")(lifecycle.up)
app.command("stop")(lifecycle.stop)
app.command("down")(lifecycle.down)
app.command("status")(lifecycle.status)
app.command("ps")(services.ps)
app.command("logs")(services.logs)
app.command("agent")(services.agent)
app.command("console-token")(services.console_token)
app.command("check")(guardrails.check)
app.command("backup")(backups.backup)
app.add_typer(backups_app, name="backups")
backups_app.command("list")(backups.list_backups)
backups_app.command("show")(backups.show)
backups_app.command("pin")(backups.pin)
backups_app.command("unpin")(backups.unpin)
backups_app.command("export")(backups.export)
app.command("verify")(backups.verify)
app.command("drill")(backups.drill)
app.command("restore")(restoring.restore)
app.command("prune")(backups.prune)
app.command("copies")(copying.copies)
app.command("kit")(kit.kit)
app.command("migrate")(application.migrate)
app.command("seed")(application.seed)
app.command("build")(deployment.build)
app.command("rehearse")(rehearsing.rehearse)
app.command("rehearsal-clone", hidden=True)(rehearsing.host_clone)
app.command("update")(deployment.update)
app.command("rollback")(deployment.rollback)
app.command("releases")(releasing.releases)
app.command("upgrade-postgres")(upgrading.upgrade_postgres)
app.command("rotate")(rotating.rotate)
app.command("shell")(deployment.shell)
app.command("undo-copy")(deployment.undo_copy)
app.command("protect")(protecting.protect)
app.command("restore-point")(protecting.restore_point)
app.command("destroy")(guardrails.destroy)
app.add_typer(identity_app, name="identity")
identity_app.command("show")(guardrails.identity_show)
identity_app.command("check")(guardrails.identity_check)
identity_app.command("accept")(guardrails.identity_accept)
app.command("notify")(notifying.notify)
app.command("demo")(demonstration.demo)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"stratum {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Runs an application made of containers and PostgreSQL, and proves that its data is safe."""


def main() -> None:
    """The entry point of the `stratum` script."""
    install_signal_handlers()
    if tied := os.environ.get(leash.VARIABLE):
        leash.obey(Path(INSIDE_ARCHIVE), tied)
    for stream in (sys.stdout, sys.stderr):
        # A name or a message the terminal's encoding lacks is shown escaped; it never ends a command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(app())
