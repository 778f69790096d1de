"""pg_receivewal under our hand, on the oldest and the newest server that may be received from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stratum.adapters.endpoint import Endpoint
from stratum.adapters.postgresql_tools import Installation
from stratum.adapters.wal_receiver import WalReceiver
from stratum.core.errors import StratumError
from stratum.core.receiving_rules import refuses_start
from stratum.core.stack import Secret
from tests.fixtures.postgresql_majors import MajorServer, ServerUnderTest
from tests.fixtures.stacks import wait_until


@contextmanager
def _receiver(server: ServerUnderTest) -> Iterator[WalReceiver]:
    endpoint = Endpoint(
        host=str(server.socket_dir), port=server.port, user=server.superuser, password=Secret("not asked for")
    )
    found = WalReceiver(
        endpoint=lambda _: endpoint, installation=lambda: Installation(bin_dir=server.bin_dir), synchronous=False
    )
    try:
        yield found
    finally:
        found.end()
        wait_until(lambda: not found.look().slot_active)
        found.drop_slot()
        found.close()


def _write(server: ServerUnderTest, *, segments: int = 0) -> None:
    """The last of it is flushed at once, as a commit's is; the server under test would otherwise put that off."""
    with server.connect() as connection:
        connection.execute("SET synchronous_commit = on")
        for _ in range(segments):
            connection.execute("SELECT pg_logical_emit_message(false, 'test', 'x')")
            connection.execute("SELECT pg_switch_wal()")
        connection.execute("SELECT pg_logical_emit_message(true, 'test', 'x')")


def _start(receiver: WalReceiver, folder: Path) -> None:
    receiver.start(folder)
    wait_until(lambda: receiver.look().written_lsn is not None)


def _names(folder: Path) -> list[str]:
    return sorted(file.name.removesuffix(".partial") for file in folder.iterdir())


@pytest.mark.parametrize("major", [14, 18])
def test_what_the_server_wrote_is_received_and_flushed(major_server: MajorServer, major: int, tmp_path: Path) -> None:
    server = major_server(major)
    with _receiver(server) as receiver:
        receiver.create_slot()
        receiver.limit(128)
        _start(receiver, tmp_path)
        _write(server, segments=1)
        flushed = receiver.look().flushed_lsn
        wait_until(lambda: receiver.holds(flushed, timeline=1))
        wait_until(lambda: (receiver.look().written_lsn or 0) >= flushed)
        receiver.flush()
        seen = receiver.look()

        assert not receiver.holds(flushed + 4096, timeline=1), "nothing was written there yet"
        assert not receiver.holds(flushed, timeline=2)
        assert (seen.slot_exists, seen.slot_active, seen.slot_status, seen.keep_mb) == (True, True, "reserved", 128)
        assert [f.stat().st_mode & 0o777 for f in tmp_path.iterdir()] == [0o640] * len(_names(tmp_path))
        assert len(_names(tmp_path)) > 1


@pytest.mark.parametrize(("major", "leaves_a_gap"), [(14, True), (18, False)])
def test_before_15_an_empty_directory_does_not_start_where_the_slot_is(
    major_server: MajorServer, major: int, tmp_path: Path, *, leaves_a_gap: bool
) -> None:
    server = major_server(major)
    with _receiver(server) as receiver:
        receiver.create_slot()
        _write(server, segments=2)

        _start(receiver, tmp_path)
        flushed = receiver.look().flushed_lsn
        wait_until(lambda: (receiver.look().written_lsn or 0) >= flushed)

        assert (len(_names(tmp_path)) == 1) is leaves_a_gap


def test_wal_that_the_server_threw_away_is_told_from_a_server_that_is_away(
    major_server: MajorServer, tmp_path: Path
) -> None:
    server = major_server(18)
    with _receiver(server) as receiver:
        receiver.create_slot()
        _start(receiver, tmp_path)
        receiver.end()
        # Whatever the directory holds says where to start: this one, from before anything that is kept.
        (tmp_path / "000000010000000000000001").write_bytes(bytes(16 << 20))
        for file in tmp_path.glob("*.partial"):
            file.unlink()
        _write(server, segments=3)
        wait_until(lambda: not receiver.look().slot_active)
        receiver.drop_slot()
        with server.connect() as connection:
            connection.execute("CHECKPOINT")
        receiver.create_slot()
        receiver.start(tmp_path)
        wait_until(lambda: not receiver.is_running, seconds=20)

        assert refuses_start(receiver.end())


def test_a_role_that_may_not_set_the_limit_is_told_what_somebody_else_has_to_run(major_server: MajorServer) -> None:
    server = major_server(18)
    with server.role("nobody_much", grant="pg_monitor") as name:
        endpoint = Endpoint(host=str(server.socket_dir), port=server.port, user=name, password=Secret("not asked for"))
        receiver = WalReceiver(
            endpoint=lambda _: endpoint, installation=lambda: Installation(bin_dir=server.bin_dir), synchronous=False
        )
        with pytest.raises(StratumError) as refused:
            receiver.limit(256)
        receiver.close()

    assert refused.value.code == "wal-keep-unlimited"
    assert "max_slot_wal_keep_size = '256MB'" in refused.value.next
