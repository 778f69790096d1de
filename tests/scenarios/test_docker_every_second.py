"""Every second of a stack on Docker: back to a moment in a volume of its own, and after the volume is gone."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from stratum.adapters.wal_store import DirectoryWalStore
from stratum.core.errors import ExitCode
from stratum.core.receiving import ReceiverPhase, ReceiverState
from tests.fixtures.database_stacks import ROWS, DatabaseStack, laid_down_database_stack
from tests.fixtures.docker_engine import DockerUnderTest
from tests.fixtures.released_stacks import ReleasedStack
from tests.fixtures.stacks import wait_until

_WRITERS, _ACKNOWLEDGED, _STATEMENTS = 3, 20, 600
_FLUSHED = "SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint"


@pytest.fixture(scope="module")
def stack(
    docker: DockerUnderTest, shared_libraries: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DatabaseStack]:
    """Rows, and an agent that receives what is written."""
    place = tmp_path_factory.mktemp("seconds")
    with laid_down_database_stack(docker, shared_libraries, place, protect="streaming") as stack:
        stack.done("up")
        stack.fill()
        yield stack


def _receiver(stack: DatabaseStack) -> ReceiverState | None:
    return DirectoryWalStore(stack.directory.parent / "archive", stack=stack.name).receiver()


def _wait_until_protected(stack: DatabaseStack) -> None:
    """What is on the server's disk by now is in the archive, and a base backup reaches it."""
    flushed = int(stack.sql(_FLUSHED, user="postgres"))

    def is_safe() -> bool:
        state = _receiver(stack)
        return state is not None and state.unprotected_since is None and (state.received_lsn or 0) >= flushed

    wait_until(is_safe)


def _lose(stack: DatabaseStack) -> None:
    """In the middle of its work: the server is killed, and its volume goes with what held it."""
    volume = stack.setting("POSTGRES_VOLUME")
    stack.docker.run("kill", f"{stack.name}-postgres")
    stack.docker.run("compose", "down", cwd=stack.directory)
    stack.docker.ask("rm", "--force", f"{volume}-holder")
    stack.docker.ask("volume", "rm", volume)


def _moment(stack: DatabaseStack) -> str:
    """Now, by the server's clock: after every commit before this line, and before every one after it."""
    at = stack.sql("SELECT extract(epoch FROM clock_timestamp())")
    return datetime.fromtimestamp(float(at), UTC).isoformat()


def test_a_stack_goes_back_to_a_moment_in_a_volume_of_its_own_and_comes_back_from_it(stack: DatabaseStack) -> None:
    _wait_until_protected(stack)
    before, live = stack.digest(), stack.setting("POSTGRES_VOLUME")
    moment = _moment(stack)
    stack.sql("DELETE FROM orders WHERE id > 10")
    _wait_until_protected(stack)

    answer = json.loads(stack.done("restore", "--cluster", "--at", moment, "--confirm", stack.name, "--json"))

    assert stack.digest() == before
    assert any(f"10 rows now, {ROWS} after" in line for line in answer["facts"]["difference"])
    assert stack.volumes() == {live, stack.setting("POSTGRES_VOLUME")}
    assert json.loads(stack.done("status", "--json"))["database"] == "running"
    stack.done("restore", "--undo", "--confirm", stack.name)
    assert stack.setting("POSTGRES_VOLUME") == live
    assert stack.sql("SELECT count(*) FROM orders") == "10"


@pytest.mark.torture
def test_a_volume_that_is_gone_comes_back_to_the_last_second_that_was_received(stack: DatabaseStack) -> None:
    stack.sql("INSERT INTO orders SELECT i, 'after ' || i FROM generate_series(1001, 1500) AS i")
    _wait_until_protected(stack)
    whole = stack.digest()
    _lose(stack)

    stack.done("restore", "--confirm", stack.name)

    assert stack.digest() == whole
    _wait_until_protected(stack)


@pytest.mark.parametrize("run", [0, *(pytest.param(n, marks=pytest.mark.torture) for n in range(1, 20))])
def test_no_transfer_that_was_acknowledged_goes_with_the_volume(stack: DatabaseStack, run: int) -> None:
    """In zero-loss mode: whoever was told that it is written finds it again."""
    stack.sql("CREATE TABLE IF NOT EXISTS transfers (writer int, number int, PRIMARY KEY (writer, number))")
    stack.done("protect", "--mode", "zero-loss")
    wait_until(lambda: (state := _receiver(stack)) is not None and state.armed)
    with _writing(stack, first=run * 10) as writers:
        wait_until(lambda: all(len(writer.acknowledged) >= _ACKNOWLEDGED for writer in writers))
        _lose(stack)
    acknowledged = {number for writer in writers for number in writer.acknowledged}

    stack.done("restore", "--confirm", stack.name)

    found = stack.sql("SELECT writer || ' ' || number FROM transfers").splitlines()
    assert acknowledged - set(found) == set()
    assert len(acknowledged) >= _WRITERS * _ACKNOWLEDGED


