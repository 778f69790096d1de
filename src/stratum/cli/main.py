"""The `stratum` command: every verb, one line each."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from stratum import __version__
from stratum.adapters.signals import install_signal_handlers
from stratum.cli import application, backups, demonstration, guardrails, lifecycle, notifying, restoring, services

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
identity_app = typer.Typer(help="The tripwire's record: show, accept.", no_args_is_help=True, rich_markup_mode=None)

app.command("init")(lifecycle.init)
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
app.command("migrate")(application.migrate)
app.command("seed")(application.seed)
app.command("destroy")(guardrails.destroy)
app.add_typer(identity_app, name="identity")
identity_app.command("show")(guardrails.identity_show)
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
    for stream in (sys.stdout, sys.stderr):
        # A name or a message the terminal's encoding lacks is shown escaped; it never ends a command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(app())
