"""Zero-loss: a commit returns when the archive has it, and when it does not wait any more, that is said."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomlkit

from stratum.core.plan import JournalEntry
from stratum.core.receiving import ReceiverState
from stratum.core.timeline import MomentKind
from stratum.core.volume_recovery import Moment
from stratum.demo.clients import LedgerClients
from stratum.demo.ledger import create_ledger, observe_chapter
from stratum.engine.list_backups import observe_timeline
from stratum.engine.restore_cluster import restore_cluster
from stratum.engine.zero_loss import VERB
from tests.fixtures.agents import end_agent, make_agent
from tests.fixtures.protection import set_protection
from tests.fixtures.receiving_stacks import ReceivingStack
from tests.fixtures.stacks import OWNER, Asked, StackUnderTest, wait_until


@pytest.fixture
def zero_loss(stack: StackUnderTest) -> Iterator[ReceivingStack]:
    """A stack whose commits wait for its receiver, and stop waiting four seconds after it is gone."""
    set_protection(stack.directory, "zero-loss", degrade_after="4s")
    stack.execute("CREATE TABLE kept (id int)")
    found = ReceivingStack(stack=stack, agent=make_agent(stack))
    try:
        found.agent.start()
        _wait_until_armed(found)
        yield found
    finally:
        end_agent(found.agent)


def test_a_dead_receiver_makes_commits_wait_until_they_are_let_go_on_and_it_is_waited_for_again(
    zero_loss: ReceivingStack,
) -> None:
    stack, receiver = zero_loss.stack, _receiver(zero_loss)
    os.kill(receiver, signal.SIGSTOP)
    try:
        cancelled = _Commit(stack)
        wait_until(lambda: zero_loss.state().waiting_sessions == 1)
        stack.rows("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        cancelled.wait()
        commit = _Commit(stack)
        wait_until(lambda: zero_loss.state().cancelled_waits == 1)
        assert not commit.returned.is_set()
        wait_until(lambda: zero_loss.state().degraded_since is not None)
        commit.wait()
        assert "commits do not wait since" in stack.cli("status").stdout
    finally:
        os.kill(receiver, signal.SIGKILL)

    _wait_until_armed(zero_loss)
    assert [entry.facts["armed"] for entry in _changes(stack)] == [True, False, True]
    assert "took nothing" in str(_changes(stack)[1].facts["because"])
    with stack.connect() as opted_out:
        opted_out.execute("SET synchronous_commit = off")
        wait_until(lambda: zero_loss.state().lowered_sessions == 1)


def test_with_the_whole_agent_dead_commits_wait_and_the_hand_tool_lets_them_go_on(zero_loss: ReceivingStack) -> None:
    stack = zero_loss.stack
    zero_loss.agent.kill()
    wait_until(lambda: not stack.rows("SELECT FROM pg_stat_replication"))
    commit = _Commit(stack)
    wait_until(lambda: bool(stack.rows("SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'")))

    said = stack.cli("protect")
    assert said.returncode == 13, said.stderr
    assert "1 commit waits" in said.stdout, said.stdout
    degraded = stack.cli("protect", "--degrade")
    commit.wait()

    assert degraded.returncode == 13, degraded.stderr
    assert stack.scalar("SHOW synchronous_standby_names") == ""
    assert _changes(stack)[-1].facts["armed"] is False


def test_every_acknowledged_transfer_survives_the_server_and_its_data_directory(zero_loss: ReceivingStack) -> None:
    _lose_and_recover(zero_loss, runs=2)


@pytest.mark.torture
def test_every_acknowledged_transfer_survives_two_hundred_losses(zero_loss: ReceivingStack) -> None:
    _lose_and_recover(zero_loss, runs=200)


def _lose_and_recover(zero_loss: ReceivingStack, *, runs: int) -> None:
    """Under writes: end server and agent at once, take the data directory away, recover from the archive alone."""
    stack, acknowledged = zero_loss.stack, set[str]()
    stack.execute(f"CREATE DATABASE ledger OWNER {OWNER}")
    dsn = stack.conninfo(user=OWNER, database="ledger")
    create_ledger(dsn, accounts=10, rows=100)
    for run in range(runs):
        with LedgerClients(lambda: dsn, count=4) as clients:
            assert clients.wait_for_acknowledged(100)
            os.kill(int((stack.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            zero_loss.agent.kill()
            shutil.rmtree(stack.data, ignore_errors=True)
        acknowledged |= {row.key for row in clients.acknowledged()}

        restore_cluster(stack.ports(asked=Asked()), Moment())

        recovered = observe_chapter(dsn).keys
        assert acknowledged - recovered == set(), f"run {run}: acknowledged, and not there any more"
        zero_loss.agent.start()
        _wait_until_armed_on(zero_loss, timeline=run + 2)


def test_a_moment_is_named_once_by_a_plain_name_and_shown_on_the_timeline(stack: StackUnderTest) -> None:
    named = stack.cli("restore-point", "before.the-big_change")
    again = stack.cli("restore-point", "before.the-big_change")
    odd = stack.cli("restore-point", "it's a name")

    assert (named.returncode, again.returncode, odd.returncode) == (0, 2, 2), named.stderr
    (moment,) = (m for m in observe_timeline(stack.ports()).moments if m.kind is MomentKind.RESTORE_POINT)
    assert moment.id == "before.the-big_change"
    wal = min((stack.data / "pg_wal").glob("0*")).parent
    assert any(b"before.the-big_change" in file.read_bytes() for file in wal.glob("0*"))


def test_a_migration_names_the_moment_before_it_where_wal_is_received(stack: StackUnderTest) -> None:
    set_protection(stack.directory, "streaming")
    file = stack.directory / "stratum.toml"
    settings = tomlkit.parse(file.read_text())
    settings["commands"] = {"migrate": ["true"]}
    file.write_text(tomlkit.dumps(settings))

    migrated = stack.cli("migrate")

    assert migrated.returncode == 0, migrated.stderr
    points = [m.id for m in observe_timeline(stack.ports()).moments if m.kind is MomentKind.RESTORE_POINT]
    assert len(points) == 1
    assert points[0].startswith("before-migrate-")


class _Commit:
    """One transaction in a thread of its own, and whether its commit returned."""

    def __init__(self, stack: StackUnderTest) -> None:
        self._stack = stack
        self.returned = threading.Event()
        self._thread = threading.Thread(target=self._commit, daemon=True)
        self._thread.start()

    def _commit(self) -> None:
        self._stack.execute("INSERT INTO kept VALUES (1)")
        self.returned.set()

    def wait(self) -> None:
        self._thread.join(60)
        assert self.returned.is_set()


def _wait_until_armed_on(zero_loss: ReceivingStack, *, timeline: int) -> None:
    wait_until(lambda: zero_loss.state().timeline == timeline)
    _wait_until_armed(zero_loss)


def _wait_until_armed(zero_loss: ReceivingStack) -> None:
    def armed() -> bool:
        state: ReceiverState | None = zero_loss.stack.ports().wal.receiver()
        return state is not None and state.armed and not state.armed_problem

    wait_until(armed)


def _receiver(zero_loss: ReceivingStack) -> int:
    """The process that receives."""
    assert zero_loss.agent.process is not None
    children = Path(f"/proc/{zero_loss.agent.process.pid}/task").glob("*/children")
    for pid in (int(word) for file in children for word in file.read_text().split()):
        if "pg_receivewal" in Path(f"/proc/{pid}/comm").read_text():
            return pid
    raise AssertionError("no pg_receivewal below the agent")


def _changes(stack: StackUnderTest) -> list[JournalEntry]:
    return [entry for entry in stack.ports().journal.entries() if entry.verb == VERB]
