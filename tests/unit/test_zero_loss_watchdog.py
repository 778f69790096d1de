"""The watchdog of zero-loss: no change of when commits are acknowledged stays out of the journal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from stratum.adapters.wal_store import DirectoryWalStore
from stratum.agent.zero_loss import ZeroLoss
from stratum.core.errors import StratumError
from stratum.core.plan import JournalEntry
from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.core.stack import ProtectPolicy
from stratum.core.zero_loss import CommitLook, Waiting
from stratum.replication import Marked
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over
from tests.fixtures.manifests import NOW

_WAITING = Waiting(pid=7, began="then", user="app", database="app", application="app", seconds=1.0)
_STUCK = CommitLook(
    names="stratum_receiver",
    commit="on",
    receiving=False,
    synchronous=False,
    received_before=None,
    received_after=None,
    flushed_lsn=200,
    waiting=(_WAITING,),
)
_STATE = ReceiverState(at=NOW, mode=ProtectMode.ZERO_LOSS, phase=ReceiverPhase.AWAY)


class _Commits:
    """A server whose commits wait until they are let go on."""

    def __init__(self) -> None:
        self.found = _STUCK

    def look(self) -> CommitLook:
        return self.found

    def arm(self) -> None:
        self.found = replace(self.found, names="stratum_receiver")

    def disarm(self) -> None:
        self.found = replace(self.found, names="", waiting=())

    def mark(self, name: str) -> Marked:
        raise AssertionError(f"nobody names a moment here: {name}")

    def close(self) -> None:
        """Nothing is open."""


class _FullJournal(RecordingJournal):
    """On a disk without room, until it is freed."""

    full = True

    def append(self, entry: JournalEntry) -> None:
        if self.full:
            raise StratumError("archive-full", path="/archive")
        super().append(entry)


def test_a_change_that_found_the_archive_full_is_noted_with_its_own_time_once_there_is_room(tmp_path: Path) -> None:
    journal, commits = _FullJournal(World()), _Commits()
    ports = ports_over(journal)
    policy = ProtectPolicy(mode=ProtectMode.ZERO_LOSS, degrade_after=timedelta(seconds=1))
    ports = replace(ports, stack=replace(ports.stack, protect=policy), wal=DirectoryWalStore(tmp_path, stack="led"))
    watchdog = ZeroLoss(ports=ports, commits=commits, state=lambda: _STATE)

    with pytest.raises(StratumError) as refused:
        watchdog.work()
    changed_by = ports.clock.now()
    journal.full = False
    watchdog.work()

    assert refused.value.code == "archive-full"
    assert not commits.found.armed, "commits go on although no line can be written"
    (entry,) = journal.entries()
    assert entry.facts["armed"] is False
    assert entry.at < changed_by
