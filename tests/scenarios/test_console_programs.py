"""The console's real programs: each is told what it needs and no more, and is found again after any kill."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from stratum.adapters.service_record import Supervision, SupervisionFiles
from stratum.config import load_settings
from tests.fixtures.consoles import ConsoleStack
from tests.fixtures.stacks import wait_until

_SECRETS = (
    "POSTGRES_PASSWORD",
    "POSTGRES_SUPERUSER_PASSWORD",
    "BACKUP_PASSWORD",
    "REPLICATION_PASSWORD",
    "CONSOLE_PASSWORD",
    "JWT_SECRET",
)
_TOLD = {"agent": set[str](), "backend": {"CONSOLE_PASSWORD", "JWT_SECRET"}, "frontend": set[str]()}


def _supervision(console: ConsoleStack) -> Supervision:
    found = SupervisionFiles(directory=console.stack.directory / ".stratum").read()
    assert found is not None
    return found


def test_each_program_is_told_the_secrets_it_needs_and_no_other(console_stack: ConsoleStack) -> None:
    settings = load_settings(console_stack.stack.directory)
    secrets = {name: settings.value(name).encode() for name in _SECRETS}

    for service in _supervision(console_stack).services:
        told = Path(f"/proc/{service.pid}/environ").read_bytes()
        typed = Path(f"/proc/{service.pid}/cmdline").read_bytes()
        assert {name for name, secret in secrets.items() if secret in told} == _TOLD[service.name]
        assert [name for name, secret in secrets.items() if secret in typed] == []


def test_no_log_and_no_record_holds_a_secret(console_stack: ConsoleStack) -> None:
    settings = load_settings(console_stack.stack.directory)
    home = console_stack.stack.directory / ".stratum"
    files = [*(home / "logs").iterdir(), *(p for p in (home / "run").iterdir() if p.is_file())]

    assert len(files) >= 6
    for name in _SECRETS:
        secret = settings.value(name).encode()
        assert [file.name for file in files if secret in file.read_bytes()] == []


def test_all_that_was_killed_at_once_is_brought_up_again(console_stack: ConsoleStack) -> None:
    access = console_stack.sign_up()
    before = _supervision(console_stack)
    os.kill(before.supervisor, signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{service.pid}").exists() for service in before.services))
    console_stack.stack.kill()

    up = console_stack.stack.cli("up")

    assert up.returncode == 0, up.stderr
    assert console_stack.api("GET", "/auth/me", token=access)["name"] == "ada"


def test_restoring_the_console_signs_everybody_out_and_lets_them_in_again(console_stack: ConsoleStack) -> None:
    console_stack.sign_up()
    assert console_stack.stack.cli("backup").returncode == 0
    done = console_stack.stack.cli("restore", "--database", "stratum_console", "--confirm", "led")
    assert done.returncode == 0, done.stderr
    assert console_stack.stack.cli("up").returncode == 0

    sessions = "SELECT count(*) FROM users"
    assert console_stack.stack.scalar(sessions, database="stratum_console") == 1
    assert console_stack.stack.ports().archive.token_epoch() == 3, "made once, replaced once"
