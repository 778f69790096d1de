"""The disk of the data is really full while an undo copy is made: the copy goes, the database stays and is open."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratum.core.errors import StratumError
from stratum.engine.undo_copy import make_undo_copies, swap_undo_copies
from tests.fixtures.mounts import NEEDS_MOUNTS
from tests.fixtures.stacks import DATABASE, StackUnderTest

_SIZE_MB, _LEFT, _PIECE = 200, 3 << 20, 1 << 16


pytestmark = NEEDS_MOUNTS


@pytest.fixture
def small(stack: StackUnderTest) -> Iterator[StackUnderTest]:
    """Its data directory is on a disk of its own, which somebody else writes to as well."""
    stack.stop()
    away = stack.data.with_name("away")
    stack.data.rename(away)
    stack.data.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={_SIZE_MB}m", "tmpfs", str(stack.data)), check=True)
    try:
        subprocess.run(("cp", "-a", f"{away}/.", str(stack.data)), check=True)
        subprocess.run(("chown", f"--reference={away}", str(stack.data)), check=True)
        stack.data.chmod(0o700)
        stack.up()
        yield stack
        stack.stop()
    finally:
        subprocess.run(("umount", str(stack.data)), check=True)
        stack.data.rmdir()
        away.rename(stack.data)


def _fill(disk: Path) -> Path:
    """But for less than the database takes."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as stream:
        while True:
            stream.write(bytes(_PIECE))
            stream.flush()
    os.truncate(ballast, ballast.stat().st_size - _LEFT)
    return ballast


def test_an_undo_copy_that_fills_the_disk_is_taken_away_and_the_database_goes_on(
    small: StackUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = small.scalar("SELECT count(*) FROM orders")
    ports = small.ports()
    # There was room when it was asked for; then somebody else wrote.
    monkeypatch.setattr(ports.runtime, "free_bytes", lambda: 1 << 40)
    ballast = _fill(small.data)

    with pytest.raises(StratumError) as failed:
        make_undo_copies(ports, "full")
    swap_undo_copies(ports, "full", databases=[])

    assert "No space left" in failed.value.message
    assert small.databases() == {"postgres", DATABASE}
    assert small.scalar("SELECT count(*) FROM orders") == rows
    ballast.unlink()
    make_undo_copies(ports, "full")
    assert len(small.databases()) == 3
