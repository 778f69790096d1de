"""The archive's disk is really full: each fault is named and told, nothing is lost, and all goes on by itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tomlkit

from stratum.core.receiving import ReceiverPhase
from stratum.engine.zero_loss import VERB
from tests.fixtures.agents import end_agent, make_agent
from tests.fixtures.mounts import NEEDS_MOUNTS
from tests.fixtures.protection import set_protection
from tests.fixtures.receivers import Receiver, a_receiver
from tests.fixtures.receiving_stacks import ReceivingStack
from tests.fixtures.stacks import StackUnderTest, wait_until

_PIECE, _LEFT = 4096, 6 << 20
"""Room for less than a segment, packed or not: a new one is cut short, and the one before cannot be filed."""


pytestmark = NEEDS_MOUNTS


@contextmanager
def _on_a_small_disk(stack: StackUnderTest, megabytes: int) -> Iterator[None]:
    away = stack.archive.with_name("away")
    stack.archive.rename(away)
    stack.archive.mkdir()
    size = f"size={megabytes}m"
    subprocess.run(("mount", "-t", "tmpfs", "-o", size, "tmpfs", str(stack.archive)), check=True)
    try:
        subprocess.run(("cp", "-a", f"{away}/.", str(stack.archive)), check=True)
        yield
    finally:
        subprocess.run(("umount", str(stack.archive)), check=True)


@pytest.fixture
def told() -> Iterator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


@pytest.fixture
def small(stack: StackUnderTest, told: Receiver) -> Iterator[ReceivingStack]:
    """Commits wait for an archive whose disk has room for some segments, and for four seconds once it is full."""
    set_protection(stack.directory, "zero-loss", degrade_after="4s")
    file = stack.directory / "stratum.toml"
    settings = tomlkit.parse(file.read_text())
    settings["notify"] = {"urls": [f"json://127.0.0.1:{told.port}"]}
    file.write_text(tomlkit.dumps(settings))
    stack.execute("CREATE TABLE kept (id int, filler text)")
    with _on_a_small_disk(stack, 120):
        found = ReceivingStack(stack=stack, agent=make_agent(stack))
        try:
            found.agent.start()
            wait_until(lambda: found.is_protected() and found.state().armed)
            yield found
        finally:
            end_agent(found.agent)
            stack.stop()


def _fill(disk: Path) -> Path:
    """To its last byte."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as stream:
        while True:
            stream.write(bytes(_PIECE))
            stream.flush()
    return ballast


def test_nothing_is_lost_on_a_full_archive_and_somebody_hears_of_it_and_receiving_goes_on_once_there_is_room(
    small: ReceivingStack, told: Receiver
) -> None:
    stack, begun = small.stack, small.inventory().incarnations
    ballast = _fill(stack.archive)
    os.truncate(ballast, ballast.stat().st_size - _LEFT)
    writing = threading.Thread(target=_write, args=(stack,), daemon=True)
    writing.start()

    wait_until(lambda: stack.scalar("SHOW synchronous_standby_names") == "", seconds=90)
    wait_until(lambda: "led: alarm: zero-loss-degraded" in _titles(told), seconds=90)
    wait_until(lambda: _names_the_full_disk(stack), seconds=90)
    _fill(stack.archive / "journal")
    told_by_hand = stack.cli("protect", "--degrade")
    writing.join(60)
    assert not writing.is_alive()

    ballast.unlink()
    (stack.archive / "journal" / "ballast").unlink()
    wait_until(lambda: small.state().phase is ReceiverPhase.RECEIVING and small.state().armed, seconds=90)

    assert told_by_hand.returncode == 13, told_by_hand.stderr
    assert small.inventory().incarnations == begun, "received without a gap from the slot"
    assert small.state().unprotected_since is None
    changes = [entry.facts["armed"] for entry in stack.ports().journal.entries() if entry.verb == VERB]
    assert changes == [True, False, True], "also the change that found no room for its line"


def _names_the_full_disk(stack: StackUnderTest) -> bool:
    checked = stack.cli("check")
    return checked.returncode == 13 and ("No space left" in checked.stdout or "is full" in checked.stdout)


def _write(stack: StackUnderTest) -> None:
    """Some forty megabytes of WAL that cannot be packed to much less."""
    for _ in range(8):
        stack.execute("INSERT INTO kept SELECT n, md5(random()::text) || md5(random()::text) || md5(random()::text) "
                      "FROM generate_series(1, 36000) n")  # fmt: skip


def _titles(told: Receiver) -> list[str]:
    return [message["title"] for message in told.messages]
