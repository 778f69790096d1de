"""Verbs that work inside a container end with the command on the host, however that ends, and leave no lock behind."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fixtures.database_stacks import ROWS, DatabaseStack
from tests.fixtures.stacks import wait_until

_STRATUM = str(Path(sys.executable).with_name("stratum"))
_NAMED = "SET application_name = 'holding'"
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.fixture
def stack(filled_database_stack: DatabaseStack) -> Iterator[DatabaseStack]:
    """The module's stack, with every row and a backup before and after."""
    yield filled_database_stack
    assert filled_database_stack.sql("SELECT count(*) FROM orders") == str(ROWS)
    filled_database_stack.done("backup")


@contextmanager
def _held(stack: DatabaseStack) -> Iterator[None]:
    """Whoever wants to read the rows has to wait while the block runs."""
    argv = ("docker", "exec", "--user=postgres", f"{stack.name}-postgres", "psql", "-X", "-U", "stratum", "stratum_db",
            "-c", _NAMED, "-c", "BEGIN; LOCK TABLE orders; SELECT pg_sleep(600)")  # fmt: skip
    with subprocess.Popen(argv, env=dict(stack.docker.environment), stderr=subprocess.DEVNULL) as holding:
        try:
            yield
        finally:
            stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holding'")
            holding.wait()


@contextmanager
def _started(stack: DatabaseStack, *words: str) -> Iterator[subprocess.Popen[str]]:
    argv = (_STRATUM, *words, "--stack", str(stack.directory))
    environment = {**stack.docker.environment, "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def _works_inside(stack: DatabaseStack, verb: str) -> bool:
    return f"bin/stratum {verb}" in stack.docker.ask("top", f"{stack.name}-backup")


def _waits_for_rows(stack: DatabaseStack) -> bool:
    return stack.sql(_WAITING, user="postgres") != "0"


def _partial(stack: DatabaseStack) -> list[Path]:
    return [path for path in (stack.directory.parent / "archive" / "dumps").iterdir() if "partial" in path.name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_host_takes_back_what_is_done_inside_and_says_so(
    stack: DatabaseStack, number: signal.Signals
) -> None:
    with _held(stack), _started(stack, "backup") as running:
        wait_until(lambda: _waits_for_rows(stack))

        running.send_signal(number)
        _, said = running.communicate(timeout=120)

        assert running.returncode == 1
        assert "error[interrupted]" in said
        assert not _works_inside(stack, "backup")
    assert _partial(stack) == []


def test_a_killed_host_takes_with_it_what_is_done_inside(stack: DatabaseStack) -> None:
    with _held(stack), _started(stack, "backup") as running:
        wait_until(lambda: _waits_for_rows(stack))
        assert _works_inside(stack, "backup")

        running.kill()

        wait_until(lambda: not _works_inside(stack, "backup"))
    assert _partial(stack) == []


def test_a_second_verb_is_refused_while_the_first_works_inside(stack: DatabaseStack) -> None:
    with _held(stack), _started(stack, "backup") as running:
        wait_until(lambda: _waits_for_rows(stack))

        assert stack.refusal("backup")["code"] == "locked"
        assert stack.refusal("up")["code"] == "locked"

        running.terminate()
        running.communicate(timeout=120)


def test_a_question_that_nobody_is_left_to_answer_holds_no_lock(stack: DatabaseStack) -> None:
    """As when the connection to the machine breaks off with a restore waiting for its confirmation."""
    person, terminal = pty.openpty()
    argv = (_STRATUM, "restore", "--stack", str(stack.directory))
    environment = {**stack.docker.environment, "LC_ALL": "C.UTF-8", "TERM": "dumb"}
    with subprocess.Popen(argv, env=environment, stdin=terminal, stdout=terminal, stderr=terminal) as running:
        os.close(terminal)
        shown = b""
        while b"anything else to leave all as it is" not in shown:
            shown += os.read(person, 4096)
        assert _works_inside(stack, "restore")

        running.kill()

        wait_until(lambda: not _works_inside(stack, "restore"))
    os.close(person)
