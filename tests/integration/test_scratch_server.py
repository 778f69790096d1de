"""A throwaway server is quarantined while it lives and swept up whatever became of its owner."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stratum.adapters.endpoint import Endpoint
from stratum.adapters.postgresql_installation import find_installation, observe_run_as
from stratum.adapters.scratch_server import ScratchServers
from tests.fixtures.stacks import wait_until

_HOLDS_ONE = """
import pathlib, sys, time
from stratum.adapters.postgresql_installation import find_installation, observe_run_as
from stratum.adapters.scratch_server import ScratchServers
run_as = observe_run_as()
servers = ScratchServers(installation=find_installation(run_as), directory=pathlib.Path(sys.argv[1]), run_as=run_as)
with servers.open(purpose="drill", bootstrap_role="boss") as endpoint:
    print(endpoint.host, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def servers() -> Iterator[ScratchServers]:
    """Throwaway servers below a directory that the server's account may enter."""
    parent = Path(tempfile.mkdtemp(prefix="stratum-scratch-", dir="/tmp"))
    parent.chmod(0o755)
    run_as = observe_run_as()
    yield ScratchServers(installation=find_installation(run_as), directory=parent / "scratch", run_as=run_as)
    shutil.rmtree(parent)


def _show(endpoint: Endpoint, setting: str) -> str:
    with psycopg.connect(endpoint.conninfo("postgres"), password=endpoint.password.reveal) as connection:
        (value,) = connection.execute(f"SHOW {setting}".encode()).fetchall()[0]
    return str(value)


def test_a_throwaway_server_can_neither_be_reached_from_outside_nor_reach_anything(servers: ScratchServers) -> None:
    with servers.open(purpose="drill", bootstrap_role="boss") as endpoint:
        found = {
            name: _show(endpoint, name)
            for name in (
                "listen_addresses",
                "synchronous_standby_names",
                "primary_conninfo",
                "archive_mode",
                "shared_preload_libraries",
                "max_logical_replication_workers",
                "max_wal_senders",
                "unix_socket_permissions",
            )
        }
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(endpoint.conninfo("postgres"), password=endpoint.user)

    assert found == {
        "listen_addresses": "",
        "synchronous_standby_names": "",
        "primary_conninfo": "",
        "archive_mode": "off",
        "shared_preload_libraries": "",
        "max_logical_replication_workers": "0",
        "max_wal_senders": "0",
        "unix_socket_permissions": "0700",
    }


def test_nothing_of_a_throwaway_server_is_left_when_its_block_ends(servers: ScratchServers) -> None:
    with servers.open(purpose="drill", bootstrap_role="boss") as endpoint:
        sockets = Path(endpoint.host)
        assert servers.sweep() == 0, "one in use is not swept"
        assert _show(endpoint, "port") == "5432"

    assert list(servers.directory.iterdir()) == []
    assert not sockets.exists()


def test_what_a_killed_owner_left_is_swept_with_its_server(servers: ScratchServers) -> None:
    argv = (sys.executable, "-c", _HOLDS_ONE, str(servers.directory))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        sockets = Path(owner.stdout.readline().strip())
        assert servers.sweep() == 0
        (home,) = (path for path in servers.directory.iterdir() if path.is_dir())
        postmaster = int((home / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()

    assert servers.sweep() == 1

    assert list(servers.directory.iterdir()) == []
    assert not sockets.exists()
    wait_until(lambda: not Path(f"/proc/{postmaster}/exe").exists())
