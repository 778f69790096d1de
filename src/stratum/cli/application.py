"""migrate, seed: the application's own commands, under the lock and behind the tripwire."""

from __future__ import annotations

from pathlib import Path

from stratum.cli.session import HERE, DryRunOption, JsonOption, StackOption, carry_out, opened, show_outcome


def migrate(stack: StackOption = HERE, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Run the application's migrations."""
    _run("migrate", stack, dry_run=dry_run, as_json=as_json)


def seed(stack: StackOption = HERE, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Load the application's first data."""
    _run("seed", stack, dry_run=dry_run, as_json=as_json)


def _run(command: str, stack: Path, *, dry_run: bool, as_json: bool) -> None:
    from stratum.engine.run_command import run_command

    with opened(stack, as_json=as_json, dry_run=dry_run) as ports:
        outcome = carry_out(ports, why=command, dry_run=dry_run, verb=lambda: run_command(ports, command))
        show_outcome(outcome, as_json=as_json, done=f"{command} is done")
