"""The seed's short version, typed with make on a real Docker Engine, and a dump of its own script brought back."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.compose_stacks import ROWS, ComposeStack, ComposeStacks

_STRATUM = str(Path(sys.executable).with_name("stratum"))
_PATIENCE_S = 300


@pytest.fixture(scope="module")
def stack(compose_stacks: ComposeStacks) -> Iterator[ComposeStack]:
    """Laid down, with its images, and then nothing but make."""
    with compose_stacks.made(what="seed") as made:
        _make(made, "up")
        made.fill()
        yield made


def test_after_make_up_the_api_and_the_pages_answer_on_the_ports_of_the_settings(stack: ComposeStack) -> None:
    backend, frontend = stack.variable("BACKEND_PORT"), stack.variable("FRONTEND_PORT")

    assert _status(f"http://localhost:{backend}/api/v1/", method="HEAD") == 200
    assert _status(f"http://localhost:{frontend}/") == 200


def test_the_console_is_migrated_at_its_start_and_make_migrate_and_make_seed_may_be_typed_again(
    stack: ComposeStack,
) -> None:
    assert stack.sql("SELECT count(*) FROM alembic_version", database="stratum_console") == "1"

    assert "migrate is done" in _make(stack, "migrate")
    assert "seed is done" in _make(stack, "seed")


def test_ps_logs_and_status_tell_of_the_running_stack(stack: ComposeStack) -> None:
    assert "backend   running on http://127.0.0.1:" in _make(stack, "ps")
    assert "database system is ready to accept connections" in _make(stack, "logs", "SERVICE=postgres")
    assert "Application startup complete" in _make(stack, "logs", "SERVICE=backend")
    assert stack.name in _make(stack, "status")


def test_a_backup_of_make_is_proven_by_make_and_stands_on_the_checklist(stack: ComposeStack) -> None:
    assert "rows" in _make(stack, "backup")
    assert ": proven;" in _make(stack, "drill")

    said = _make(stack, "check", ends_with=2)
    for line in ("recent-backup", "backup-size", "backup-proven", "dumps-readable", "volume-held", "env-private"):
        assert f"      ok  {line}:" in said


def test_a_dump_that_the_seeds_own_script_made_is_brought_back_by_make_restore(stack: ComposeStack) -> None:
    dump = stack.directory / "stratum_2025-10-05_01-00.dump"
    seed = f"docker compose exec -T postgres pg_dump -U stratum -d stratum_db -Fc > '{dump}'"
    subprocess.run(("sh", "-c", seed), cwd=stack.directory, env=_environment(stack), check=True, timeout=_PATIENCE_S)
    stack.sql("DELETE FROM orders WHERE id > 10")

    said = _typed(stack, "restore", f"FILE={dump}", answer=stack.name)

    assert stack.rows() == ROWS, said
    assert "10 rows now" in said
    assert f"{ROWS} after" in said


def test_a_container_that_is_killed_takes_no_acknowledged_row_with_it(stack: ComposeStack) -> None:
    stack.sql("INSERT INTO orders VALUES (2001, 'acknowledged')")

    stack.docker.ask("kill", stack.container("postgres").name)
    _make(stack, "up")

    assert stack.sql("SELECT item FROM orders WHERE id = 2001") == "acknowledged"


def test_stop_and_down_of_make_leave_the_data_where_it_is(stack: ComposeStack) -> None:
    before = stack.rows()

    assert "the data stays" in _make(stack, "stop")
    assert "the data stays" in _make(stack, "down")
    _make(stack, "up")

    assert stack.rows() == before


def test_each_target_of_the_seed_is_one_call_of_the_command_line(stack: ComposeStack) -> None:
    calls = {
        "build": "build",
        "up": "up",
        "up-all": "up --all",
        "stop": "stop",
        "down": "down",
        "logs": "logs",
        "ps": "ps",
        "migrate": "migrate",
        "seed": "seed",
        "update": "update",
        "backup": "backup",
        "restore": "restore",
        "shell-backend": "shell backend",
        "shell-db": "shell db",
        "check": "check",
        "drill": "drill",
        "rollback": "rollback",
        "status": "status",
    }
    typed = {target: _make(stack, "--dry-run", target).split(maxsplit=1)[1].strip() for target in calls}

    assert typed == calls


def _make(stack: ComposeStack, *arguments: str, ends_with: int = 0) -> str:
    done = subprocess.run(
        ("make", f"STRATUM={_STRATUM}", *arguments), cwd=stack.directory, env=_environment(stack),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == ends_with, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def _typed(stack: ComposeStack, *arguments: str, answer: str) -> str:
    """What a terminal shows on which make is typed and then, when it asks, the answer."""
    person, terminal = pty.openpty()
    running = subprocess.Popen(
        ("make", f"STRATUM={_STRATUM}", *arguments), cwd=stack.directory, env=_environment(stack),
        stdin=terminal, stdout=terminal, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    shown = ""
    try:
        for part in _shown(person):
            shown += part
            if "anything else to leave all as it is" in part:
                os.write(person, f"{answer}\n".encode())
        assert running.wait(timeout=_PATIENCE_S) == 0, shown
    finally:
        running.kill()
        running.wait()
        os.close(person)
    return shown


def _shown(person: int) -> Iterator[str]:
    """Line by line as it comes, the last without its end; until the other side hangs up."""
    line = b""
    while True:
        try:
            found = os.read(person, 4096)
        except OSError:
            return
        line += found
        *whole, line = line.split(b"\n")
        yield from (one.decode(errors="replace") + "\n" for one in whole)
        if line.rstrip().endswith(b":"):
            yield line.decode(errors="replace")
            line = b""


def _environment(stack: ComposeStack) -> dict[str, str]:
    return {**stack.docker.environment, "LC_ALL": "C.UTF-8", "LANGUAGE": "", "TERM": "dumb"}


def _status(address: str, *, method: str = "GET") -> int:
    with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=30) as answer:  # noqa: S310 - of a test's own stack
        return int(answer.status)
