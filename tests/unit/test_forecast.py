"""A disk's end is foretold from how its free space went, and never from too little."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as some

from stratum.core.forecast import FEWEST_SAMPLES, DiskSample, plan_full_at
from tests.fixtures.manifests import NOW


def _falling(per_minute: int, *, start: int, minutes: int) -> list[DiskSample]:
    return [DiskSample(at=NOW + timedelta(minutes=n), free_bytes=start - n * per_minute) for n in range(minutes + 1)]


@given(some.integers(1, 10**9), some.integers(20, 200))
def test_a_steady_fall_is_foretold_to_the_second(per_minute: int, minutes_left: int) -> None:
    samples = _falling(per_minute, start=per_minute * (15 + minutes_left), minutes=15)

    full_at = plan_full_at(samples)

    assert full_at is not None
    assert abs(full_at - samples[-1].at - timedelta(minutes=minutes_left)) < timedelta(seconds=1)


def test_what_the_next_backup_needs_counts_as_full() -> None:
    samples = _falling(10, start=1000, minutes=15)

    assert plan_full_at(samples, needed_bytes=350) == samples[-1].at + timedelta(minutes=50)
    assert plan_full_at(samples, needed_bytes=900) == samples[-1].at


def test_a_disk_that_does_not_fill_is_never_full() -> None:
    assert plan_full_at(_falling(0, start=1000, minutes=15)) is None
    assert plan_full_at(_falling(-5, start=1000, minutes=15)) is None


def test_a_few_minutes_foretell_nothing() -> None:
    assert plan_full_at(_falling(100, start=10_000, minutes=9)) is None
    assert plan_full_at(_falling(100, start=10_000, minutes=15)[:: 15 // (FEWEST_SAMPLES - 2)]) is None
