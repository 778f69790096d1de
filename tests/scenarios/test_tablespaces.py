"""A cluster with a tablespace goes back to a moment and comes back when it is lost, beside where its files were."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratum.adapters.postgresql_installation import observe_run_as
from stratum.core.volume_recovery import Moment
from stratum.engine.restore_cluster import restore_cluster, undo_cluster
from tests.fixtures.receiving_stacks import ReceivingStack
from tests.fixtures.stacks import Asked

_ROWS = "SELECT count(*) FROM fast_rows"


@pytest.fixture
def fast_disk() -> Iterator[Path]:
    """A directory elsewhere that the server may write to."""
    with tempfile.TemporaryDirectory(prefix="fast-", dir="/tmp") as folder:
        place, account = Path(folder), observe_run_as()
        if account is not None:
            os.chown(place, account.uid, account.gid)
        yield place


def test_a_tablespace_is_recovered_beside_the_living_one_and_goes_with_its_cluster(
    receiving: ReceivingStack, fast_disk: Path
) -> None:
    stack = receiving.stack
    stack.execute(f"CREATE TABLESPACE fast LOCATION '{fast_disk}'")
    stack.execute("CREATE TABLE fast_rows TABLESPACE fast AS SELECT generate_series(1, 500) AS id")
    refused = stack.cli("drill", "--latest")
    assert (refused.returncode, "was made after base backup" in refused.stdout) == (13, True), refused.stdout
    taken = stack.cli("backup", "--kind", "base")
    assert taken.returncode == 0, taken.stderr
    stack.execute("INSERT INTO fast_rows SELECT generate_series(501, 600)")
    receiving.wait_until_received()

    drilled = stack.cli("drill", "--latest")
    assert drilled.returncode == 0, drilled.stderr
    assert not list((stack.directory / ".stratum" / "scratch").iterdir())

    receiving.agent.stop()
    own = stack.directory / ".stratum" / "tablespaces"
    restore_cluster(stack.ports(asked=Asked()), Moment())
    assert (stack.scalar(_ROWS), _place(receiving).is_relative_to(own)) == (600, True)
    undo_cluster(stack.ports(asked=Asked()))
    assert (stack.scalar(_ROWS), _place(receiving)) == (600, fast_disk)

    stack.kill()
    shutil.rmtree(stack.data)
    shutil.rmtree(fast_disk)
    fast_disk.mkdir()
    restored = stack.cli("restore", "--confirm", "led")
    assert restored.returncode == 0, restored.stderr
    assert (stack.scalar(_ROWS), _place(receiving).is_relative_to(own)) == (600, True)
    stack.stop()
    stack.ports().runtime.remove_cluster()
    assert [place.name for place in own.iterdir()] == [_kept_in(receiving)]


def _place(receiving: ReceivingStack) -> Path:
    """Where the server has the tablespace."""
    found = receiving.stack.scalar("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'")
    return Path(str(found))


def _kept_in(receiving: ReceivingStack) -> str:
    """The undone recovery is kept for its window, with its tablespace."""
    (kept,) = (receiving.stack.directory / ".stratum").glob("kept/*/pg_tblspc/*")
    return kept.readlink().parent.name
