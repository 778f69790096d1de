"""When the receiver begins anew, whether every second is kept, and what it may cost the server."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.core.receiving_rules import (
    FIRST,
    GAP,
    NO_BASE,
    NOTHING_RECEIVED,
    SLOT_GONE,
    SLOT_LOST,
    START_REFUSED,
    SWITCHED,
    Received,
    ReceivingView,
    backoff_seconds,
    covers_now,
    find_cover,
    gave_up_continuity,
    plan_keep_mb,
    refuses_start,
    why_begin_anew,
)
from stratum.core.wal import SEGMENT_BYTES
from tests.fixtures.manifests import NOW
from tests.fixtures.received_wal import a_base, an_incarnation, an_inventory

_VIEW = ReceivingView(
    system_identifier="7",
    timeline=1,
    flushed_lsn=5 * SEGMENT_BYTES,
    at=NOW,
    slot_exists=True,
    slot_status="reserved",
    slot_active=False,
    written_lsn=None,
    keep_mb=4096,
)
_RECEIVED = Received(incarnation=an_incarnation(), has_files=True, start_refused=False, fresh=False)
_STATE = ReceiverState(at=NOW, mode=ProtectMode.STREAMING, phase=ReceiverPhase.RECEIVING, safe_at=NOW)


def test_receiving_goes_on_where_it_stopped() -> None:
    assert why_begin_anew(_VIEW, _RECEIVED) is None


@pytest.mark.parametrize(
    ("view", "received", "because"),
    [
        ({}, {"incarnation": None}, FIRST),
        ({"timeline": 2}, {}, SWITCHED),
        ({"slot_exists": False, "slot_status": ""}, {}, SLOT_GONE),
        ({"slot_status": "lost"}, {}, SLOT_LOST),
        ({}, {"start_refused": True}, START_REFUSED),
        ({}, {"has_files": False}, NOTHING_RECEIVED),
    ],
)
def test_it_begins_anew_where_wal_may_be_missing(view: dict[str, Any], received: dict[str, Any], because: str) -> None:
    assert why_begin_anew(replace(_VIEW, **view), replace(_RECEIVED, **received)) == because


def test_an_unreserved_slot_is_tried_for_it_may_still_have_everything() -> None:
    assert why_begin_anew(replace(_VIEW, slot_status="unreserved"), _RECEIVED) is None


def test_one_that_has_only_begun_has_nothing_yet_and_is_not_begun_again() -> None:
    assert why_begin_anew(_VIEW, replace(_RECEIVED, has_files=False, fresh=True)) is None


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("ERROR:  requested WAL segment 000000010000000000000001 has already been removed", True),
        ("ERROR: requested starting point 0/5000000 on timeline 1 is not in this server's history", True),
        ("connection to server failed: Connection refused", False),
        ("could not write to file: No space left on device", False),
    ],
)
def test_only_a_start_that_can_never_work_is_given_up(said: str, *, refused: bool) -> None:
    assert refuses_start(said) is refused


_RECEIVED_LSN = 9 * SEGMENT_BYTES + 100


def test_a_base_backup_of_the_incarnation_with_all_wal_since_covers_now() -> None:
    base = a_base("b", stop_segment=3)

    cover = find_cover((base,), an_inventory(range(3, 9), partial=9), incarnation=an_incarnation(),
                       received_lsn=_RECEIVED_LSN)  # fmt: skip

    assert cover.base_id == "b"


def test_a_missing_segment_since_the_base_backup_is_a_gap() -> None:
    numbers = [3, 4, 6, 7, 8]

    cover = find_cover((a_base("b", stop_segment=3),), an_inventory(numbers, partial=9),
                       incarnation=an_incarnation(), received_lsn=_RECEIVED_LSN)  # fmt: skip

    assert (cover.base_id, cover.because) == (None, GAP)


def test_wal_that_is_missing_before_the_newest_base_backup_is_no_gap() -> None:
    bases = (a_base("old", stop_segment=2), a_base("new", stop_segment=6))

    cover = find_cover(bases, an_inventory([2, 3, 6, 7, 8], partial=9), incarnation=an_incarnation(),
                       received_lsn=_RECEIVED_LSN)  # fmt: skip

    assert cover.base_id == "new"


@pytest.mark.parametrize(
    "changes",
    [
        {"started_at": NOW - timedelta(days=2)},
        {"start_timeline": 2},
        {"stop_lsn": _RECEIVED_LSN + 1},
    ],
    ids=["taken before it began", "of another timeline", "its end is not received"],
)
def test_a_base_backup_that_is_not_of_this_incarnation_covers_nothing(changes: dict[str, Any]) -> None:
    base = replace(a_base("b", stop_segment=3), **changes)

    cover = find_cover((base,), an_inventory(range(3, 9), partial=9), incarnation=an_incarnation(),
                       received_lsn=_RECEIVED_LSN)  # fmt: skip

    assert (cover.base_id, cover.because) == (None, NO_BASE)


def test_the_server_keeps_at_most_a_quarter_of_what_is_free() -> None:
    assert plan_keep_mb(wanted_mb=4096, free_bytes=100 << 30) == 4096
    assert plan_keep_mb(wanted_mb=4096, free_bytes=8 << 30) == 2048
    assert plan_keep_mb(wanted_mb=4096, free_bytes=0) == 64
    assert plan_keep_mb(wanted_mb=4096, free_bytes=None) == 4096, "a server of one's own: nobody sees its disk"


def test_each_failure_waits_longer_and_half_a_minute_at_most() -> None:
    assert [backoff_seconds(failures) for failures in (1, 2, 3, 5, 6, 100)] == [1, 2, 4, 16, 30, 30]


def test_only_a_fresh_state_with_a_base_backup_says_what_would_be_lost() -> None:
    assert covers_now(_STATE, NOW + timedelta(seconds=9))
    assert not covers_now(_STATE, NOW + timedelta(seconds=11))
    assert not covers_now(replace(_STATE, unprotected_since=NOW), NOW)
    assert not covers_now(None, NOW)


def test_lost_wal_is_red_at_once_and_a_first_base_backup_has_half_an_hour() -> None:
    lost = replace(_STATE, unprotected_since=NOW, unprotected_because=SLOT_LOST)
    first = replace(lost, unprotected_because=FIRST)

    assert gave_up_continuity(lost, NOW)
    assert not gave_up_continuity(first, NOW + timedelta(minutes=29))
    assert gave_up_continuity(first, NOW + timedelta(minutes=31))
    assert not gave_up_continuity(_STATE, NOW)
