"""What every second rests on turns red with what is wrong, and not for a short interruption."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stratum.adapters.wal_store import DirectoryWalStore
from stratum.core.checklist import LineState
from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.core.receiving_rules import GAP
from stratum.core.stack import ProtectPolicy
from stratum.engine.check_receiving import look_at_continuity, look_at_receiving, look_at_slot_lag
from stratum.ports import Ports
from tests.fakes.settable_clock import SettableClock
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over
from tests.fixtures.manifests import NOW

_STATE = ReceiverState(at=NOW, mode=ProtectMode.STREAMING, phase=ReceiverPhase.RECEIVING, safe_at=NOW, behind_bytes=100)


def _ports(room: Path, *, mode: ProtectMode = ProtectMode.STREAMING, **changes: Any) -> Ports:  # noqa: ANN401 - fields of the record
    wal = DirectoryWalStore(room, stack="led")
    wal.record_receiver(replace(_STATE, **changes))
    ports = ports_over(RecordingJournal(World()))
    policy = ProtectPolicy(mode=mode, slot_keep_mb=100)
    return replace(ports, wal=wal, clock=SettableClock(NOW), stack=replace(ports.stack, protect=policy))


def test_all_lines_hold_while_wal_comes(tmp_path: Path) -> None:
    ports = _ports(tmp_path)

    states = {look(ports).state for look in (look_at_receiving, look_at_continuity, look_at_slot_lag)}

    assert states == {LineState.HOLDS}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"at": NOW - timedelta(minutes=1)}, "the agent has been silent"),
        ({"phase": ReceiverPhase.AWAY, "away_since": NOW - timedelta(minutes=1), "problem": "refused"}, "refused"),
        ({"problem": "the WAL file x is not what it has to be"}, "not what it has to be"),
    ],
    ids=["dead agent", "away", "damaged"],
)
def test_wal_that_does_not_come_is_red_with_the_reason(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    line = look_at_receiving(_ports(tmp_path, **changes))

    assert line.state is LineState.RED
    assert said in line.details["problem"]


def test_a_restart_of_the_server_is_not_red(tmp_path: Path) -> None:
    away: dict[str, Any] = {"phase": ReceiverPhase.AWAY, "away_since": NOW - timedelta(seconds=20), "problem": "x"}

    assert look_at_receiving(_ports(tmp_path, **away)).state is LineState.HOLDS


def test_an_agent_that_never_received_is_red(tmp_path: Path) -> None:
    ports = _ports(tmp_path)
    (tmp_path / "wal" / "receiver.json").unlink()

    assert look_at_receiving(ports).state is LineState.RED


def test_missing_wal_is_red_with_since_and_why(tmp_path: Path) -> None:
    line = look_at_continuity(_ports(tmp_path, unprotected_since=NOW, unprotected_because=GAP))

    assert line.state is LineState.RED
    assert line.details == {"since": f"{NOW:%Y-%m-%d %H:%M:%S} UTC", "because": GAP}


def test_half_of_what_the_server_keeps_is_the_time_to_look(tmp_path: Path) -> None:
    assert look_at_slot_lag(_ports(tmp_path, behind_bytes=49 << 20)).state is LineState.HOLDS
    assert look_at_slot_lag(_ports(tmp_path, behind_bytes=51 << 20)).state is LineState.RED


def test_whoever_asked_for_dumps_alone_is_not_told_that_no_wal_comes(tmp_path: Path) -> None:
    ports = _ports(tmp_path, mode=ProtectMode.DUMPS, at=NOW - timedelta(days=1), unprotected_since=NOW)

    states = {look(ports).state for look in (look_at_receiving, look_at_continuity, look_at_slot_lag)}

    assert states == {LineState.HOLDS}
