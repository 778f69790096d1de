"""Ctrl-C and SIGTERM in every phase of backup, drill and restore: taken back, said in three parts, nothing runs on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from stratum.core.plan import PlanEnd
from tests.fixtures.cut_stacks import CutStack, strangers
from tests.fixtures.stacks import DATABASE, StackUnderTest, wait_until

GATE = """
CREATE TABLE gate (id int);
INSERT INTO gate VALUES (1);
CREATE FUNCTION waits(id int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') = 'stratum' THEN PERFORM pg_sleep(600); END IF;
    RETURN id;
END $$;
CREATE INDEX gate_waits ON gate (waits(id));
"""
"""A dump of this takes ten minutes to restore: its index is built by a tool that calls itself stratum."""

LOOKING, DUMPING, RESTORING, ASKING_THE_SMOKE, SWAPPING = (
    "looking", "dumping", "restoring", "asking the smoke questions", "swapping",
)  # fmt: skip


PHASES = (
    ("backup", LOOKING, signal.SIGINT),
    ("backup", DUMPING, signal.SIGTERM),
    ("drill", RESTORING, signal.SIGINT),
    ("drill", ASKING_THE_SMOKE, signal.SIGTERM),
    ("restore", RESTORING, signal.SIGTERM),
    ("restore", SWAPPING, signal.SIGINT),
)
OTHER = {signal.SIGINT: signal.SIGTERM, signal.SIGTERM: signal.SIGINT}


@pytest.mark.parametrize(
    ("verb", "phase", "number"),
    [
        *PHASES,
        *(pytest.param(verb, phase, OTHER[number], marks=pytest.mark.torture) for verb, phase, number in PHASES),
    ],
)
def test_an_interrupted_verb_takes_itself_back_and_says_so(
    cut_stack: CutStack, verb: str, phase: str, number: signal.Signals
) -> None:
    stack = cut_stack.stack
    _prepare(stack, phase)
    before, mark = cut_stack.notes(), cut_stack.write_mark()
    backups = stack.ports().archive.manifests()
    with ExitStack() as holds:
        let_go = holds.enter_context(_held_in(stack, phase))
        child = holds.enter_context(_command(stack, verb))
        wait_until(lambda: bool(_is_in(stack, phase)) or child.poll() is not None)
        seen = _is_in(stack, phase)
        child.send_signal(number)
        wait_until(lambda: _is_in(stack, phase) != seen or child.poll() is not None)
        let_go()
        said, errors = child.communicate(timeout=60)
    assert child.returncode == 1, (said, errors)
    error = json.loads(said)["error"]
    assert error["code"] == "interrupted"
    assert all(error[part] for part in ("message", "data", "next"))
    assert cut_stack.notes() == [*before, mark]
    assert stack.ports().archive.manifests() == backups
    assert phase == LOOKING or cut_stack.entries()[-1].end is PlanEnd.COMPENSATED
    assert strangers(stack) == []
    cut_stack.assert_nothing_is_left_over()


def test_a_killed_drill_leaves_no_server_running(cut_stack: CutStack) -> None:
    """SIGKILL leaves no chance to end a child: the kernel does it."""
    _prepare(cut_stack.stack, RESTORING)
    with _command(cut_stack.stack, "drill") as child:
        wait_until(lambda: bool(_is_in(cut_stack.stack, RESTORING)) or child.poll() is not None)
        child.kill()
    wait_until(lambda: strangers(cut_stack.stack) == [])
    cut_stack.recover()
    cut_stack.assert_nothing_is_left_over()


def _prepare(stack: StackUnderTest, phase: str) -> None:
    if phase == RESTORING:
        stack.execute(*(part for part in GATE.strip().split(";\n") if part.startswith(("CREATE T", "INSERT"))))
        stack.execute(GATE[GATE.index("CREATE FUNCTION") :])
        stack.backup()
    if phase == ASKING_THE_SMOKE:
        file = stack.directory / "stratum.toml"
        file.write_text(file.read_text().replace("smoke_sql = []", 'smoke_sql = ["SELECT pg_sleep(600)"]'))


@contextmanager
def _command(stack: StackUnderTest, verb: str) -> Iterator[subprocess.Popen[str]]:
    confirm = ("--confirm", "led") if verb == "restore" else ()
    argv = (str(Path(sys.executable).with_name("stratum")), verb, "--json", *confirm)
    env = os.environ | {"LC_ALL": "C.UTF-8", "LANGUAGE": ""}
    child = subprocess.Popen(
        argv, cwd=stack.directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


@contextmanager
def _held_in(stack: StackUnderTest, phase: str) -> Iterator[Callable[[], None]]:
    """A lock that the phase waits for, and the way to let go of it."""
    locks = {
        LOOKING: ("LOCK TABLE book IN ACCESS EXCLUSIVE MODE", DATABASE),
        # A partitioned table has no rows of its own to count, but pg_dump locks it.
        DUMPING: ("LOCK TABLE ONLY events IN ACCESS EXCLUSIVE MODE", DATABASE),
        SWAPPING: (f"ALTER DATABASE {DATABASE} CONNECTION LIMIT -1", "postgres"),
    }
    if phase not in locks:
        yield lambda: None
        return
    statement, database = locks[phase]
    with psycopg.connect(stack.conninfo(database=database)) as holder:
        holder.execute(statement.encode())
        yield holder.rollback


def _is_in(stack: StackUnderTest, phase: str) -> frozenset[str]:
    """Who is held in the phase, and since when; nobody when it has not come to it, or is past it."""
    if phase in {RESTORING, ASKING_THE_SMOKE}:
        title = {RESTORING: "CREATE INDEX", ASKING_THE_SMOKE: "SELECT"}[phase]
        return frozenset(words for words in _server_processes(stack) if title in words)
    begins = {LOOKING: "", DUMPING: "LOCK TABLE", SWAPPING: "ALTER DATABASE"}[phase]
    waiting = stack.rows(
        "SELECT query, pid, query_start FROM pg_stat_activity "
        "WHERE application_name = 'stratum' AND wait_event_type = 'Lock'",
        database="postgres",
    )
    return frozenset(f"{pid} {since}" for query, pid, since in waiting if query.strip().startswith(begins))


def _server_processes(stack: StackUnderTest) -> list[str]:
    """The titles that PostgreSQL's processes give themselves, of servers in this stack's directory."""
    titles = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str((process / "cwd").readlink()).startswith(f"{stack.directory}/"):
                titles.append((process / "cmdline").read_bytes().decode(errors="replace"))
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
    return [title for title in titles if title.startswith("postgres:")]
