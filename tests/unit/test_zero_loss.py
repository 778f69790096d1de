"""What is concluded from who waits for the receiver, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from stratum.core.protection import MAY_HANG, NOT_ZERO_LOSS, ZERO_LOSS, describe_protection
from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.core.zero_loss import CommitLook, Waiting, count_cut_waits, is_ready, moves_on, why_impossible

_NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
_WAITING = Waiting(pid=7, began="then", user="app", database="app", application="app", seconds=1.0)
_LOOK = CommitLook(
    names="stratum_receiver",
    commit="on",
    receiving=True,
    synchronous=True,
    received_before=100,
    received_after=100,
    flushed_lsn=200,
)
_STATE = ReceiverState(at=_NOW, mode=ProtectMode.ZERO_LOSS, phase=ReceiverPhase.RECEIVING, safe_at=_NOW, armed=True)


def test_a_wait_that_ends_although_nothing_was_received_was_cut() -> None:
    before = replace(_LOOK, waiting=(_WAITING,))

    assert count_cut_waits(before, _LOOK) == 1
    assert count_cut_waits(before, before) == 0, "it waits still"
    assert count_cut_waits(before, replace(_LOOK, received_after=150)) == 0, "it was received"
    assert count_cut_waits(before, replace(_LOOK, names="")) == 0, "nobody waits for the receiver any more"
    assert count_cut_waits(before, replace(_LOOK, waiting=(replace(_WAITING, began="later"),))) == 1


def test_a_receiver_that_is_connected_and_takes_nothing_is_as_good_as_away() -> None:
    waits = replace(_LOOK, waiting=(_WAITING,))

    assert moves_on(_LOOK, _LOOK), "nobody waits"
    assert not moves_on(waits, waits)
    assert moves_on(waits, replace(waits, received_after=101))
    assert not moves_on(None, replace(_LOOK, receiving=False))


@pytest.mark.parametrize(
    "look",
    [
        replace(_LOOK, names="other_standby"),
        replace(_LOOK, commit="remote_apply"),
        replace(_LOOK, applied_for=("role app",)),
        replace(_LOOK, commit="local"),
    ],
)
def test_commits_that_would_hang_or_lie_are_never_made_to_wait(look: CommitLook) -> None:
    assert why_impossible(look)
    assert why_impossible(_LOOK) is None


def test_waiting_begins_once_the_receiver_caught_up_and_a_base_backup_stands() -> None:
    assert is_ready(_LOOK, _STATE)
    assert not is_ready(replace(_LOOK, flushed_lsn=2 << 20), _STATE)
    assert not is_ready(replace(_LOOK, receiving=False), _STATE)
    assert not is_ready(_LOOK, replace(_STATE, unprotected_since=_NOW))


@pytest.mark.parametrize(
    ("state", "domain", "phrase"),
    [
        (_STATE, "other-disk", ZERO_LOSS),
        (replace(_STATE, at=_NOW - timedelta(minutes=1)), "other-disk", MAY_HANG),
        (replace(_STATE, armed=False, degraded_since=_NOW, armed_problem="gone"), "other-disk", NOT_ZERO_LOSS),
    ],
)
def test_the_sentence_says_whether_commits_wait(state: ReceiverState, domain: str, phrase: str) -> None:
    found = describe_protection((), (), failure_domain=domain, now=_NOW, receiver=state)

    assert phrase in {part.template for part in found.phrases}


def test_nothing_is_promised_of_an_archive_on_the_same_disk() -> None:
    found = describe_protection((), (), failure_domain="same-disk", now=_NOW, receiver=_STATE)

    assert ZERO_LOSS not in {part.template for part in found.phrases}
