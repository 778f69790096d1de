"""A day with the stack on Docker: first start, stop and start, backup, drill, restore and back, and its passwords."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from stratum.adapters.env_file import replace_variable
from tests.fixtures.compose_stacks import ROWS, ComposeStack, ComposeStacks
from tests.fixtures.consoles import PASSWORD
from tests.fixtures.stacks import wait_until

_SERVICES = {"postgres", "guard", "backup", "backend", "frontend"}
_RUNNING = _SERVICES - {"guard"}


@pytest.fixture(scope="module")
def running(compose_stacks: ComposeStacks) -> Iterator[ComposeStack]:
    with compose_stacks.started() as stack:
        yield stack


@pytest.fixture
def stack(running: ComposeStack) -> ComposeStack:
    """The module's stack with all its services up and all rows there, however the scenario before left it."""
    if {service for service, state in running.states().items() if state == "running"} != _RUNNING:
        running.stratum("up")
    assert running.rows() == ROWS
    return running


# --- starting and stopping --------------------------------------------------------------------------------------------


def _containers(stack: ComposeStack) -> dict[str, str]:
    listed = stack.by_hand("ps", "--all", "--format", "json")
    return {one["Service"]: one["ID"] for one in map(json.loads, listed.splitlines())}


def test_up_on_a_running_stack_changes_nothing(stack: ComposeStack) -> None:
    before = _containers(stack)

    stack.stratum("up")

    after = _containers(stack)
    assert set(after) == _SERVICES
    assert {name: before[name] for name in _RUNNING} == {name: after[name] for name in _RUNNING}


def test_every_container_ends_well_when_asked_to_stop(stack: ComposeStack) -> None:
    stack.stratum("stop")

    ends = {service: stack.container(service).inspect()["State"] for service in _RUNNING}
    assert {service: (end["ExitCode"], end["OOMKilled"]) for service, end in ends.items()} == dict.fromkeys(
        _RUNNING, (0, False)
    )
    assert stack.holder.is_running()

    stack.stratum("up")
    assert stack.rows() == ROWS


def test_down_takes_the_containers_and_up_brings_back_every_row(stack: ComposeStack) -> None:
    said = stack.stratum("down")

    assert "the data stays" in said
    assert stack.states() == {}
    stack.stratum("up")
    assert stack.rows() == ROWS


def test_ps_status_and_logs_answer_with_and_without_containers(stack: ComposeStack) -> None:
    assert "backend" in stack.stratum("ps")
    assert "running" in stack.stratum("status")
    assert stack.stratum("logs", "backend").strip()
    assert "ready to accept connections" in stack.stratum("logs", "postgres")

    stack.stratum("down")

    assert stack.answer("status")["database"] == "stopped"
    assert {one["phase"] for one in stack.answer("ps")["services"]} == {"stopped"}
    assert stack.cli("logs", "backend").returncode == 0
    assert stack.refusal("backup") == "backup-service-away"


# --- backup, drill, restore -------------------------------------------------------------------------------------------


def _backup(stack: ComposeStack) -> str:
    return str(stack.answer("backup")["facts"]["backup_id"])


def test_a_proven_backup_brings_deleted_rows_back_and_the_restore_is_undone(stack: ComposeStack) -> None:
    backup = _backup(stack)
    assert stack.answer("drill", backup)["verdict"] == "proven"
    stack.sql("DELETE FROM orders WHERE id > 10")

    stack.stratum("restore", "--confirm", stack.name)
    assert stack.rows() == ROWS

    stack.stratum("restore", "--undo", "--confirm", stack.name)
    assert stack.rows() == 10
    stack.stratum("restore", "--undo", "--confirm", stack.name)
    assert stack.rows() == ROWS


def test_a_restore_that_is_not_confirmed_leaves_all_as_it_is(stack: ComposeStack) -> None:
    _backup(stack)
    databases = stack.sql("SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database")

    assert stack.refusal("restore") == "confirmation-needed"
    assert stack.refusal("restore", "--confirm", "another") == "declined"

    assert stack.rows() == ROWS
    assert stack.sql("SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database") == databases


def test_what_host_and_container_leave_in_the_archive_belongs_to_its_owner_and_to_nobody_else(
    stack: ComposeStack,
) -> None:
    """The host writes as root here, and the journal's and the lock's files are written from both sides."""
    _backup(stack)
    stack.stratum("up")

    owner = stack.archive.stat()
    for path in (stack.archive, *stack.archive.rglob("*")):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (owner.st_uid, owner.st_gid), path
        assert found.st_mode & stat.S_IRUSR, path
        assert found.st_mode & stat.S_IWUSR, path
        assert not path.is_dir() or not found.st_mode & stat.S_IRWXO, path


def test_a_backup_ordered_from_the_console_is_taken_by_the_agent(stack: ComposeStack) -> None:
    before = {backup["id"] for backup in stack.answer("backups", "list")["backups"]}
    address = f"http://127.0.0.1:{stack.variable('BACKEND_PORT')}/api/v1"
    token = re.findall(r"one-time token: (\S+)", stack.stratum("logs", "backend", "--lines", "500"))[-1]
    order = {"token": token, "name": "ada", "password": PASSWORD}
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as console:
        signed_in = console.post("/auth/first-run", json=order).raise_for_status().json()
        console.headers["Authorization"] = f"Bearer {signed_in['access_token']}"

        job = console.post("/backups", json={}).raise_for_status().json()["id"]
        wait_until(lambda: console.get(f"/jobs/{job}").raise_for_status().json()["ended_at"] is not None)

    (taken,) = {backup["id"] for backup in stack.answer("backups", "list")["backups"]} - before
    assert stack.answer("drill", taken)["verdict"] == "proven"


# --- passwords --------------------------------------------------------------------------------------------------------

