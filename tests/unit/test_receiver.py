"""The receiver takes the recorded cluster's WAL alone, begins anew in order, and asks once for a base backup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from stratum.adapters.wal_receiver import WalReceiver
from stratum.adapters.wal_store import DirectoryWalStore
from stratum.agent.base_asking import BaseAsking
from stratum.agent.receiver import OLDER_COPY, OTHER_CLUSTER, Receiver
from stratum.core.backup import BackupKind
from stratum.core.errors import StratumError
from stratum.core.identity import Seen
from stratum.core.job import Job, JobRequest, JobState
from stratum.core.receiving import ReceiverPhase
from stratum.core.receiving_rules import FIRST, START_REFUSED, SWITCHED, ReceivingView
from stratum.ports import Ports
from tests.fakes.fake_wal_server import FakeWalServer
from tests.fakes.memory_archive import MemoryArchive
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over
from tests.fixtures.manifests import NOW, an_identity

SYSTEM = "7000000000000000001"
FLUSHED = 5 << 24
VIEW = ReceivingView(
    system_identifier=SYSTEM,
    timeline=1,
    flushed_lsn=FLUSHED,
    at=NOW,
    slot_exists=False,
    slot_status="",
    slot_active=False,
    written_lsn=None,
    keep_mb=-1,
)


class _World:
    """A receiver, the server it receives from, and the jobs it asked for."""

    def __init__(self, room: Path) -> None:
        self.server = FakeWalServer(VIEW)
        self.asked: list[Job] = []
        archive = MemoryArchive(room, stack="led")
        archive.initialise("led")
        archive.record_identity(an_identity())
        self.ports: Ports = replace(_idle(), archive=archive, wal=DirectoryWalStore(room, stack="led"))
        self.receiver = self.begun()

    def begun(self) -> Receiver:
        """The receiver of an agent that just started."""
        server = cast("WalReceiver", self.server)
        return Receiver(ports=self.ports, server=server, asking=BaseAsking(self._submit))

    def _submit(self, request: JobRequest) -> Job:
        self.asked.append(Job(id=f"j{len(self.asked)}", request=request, state=JobState.QUEUED, queued_at=NOW))
        return self.asked[-1]

    def rounds(self, count: int = 1) -> None:
        for _ in range(count):
            self.receiver.work()


def _idle() -> Ports:
    ports = ports_over(RecordingJournal(World()))
    stack = replace(ports.stack, external=True)
    return replace(ports, stack=stack)


@pytest.fixture
def world(tmp_path: Path) -> _World:
    return _World(tmp_path)


def test_the_first_round_bounds_the_server_makes_the_slot_and_receives(world: _World) -> None:
    world.rounds()

    assert [call for call in world.server.calls if call != "flush"] == ["limit", "slot", "start"]
    assert world.receiver.state.unprotected_because == FIRST


def test_what_was_received_is_flushed_and_only_then_said_to_be(world: _World) -> None:
    world.rounds()
    world.receiver.beat(_beat(FLUSHED))
    world.receiver.beat(_beat(FLUSHED + 8))
    world.rounds()

    written = world.ports.wal.receiver()
    assert written is not None
    assert (written.phase, written.received_lsn, written.safe_at) == (ReceiverPhase.RECEIVING, FLUSHED, NOW)
    assert world.server.calls[-1] == "flush"


def test_what_stands_in_the_file_is_safe_before_the_server_has_heard_of_it(world: _World) -> None:
    world.rounds(2)
    world.receiver.beat(_beat(FLUSHED + 64))
    world.server.held = FLUSHED + 64

    world.rounds()

    assert world.receiver.state.received_lsn == FLUSHED + 64
    assert world.server.calls[-1] == "flush"


def _beat(lsn: int) -> Seen:
    return Seen(system_identifier=SYSTEM, timeline=1, flushed_lsn=lsn, beat=lsn, beat_at=NOW)


def test_another_cluster_is_never_received_from(world: _World) -> None:
    world.rounds(2)
    world.server.view = replace(world.server.view, system_identifier="8")

    world.rounds()

    assert not world.server.running
    assert world.receiver.state.problem == OTHER_CLUSTER


def test_an_older_copy_of_the_cluster_is_not_received_over_what_is_newer(world: _World) -> None:
    world.rounds(2)
    world.server.break_off("the server went away")
    world.server.view = replace(world.server.view, flushed_lsn=FLUSHED - 8)
    world.receiver = world.begun()

    world.rounds()

    assert not world.server.running
    assert world.receiver.state.problem == OLDER_COPY


def test_after_a_switch_the_history_is_kept_before_the_slot_is_made(world: _World) -> None:
    world.rounds(2)
    world.server.calls.clear()
    world.server.view = replace(world.server.view, timeline=2, slot_exists=False, slot_status="")

    world.rounds()

    calls = [call for call in world.server.calls if call != "flush"]
    assert calls == ["end", "history 2", "slot", "start"]
    assert world.receiver.state.unprotected_because == SWITCHED
    assert [history.timeline for history in world.ports.wal.inventory(SYSTEM).histories] == [2]


def test_where_the_history_cannot_be_kept_no_slot_is_made(world: _World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.rounds(2)
    world.server.calls.clear()
    world.server.view = replace(world.server.view, timeline=2, slot_exists=False, slot_status="")
    monkeypatch.setattr(world.server, "history", _unreachable)

    with pytest.raises(StratumError):
        world.rounds()

    assert "slot" not in world.server.calls


def _unreachable(timeline: int) -> str:
    raise StratumError("unreachable-server", where=f"timeline {timeline}", problem="gone")


def test_a_start_that_can_never_work_begins_anew(world: _World) -> None:
    world.rounds(2)
    begun = world.receiver.state.incarnation
    world.server.break_off("requested WAL segment 000000010000000000000005 has already been removed")

    world.rounds(2)

    assert world.receiver.state.incarnation != begun
    assert world.receiver.state.unprotected_because == START_REFUSED


def test_a_child_that_dies_is_waited_for_a_little_longer_each_time(world: _World) -> None:
    world.rounds(2)
    starts = []
    for _ in range(40):
        if world.server.running:
            world.server.break_off("connection refused")
        before = world.server.calls.count("start")
        world.rounds()
        starts.append(world.server.calls.count("start") > before)

    assert 3 <= starts.count(True) <= 20
    assert world.receiver.state.incarnation is not None


def test_one_base_backup_is_asked_for_until_it_ended(world: _World) -> None:
    world.rounds(20)
    (first,) = world.asked

    world.receiver.job_ended(replace(first, state=JobState.FAILED))
    world.rounds(60)

    assert first.request.kind is BackupKind.BASE
    assert len(world.asked) == 2, "again, and not before half a minute has passed"


def test_a_new_agent_goes_on_with_what_the_one_before_received(world: _World) -> None:
    world.rounds(2)
    before = world.receiver.state
    world.server.break_off("killed")
    world.receiver = world.begun()

    world.rounds(2)

    after = world.receiver.state
    assert (after.incarnation, after.received_lsn) == (before.incarnation, before.received_lsn)
    assert after.unprotected_since == before.unprotected_since


def test_a_damaged_segment_does_not_keep_the_receiver_from_beginning_anew(world: _World) -> None:
    world.rounds(2)
    begun = world.receiver.state.incarnation
    assert begun is not None
    damaged = world.ports.wal.receiving_path(SYSTEM, begun) / "000000010000000000000004"
    damaged.write_bytes(bytes(16 << 20))
    world.server.view = replace(world.server.view, slot_exists=False, slot_status="")

    world.rounds()

    assert world.receiver.state.incarnation != begun
    assert damaged.exists(), "whoever looks into it finds it where it was"


def test_a_damaged_segment_is_said_although_receiving_goes_on(world: _World) -> None:
    world.rounds(2)
    assert world.receiver.state.incarnation is not None
    folder = world.ports.wal.receiving_path(SYSTEM, world.receiver.state.incarnation)
    (folder / "000000010000000000000004").write_bytes(bytes(16 << 20))

    with pytest.raises(StratumError, match="is not what it has to be"):
        world.receiver.file_closed()
    world.rounds()

    assert "000000010000000000000004" in world.receiver.state.problem
    assert world.receiver.state.phase is ReceiverPhase.RECEIVING
