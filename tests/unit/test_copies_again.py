"""A copy that was cut off is tried again by itself, soon at first, and more seldom while it stays away."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratum.agent import elsewhere
from stratum.agent.elsewhere import Elsewhere
from stratum.core.copies import CopyState
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over
from tests.fixtures.manifests import NOW


class _Copies:
    """One copy, and what is wrong with it."""

    problem = "the network is gone"
    rounds = 0

    def bring_wal(self) -> tuple[CopyState, ...]:
        self.rounds += 1
        return (CopyState(name="far", failure_domain="other-host", at=NOW, problem=self.problem),)


def test_a_copy_that_was_cut_off_is_asked_for_again_after_one_two_and_four_rounds_of_wal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies, asked = _Copies(), list[int]()
    monkeypatch.setattr(elsewhere, "open_copies", lambda _, __: copies)
    ports = ports_over(RecordingJournal(World()))
    stands = Elsewhere(tmp_path, tmp_path, ports, again=lambda: asked.append(copies.rounds))

    for _ in range(7):
        stands.copy_wal()
    assert asked == [1, 3, 7]

    copies.problem = ""
    stands.copy_wal()
    copies.problem = "gone again"
    for _ in range(2):
        stands.copy_wal()
    assert asked == [1, 3, 7, 9]
