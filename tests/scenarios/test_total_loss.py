"""Total loss: the data directory gone or damaged, even the stack's own files gone, with only the archive left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from stratum.core.errors import StratumError
from stratum.ports import RunState
from tests.fixtures.stacks import DATABASE, OWNER, Asked, StackUnderTest, fill, use_free_port


def _is_back(stack: StackUnderTest) -> None:
    assert stack.scalar("SELECT count(*) FROM orders") == 200
    with stack.connect(user=OWNER) as connection:
        connection.execute("INSERT INTO accounts (holder, balance) VALUES ('and goes on', 1)")
    assert stack.cli("backup").returncode == 0
    assert stack.drill().verdict == "proven"


def test_a_data_directory_deleted_while_the_server_runs_comes_back(stack: StackUnderTest) -> None:
    pid = int((stack.data / "postmaster.pid").read_text().splitlines()[0])
    shutil.rmtree(stack.data)
    with pytest.raises(StratumError) as refused:
        stack.up()
    assert (refused.value.code, refused.value.exit) == ("cluster-absent", 10)
    assert not stack.data.exists(), "a new cluster was made where one was lost"
    stack.restore()
    _is_back(stack)
    assert not _runs(pid), "the server of the lost directory still runs"


def test_a_data_directory_emptied_while_the_server_runs_comes_back(stack: StackUnderTest) -> None:
    pid = int((stack.data / "postmaster.pid").read_text().splitlines()[0])
    for path in stack.data.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    stack.restore()
    _is_back(stack)
    assert not _runs(pid), "the server of the lost files still runs"


def test_a_data_directory_deleted_while_stopped_comes_back(stopped_stack: StackUnderTest) -> None:
    shutil.rmtree(stopped_stack.data)
    outcome = stopped_stack.restore()
    assert "there is no cluster to restore into: a new one is made" in outcome.plan.notes
    _is_back(stopped_stack)


def test_a_declined_rebuild_leaves_the_loss_as_it_was(stopped_stack: StackUnderTest) -> None:
    shutil.rmtree(stopped_stack.data)
    with pytest.raises(StratumError) as declined:
        stopped_stack.restore(asked=Asked(answer=False))
    assert declined.value.code == "declined"
    assert stopped_stack.ports().runtime.observe().state is RunState.ABSENT
    stopped_stack.restore()
    _is_back(stopped_stack)


@pytest.mark.parametrize("lost", ["PG_VERSION", "global/pg_control", "pg_wal"])
def test_a_damaged_data_directory_is_kept_aside_whole(stopped_stack: StackUnderTest, lost: str) -> None:
    stack = stopped_stack
    path = stack.data / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    (stack.data / "a person's note").write_text("look here first")
    stack.restore()
    assert stack.scalar("SELECT count(*) FROM orders") == 200
    (kept,) = (stack.directory / ".stratum" / "kept").iterdir()
    assert (kept / "a person's note").read_text() == "look here first"
    assert (kept / "base").is_dir()


def test_damage_under_a_running_server_ends_that_server_before_another_takes_over(stack: StackUnderTest) -> None:
    pid = int((stack.data / "postmaster.pid").read_text().splitlines()[0])
    (stack.data / "PG_VERSION").unlink()
    shutil.rmtree(stack.data / "global")
    stack.restore()
    _is_back(stack)
    assert not _runs(pid)


def test_only_the_archive_is_left(stopped_stack: StackUnderTest, empty_place: StackUnderTest) -> None:
    survivor = empty_place.directory.parent / "survivor"
    shutil.move(stopped_stack.archive, survivor)
    shutil.rmtree(stopped_stack.directory)
    new = StackUnderTest(directory=empty_place.directory)
    new.directory.mkdir()
    said = new.cli("init", ".", "--name", "led", "--archive", str(survivor), "--no-console")
    assert said.returncode == 0, said.stderr
    use_free_port(new.directory)
    refused = new.cli("up")
    assert (refused.returncode, "error[cluster-absent]" in refused.stderr) == (10, True)
    done = new.cli("restore", "--confirm", "led")
    assert done.returncode == 0, done.stderr
    assert new.cli("up").returncode == 0
    _is_back(new)
    assert new.scalar(f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{DATABASE}'") == OWNER


def test_an_archive_of_another_stack_is_not_taken_up(filled_stack: StackUnderTest, empty_place: StackUnderTest) -> None:
    empty_place.directory.mkdir()
    said = empty_place.cli("init", ".", "--name", "other", "--archive", str(filled_stack.archive), "--no-console")
    assert said.returncode == 10
    assert "error[wrong-archive]" in said.stderr
    assert not (empty_place.directory / "stratum.toml").exists()


def test_a_backup_of_another_cluster_is_refused_and_still_fits_beside(
    stack: StackUnderTest, empty_place: StackUnderTest
) -> None:
    fill(empty_place, script="CREATE TABLE theirs (id int); INSERT INTO theirs VALUES (1)")
    (backup,) = (empty_place.archive / "dumps").iterdir()
    shutil.copytree(backup, stack.archive / "dumps" / backup.name)
    with pytest.raises(StratumError) as refused:
        stack.restore(backup.name)
    assert (refused.value.code, refused.value.exit) == ("wrong-cluster", 10)
    theirs = empty_place.ports().archive.recorded_identity()
    assert theirs is not None
    assert theirs.system_identifier in refused.value.message
    assert stack.databases() == {"postgres", DATABASE}
    stack.restore(backup.name, into="theirs")
    assert stack.scalar("SELECT count(*) FROM theirs", database="theirs") == 1


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
