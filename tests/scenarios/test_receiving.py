"""WAL is received as it is written: what was said to be safe is in the archive, whatever dies."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import psycopg

from stratum.adapters.postgresql_installation import find_installation, observe_run_as
from stratum.core.receiving import ReceiverPhase
from stratum.core.receiving_rules import SLOT, SLOT_GONE, SWITCHED
from tests.fixtures.agents import AgentUnderTest, end_agent, make_agent
from tests.fixtures.ports import own_port
from tests.fixtures.protection import set_protection
from tests.fixtures.receiving_stacks import ReceivingStack
from tests.fixtures.stacks import StackUnderTest, wait_until


class _Writing:
    """Somebody who writes until the server is gone."""

    def __init__(self, stack: StackUnderTest) -> None:
        self._stack = stack
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        with contextlib.suppress(psycopg.OperationalError), self._stack.connect() as connection:
            for number in range(10_000_000):
                connection.execute("INSERT INTO written (number) VALUES (%s)", (number,))

    def wait(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()


def test_what_was_said_to_be_safe_is_in_the_archive_when_the_server_dies(
    receiving: ReceivingStack, tmp_path: Path
) -> None:
    stack = receiving.stack
    stack.execute("CREATE TABLE written (number int)")
    writing, before = _Writing(stack), receiving.state().safe_at
    wait_until(lambda: receiving.state().safe_at != before)

    stack.kill()
    writing.wait()
    said = receiving.state().safe_at

    wait_until(lambda: receiving.state().phase is not ReceiverPhase.RECEIVING)
    assert said is not None
    assert receiving.state().safe_at == said, "nothing becomes safe once the server is dead"
    assert _last_commit(receiving, tmp_path) >= said


def _last_commit(receiving: ReceivingStack, room: Path) -> datetime:
    """The time of the last commit in the segment that is being received, by PostgreSQL's own reader."""
    inventory, wal = receiving.inventory(), receiving.stack.ports().wal
    folder = wal.receiving_path(inventory.system_identifier, inventory.incarnations[-1].name)
    (partial,) = folder.glob("*.partial")
    segment = shutil.copy(partial, room / partial.stem)
    program = find_installation(observe_run_as()).program("pg_waldump")
    # It ends with an error where WAL does, which is after the last record.
    said = subprocess.run(
        (program, "--rmgr=Transaction", str(segment)), capture_output=True, text=True, timeout=60, check=False
    ).stdout
    times = [line.split("COMMIT ")[1].split(" UTC")[0].split(";")[0] for line in said.splitlines() if "COMMIT" in line]
    return datetime.fromisoformat(f"{times[-1].strip()}+00:00")


def test_an_agent_that_is_killed_in_the_middle_of_a_segment_goes_on_without_a_gap(receiving: ReceivingStack) -> None:
    begun = receiving.inventory().incarnations
    receiving.wait_until_received()

    receiving.agent.kill()
    receiving.stack.execute("CREATE TABLE meanwhile AS SELECT generate_series(1, 400000) AS id")
    receiving.agent.start()
    received = receiving.wait_until_received()
    receiving.wait_until_protected()

    inventory = receiving.inventory()
    assert inventory.incarnations == begun
    assert receiving.bases() == 1, "what was received before still counts"
    numbers = {found.segment.number for found in inventory.segments}
    first = min(numbers)
    assert set(range(first, received // inventory.segment_bytes + 1)) <= numbers


def test_a_slot_that_was_dropped_by_hand_is_made_anew_with_a_base_backup(receiving: ReceivingStack) -> None:
    (begun,) = receiving.inventory().incarnations
    receiving.agent.stop()
    receiving.stack.execute(f"SELECT pg_drop_replication_slot('{SLOT}')")

    receiving.agent.start()
    wait_until(lambda: receiving.state().incarnation not in {None, begun.name})
    because = receiving.state().unprotected_because
    receiving.wait_until_protected()

    ended, anew = receiving.inventory().incarnations
    assert because == SLOT_GONE
    assert (ended.name, anew.name) == (begun.name, receiving.state().incarnation)
    assert ended.ended_at is not None
    assert receiving.bases() == 2


def test_a_cluster_that_goes_on_on_another_timeline_is_received_anew_after_its_history(
    receiving: ReceivingStack,
) -> None:
    """As after a recovery: the server replays to the end of its WAL, and goes on as timeline 2."""
    stack = receiving.stack
    stack.execute("ALTER SYSTEM SET restore_command = 'false'")
    stack.ports().runtime.stop()
    (stack.data / "recovery.signal").touch()

    stack.ports().runtime.start()
    wait_until(lambda: receiving.state().timeline == 2)
    because = receiving.state().unprotected_because
    receiving.wait_until_protected()

    inventory = receiving.inventory()
    assert because == SWITCHED
    assert [history.timeline for history in inventory.histories] == [2]
    assert [found.timeline for found in inventory.incarnations] == [1, 2]
    assert [base.start_timeline for base in stack.ports().wal.bases()] == [1, 2]


def test_whoever_asks_for_dumps_alone_is_rid_of_the_slot_that_would_keep_wal(agent: AgentUnderTest) -> None:
    agent.stop()
    agent.stack.execute(f"SELECT pg_create_physical_replication_slot('{SLOT}', true)")

    agent.start()

    wait_until(lambda: not agent.stack.rows("SELECT FROM pg_replication_slots"))


def test_a_server_that_lets_nobody_replicate_is_named_with_the_line_it_lacks(stack: StackUnderTest) -> None:
    rules = stack.data / "pg_hba.conf"
    lines = rules.read_text().splitlines()
    rules.write_text("\n".join(line for line in lines if "replication" not in line) + "\n")
    stack.execute("SELECT pg_reload_conf()")
    set_protection(stack.directory, "streaming")
    agent = make_agent(stack)
    try:
        agent.start()
        found = ReceivingStack(stack=stack, agent=agent)
        wait_until(lambda: "pg_hba.conf" in found.state().problem)
    finally:
        end_agent(agent)

    assert "host replication stratum_replication" in agent.log()


def test_without_a_console_the_agent_runs_by_itself_and_alone(stack: StackUnderTest) -> None:
    with (stack.directory / ".env").open("a", encoding="utf-8") as env:
        env.write(f"\nAGENT_PORT={own_port()}\n")
    set_protection(stack.directory, "streaming")
    assert "`stratum agent`" in stack.cli("up").stdout
    program = str(Path(sys.executable).with_name("stratum"))

    agent = subprocess.Popen((program, "agent", "--stack", str(stack.directory)))
    try:
        wait_until(lambda: _phase(stack) is ReceiverPhase.RECEIVING)
        second = stack.cli("agent")
    finally:
        agent.terminate()
        agent.wait(60)

    assert "[agent-runs-already]" in second.stderr


def _phase(stack: StackUnderTest) -> ReceiverPhase | None:
    state = stack.ports().wal.receiver()
    return state.phase if state else None
