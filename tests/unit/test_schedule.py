"""The schedule keeps its times in every zone, across every change of clocks, and catches up once."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from stratum.agent.schedule import next_time
from stratum.config import load_settings
from stratum.core.errors import StratumError
from stratum.core.schedule import ScheduleBook, asked_for, last_run
from tests.fixtures.manifests import NOW

_ZONES = ("Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata", "UTC")
_MOMENTS = some.integers(0, 15 * 365 * 1440).map(
    lambda minute: datetime(2015, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
)
_DAILY = some.builds("{} {} * * *".format, some.integers(0, 59), some.integers(0, 23))


@given(some.sampled_from(_ZONES), _DAILY, _MOMENTS)
def test_a_daily_time_comes_once_on_each_day_of_its_zone(zone_name: str, expression: str, start: datetime) -> None:
    zone, at = ZoneInfo(zone_name), start
    days = []
    for _ in range(8):
        later = next_time(expression, zone, at)
        assert later > at
        days.append(later.astimezone(zone).date())
        at = later

    assert [later - earlier for earlier, later in itertools.pairwise(days)] == [timedelta(days=1)] * 7


@given(some.sampled_from(_ZONES), _DAILY, _MOMENTS, some.integers(1, 60 * 24))
def test_a_run_a_little_late_is_not_run_again_before_its_next_time(
    zone_name: str, expression: str, start: datetime, minutes_late: int
) -> None:
    zone = ZoneInfo(zone_name)
    due = next_time(expression, zone, start)
    following = next_time(expression, zone, due)
    late = min(due + timedelta(minutes=minutes_late), following - timedelta(seconds=1))

    assert next_time(expression, zone, late) == following


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-03-28T12:00:00+01:00", "2026-03-29T01:00:00+00:00"),  # 02:30 does not exist: right after the gap
        ("2026-10-24T12:00:00+02:00", "2026-10-25T00:30:00+00:00"),  # 02:30 comes twice: the first
    ],
)
def test_the_hour_that_is_skipped_and_the_hour_that_comes_twice(day: str, expected: str) -> None:
    found = next_time("30 2 * * *", ZoneInfo("Europe/Paris"), datetime.fromisoformat(day))

    assert found == datetime.fromisoformat(expected)


def test_the_newest_of_book_and_evidence_counts_and_the_future_does_not() -> None:
    book = asked_for(ScheduleBook(), "backup", NOW - timedelta(hours=2))
    evidence = (NOW - timedelta(hours=1), NOW + timedelta(days=400))

    assert last_run(book, "backup", evidence, now=NOW) == NOW - timedelta(hours=1)
    assert last_run(book, "backup", (), now=NOW) == NOW - timedelta(hours=2)
    assert last_run(book, "drill", (), now=NOW) is None


@pytest.mark.parametrize(
    ("section", "setting"),
    [
        ('[backup]\nschedule = "every night"', "[backup] schedule"),
        ('[backup]\nschedule = "0 25 * * *"', "[backup] schedule"),
        ('[drill]\nschedule = "* * * *"', "[drill] schedule"),
        ('[backup]\ntimezone = "Mars/Olympus"', "[backup] timezone"),
        ('[backup]\ntimezone = "../../etc/passwd"', "[backup] timezone"),
    ],
)
def test_a_time_nobody_can_keep_is_refused_when_the_settings_are_read(
    tmp_path: Path, section: str, setting: str
) -> None:
    (tmp_path / "stratum.toml").write_text(f'[stack]\nname = "led"\n{section}\n')

    with pytest.raises(StratumError) as refused:
        load_settings(tmp_path)

    assert refused.value.code == "invalid-setting"
    assert refused.value.details["setting"] == setting