@pytest.mark.torture
def test_commits_go_on_by_hand_when_the_receiver_and_its_agent_are_gone(stack: DatabaseStack) -> None:
    stack.done("protect", "--mode", "zero-loss")
    wait_until(lambda: (state := _receiver(stack)) is not None and state.armed)
    stack.docker.ask("kill", f"{stack.name}-backup")
    with _writing(stack, first=1000, writers=1) as (writer,):
        assert stack.run("protect", "--degrade").returncode == ExitCode.AT_RISK
        wait_until(lambda: len(writer.acknowledged) >= 1)

    stack.done("up")
    wait_until(lambda: (state := _receiver(stack)) is not None and state.armed)


@pytest.mark.torture
def test_a_cut_between_the_services_is_named_and_what_was_written_meanwhile_is_received_after_it(
    stack: DatabaseStack,
) -> None:
    _bring_up(stack)
    _wait_until_protected(stack)
    before = _receiver(stack)
    network, service = f"{stack.name}_data", f"{stack.name}-backup"
    stack.docker.ask("network", "disconnect", network, service)
    stack.sql("CREATE TABLE cut AS SELECT generate_series(1, 1000) AS id")

    # The kernel alone would wait for many minutes; what is looked through says by itself that nobody answers.
    wait_until(lambda: (state := _receiver(stack)) is not None and state.phase is ReceiverPhase.AWAY)
    assert "receiver  away" in stack.run("status").stdout
    stack.docker.ask("network", "connect", "--alias", "backup", network, service)
    _wait_until_protected(stack)

    after = _receiver(stack)
    assert before is not None
    assert after is not None
    assert after.incarnation == before.incarnation, "received on from the slot"


@pytest.mark.torture
def test_stopping_by_hand_ends_the_receiver_first_and_loses_no_acknowledged_transfer(stack: DatabaseStack) -> None:
    """Compose stops what depends on the server before the server, which then ends the commits that wait."""
    _bring_up(stack)
    stack.sql("CREATE TABLE IF NOT EXISTS transfers (writer int, number int, PRIMARY KEY (writer, number))")
    stack.done("protect", "--mode", "zero-loss")
    wait_until(lambda: (state := _receiver(stack)) is not None and state.armed)
    with _writing(stack, first=2000) as writers:
        wait_until(lambda: all(len(writer.acknowledged) >= _ACKNOWLEDGED for writer in writers))
        stopped = stack.docker.run("compose", "stop", cwd=stack.directory)
        _lose(stack)
    acknowledged = {number for writer in writers for number in writer.acknowledged}

    stack.done("restore", "--confirm", stack.name)

    assert stopped.returncode == 0, stopped.stderr
    assert acknowledged - set(stack.sql("SELECT writer || ' ' || number FROM transfers").splitlines()) == set()


@dataclass(kw_only=True, slots=True)
class _Writer:
    """One psql that is told its statements one after another, and prints what each returned once it is committed."""

    process: subprocess.Popen[str]
    acknowledged: list[str] = field(default_factory=list)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):  # what was not sent yet is not wanted any more
            self.process.stdin.close()
        self.process.stdout.close()

    def listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n") and line.strip():
                self.acknowledged.append(line.strip())


@contextmanager
def _writing(stack: DatabaseStack, *, first: int, writers: int = _WRITERS) -> Iterator[list[_Writer]]:
    """Several at once, from before the block until their server is gone or the block ends."""
    made = [_start_writer(stack, first + number) for number in range(writers)]
    threads = [threading.Thread(target=writer.listen) for writer in made]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        for writer in made:
            writer.process.terminate()
        for writer, thread in zip(made, threads, strict=True):
            writer.process.wait(60)
            thread.join(60)
            writer.close()


def _start_writer(stack: DatabaseStack, number: int) -> _Writer:
    argv = ("docker", "exec", "--interactive", "--user", "postgres", f"{stack.name}-postgres", "psql", "--no-psqlrc",
            "-qAt", "--username=stratum", "--dbname=stratum_db")  # fmt: skip
    process = subprocess.Popen(
        argv, env=dict(stack.docker.environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    for n in range(_STATEMENTS):
        process.stdin.write(f"INSERT INTO transfers VALUES ({number}, {n}) RETURNING writer || ' ' || number;\n")
    process.stdin.flush()
    return _Writer(process=process)


@pytest.mark.torture
@pytest.mark.parametrize("entry", range(3, 14, 2))
def test_a_recovery_that_is_killed_leaves_one_whole_volume_live(stack: DatabaseStack, entry: int) -> None:
    _bring_up(stack)
    _wait_until_protected(stack)
    whole = stack.digest()
    ReleasedStack(stack=stack).cut("recover-volume", f"after:{entry}")

    _bring_up(stack)

    assert stack.digest() == whole


def _bring_up(stack: DatabaseStack) -> None:
    """Once the base backup that the agent takes by itself has ended."""

    def is_up() -> bool:
        code = stack.run("up").returncode
        assert code in {ExitCode.DONE, ExitCode.LOCKED}
        return code == ExitCode.DONE

    wait_until(is_up)