_AWKWARD = 'a$b ${HOME} "d" `e` \\f #g é✓ %h'


def _quoted(value: str) -> str:
    return f"'{value}'"


def test_passwords_changed_in_env_are_in_force_everywhere_after_up(stack: ComposeStack) -> None:
    names = ("POSTGRES_PASSWORD", "BACKUP_PASSWORD", "POSTGRES_SUPERUSER_PASSWORD", "CONSOLE_PASSWORD")
    for name in names:
        replace_variable(stack.env_file, name, _quoted(_AWKWARD))
    assert {stack.variable(name) for name in names} == {_AWKWARD}

    stack.stratum("up")

    for role in ("stratum", "stratum_backup", "postgres"):
        assert _signs_in(stack, role, _AWKWARD), role
        assert not _signs_in(stack, role, "another"), role
    assert stack.answer("drill", _backup(stack))["verdict"] == "proven"
    assert stack.container("backend").succeeds(
        "stratum-container", "health", "http://127.0.0.1:4001/api/v1/health/ready"
    )
    assert stack.rows() == ROWS


def test_a_rotation_gives_containers_new_secrets_and_one_that_is_cut_is_finished(stack: ComposeStack) -> None:
    names = ("POSTGRES_PASSWORD", "BACKUP_PASSWORD", "POSTGRES_SUPERUSER_PASSWORD", "CONSOLE_PASSWORD", "JWT_SECRET")
    before = {name: stack.variable(name) for name in names}
    database = stack.container("postgres").inspect()["State"]["StartedAt"]

    answer = stack.answer("rotate")

    assert set(answer["facts"]["proven"]) == {*_ROLES, "stratum_console", "stratum_replication"}
    after = {name: stack.variable(name) for name in names}
    assert all(after[name] != before[name] for name in names)
    assert stack.variable("JWT_SECRET_PREVIOUS") == before["JWT_SECRET"]
    _assert_signs_in(stack, after, but_not=before)

    _cut_rotation(stack, "before:7")
    stack.stratum("up")

    found = {name: stack.variable(name) for name in names}
    assert {name for name in names if found[name] != after[name]} == set(names) - {"JWT_SECRET"}
    _assert_signs_in(stack, found, but_not=after)
    assert not (stack.directory / ".rotation").exists()
    # Nobody who was connected lost their connection.
    assert stack.container("postgres").inspect()["State"]["StartedAt"] == database
    assert stack.rows() == ROWS


_ROLES = {
    "stratum": "POSTGRES_PASSWORD",
    "stratum_backup": "BACKUP_PASSWORD",
    "postgres": "POSTGRES_SUPERUSER_PASSWORD",
}


def _assert_signs_in(stack: ComposeStack, found: dict[str, str | None], *, but_not: dict[str, str | None]) -> None:
    for role, name in _ROLES.items():
        assert _signs_in(stack, role, str(found[name])), role
        assert not _signs_in(stack, role, str(but_not[name])), role
    assert stack.container("backend").succeeds(
        "stratum-container", "health", "http://127.0.0.1:4001/api/v1/health/ready"
    )


def _cut_rotation(stack: ComposeStack, moment: str) -> None:
    argv = (sys.executable, "-m", "tests.fixtures.cut_child", str(stack.directory), "rotate", moment)
    told = {**os.environ, **stack.docker.environment}
    ended = subprocess.run(argv, env=told, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]


def _signs_in(stack: ComposeStack, role: str, password: str) -> bool:
    """Over the network: the socket inside asks for no password."""
    argv = ("exec", "--env", f"PGPASSWORD={password}", f"{stack.name}-backup", "psql", "-X", "-h", "postgres",
            "-U", role, "-d", "stratum_db", "-c", "SELECT 1")  # fmt: skip
    return stack.docker.run(*argv).returncode == 0


# --- plain dump files -------------------------------------------------------------------------------------------------


@pytest.fixture
def plain_dump(stack: ComposeStack) -> Path:
    """Made by the line of the script that people have in their crontab, for nobody else to read."""
    dump = _dump(stack, stack.directory.parent / "stratum_2025-10-05_01-00.dump")
    dump.chmod(0o600)
    return dump


def _dump(stack: ComposeStack, file: Path) -> Path:
    argv = ("docker", "compose", "exec", "-T", "postgres", "pg_dump", "-U", "stratum", "-d", "stratum_db", "-Fc")
    with file.open("wb") as stream:
        subprocess.run(argv, cwd=stack.directory, env=dict(stack.docker.environment), stdout=stream, check=True)
    return file


def test_a_plain_dump_from_anywhere_is_restored(stack: ComposeStack, plain_dump: Path) -> None:
    stack.sql("DELETE FROM orders")

    stack.stratum("restore", "--file", str(plain_dump), "--confirm", stack.name)

    assert stack.rows() == ROWS


def test_a_plain_dump_in_the_archives_directory_is_restored(stack: ComposeStack) -> None:
    dump = _dump(stack, stack.archive / "stratum_2025-10-06_01-00.dump")
    stack.sql("DELETE FROM orders")

    stack.stratum("restore", "--file", str(dump), "--confirm", stack.name)

    assert stack.rows() == ROWS
    dump.unlink()


def test_a_truncated_dump_is_refused_and_nothing_is_changed(stack: ComposeStack, plain_dump: Path) -> None:
    os.truncate(plain_dump, plain_dump.stat().st_size * 2 // 3)
    backups = stack.answer("backups", "list")["backups"]
    databases = stack.sql("SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database")

    assert stack.refusal("restore", "--file", str(plain_dump), "--confirm", stack.name) == "dump-unreadable"

    assert stack.answer("backups", "list")["backups"] == backups
    assert stack.sql("SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database") == databases
    assert stack.rows() == ROWS
