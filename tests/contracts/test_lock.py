"""What every lock promises, asked of the file lock and of the fake in memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stratum.adapters.journal import FileLock
from stratum.core.errors import StratumError
from stratum.ports import Lock
from tests.fakes.memory_lock import MemoryLock
from tests.fakes.settable_clock import SettableClock
from tests.fixtures.manifests import NOW

LockOf = Callable[[str], Lock]


def _files(path: Path) -> LockOf:
    (path / "archive.json").write_text("{}")
    return lambda who: FileLock(path, clock=SettableClock(NOW), who=who)


def _memory(path: Path) -> LockOf:
    del path
    book: dict[str, str] = {}
    return lambda who: MemoryLock(book, clock=SettableClock(NOW), who=who)


@pytest.fixture(params=[_files, _memory], ids=["file", "memory"])
def lock_of(request: pytest.FixtureRequest, tmp_path: Path) -> LockOf:
    """The same lock, for whoever asks."""
    made: LockOf = request.param(tmp_path)
    return made


def test_a_second_holder_is_told_who_holds_it_why_and_since_when(lock_of: LockOf) -> None:
    first, second = lock_of("alice@host"), lock_of("bob@host")

    with first.hold(why="restore"), pytest.raises(StratumError) as refused, second.hold(why="backup"):
        pytest.fail("two plans at once")

    assert refused.value.code == "locked"
    assert refused.value.details == {"who": "alice@host", "why": "restore", "since": "2026-03-02T10:00:01+00:00"}


def test_a_refused_holder_does_not_let_go_of_anothers_lock(lock_of: LockOf) -> None:
    with lock_of("alice").hold(why="restore"):
        for _ in range(2):
            with pytest.raises(StratumError), lock_of("bob").hold(why="backup"):
                pytest.fail("two plans at once")


@pytest.mark.parametrize("ending", [None, ValueError("a bug"), KeyboardInterrupt()], ids=["well", "bug", "Ctrl-C"])
def test_the_lock_is_free_after_the_block_however_it_ended(lock_of: LockOf, ending: BaseException | None) -> None:
    taken: list[str] = []

    def hold_and_end() -> None:
        with lock_of("alice").hold(why="restore"):
            if ending is not None:
                raise ending

    if ending is None:
        hold_and_end()
    else:
        with pytest.raises(type(ending)):
            hold_and_end()
    with lock_of("bob").hold(why="backup"):
        taken.append("bob")

    assert taken == ["bob"]


def test_whoever_only_looks_sees_since_when_it_is_held_and_takes_it_from_nobody(lock_of: LockOf) -> None:
    before = lock_of("bob").held_since()
    with lock_of("alice").hold(why="restore"):
        during = lock_of("bob").held_since()
    after = lock_of("bob").held_since()
    with lock_of("alice").hold(why="backup"):
        pass

    assert (before, during, after) == (None, datetime(2026, 3, 2, 10, 0, 1, tzinfo=UTC), None)
