"""Numbers, sizes, durations and times as pages show them, in both languages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from stratum.core.sizes import render_age
from stratum.core.sizes import render_bytes as plain_bytes
from stratum.frontend.render import (
    UNKNOWN,
    parse_time,
    render_bytes,
    render_duration,
    render_number,
    render_time,
    render_when,
)

_NARROW = "\u202f"


def test_a_number_has_the_separators_of_its_language() -> None:
    assert render_number(1234567, language="en") == "1,234,567"
    assert render_number(1234567.25, language="fr", decimals=2) == f"1{_NARROW}234{_NARROW}567,25"


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1_500_000, 3 * 1024**4, 5 * 1024**6])
def test_a_size_says_the_same_as_on_the_command_line(count: int) -> None:
    assert render_bytes(count, language="en").replace(_NARROW, " ").replace(",", "") == plain_bytes(count)


def test_a_size_in_french_counts_octets() -> None:
    assert render_bytes(1_500_000, language="fr") == f"1,4{_NARROW}Mio"


@pytest.mark.parametrize("seconds", [0.0, 0.44, 9.94, 12.3, 59.4, 60, 3600, 12_345, 86_400, 93_784, 864_000])
def test_a_duration_says_the_same_as_the_sentence(seconds: float) -> None:
    assert render_duration(seconds, language="en").replace(_NARROW, " ") == render_age(timedelta(seconds=seconds))


def test_a_duration_in_french_counts_days_in_jours() -> None:
    assert render_duration(187_200, language="fr") == f"2{_NARROW}j 4{_NARROW}h"


def test_what_was_not_measured_is_a_dash_and_never_a_zero() -> None:
    assert render_duration(None, language="en") == render_bytes(None, language="fr") == UNKNOWN
    assert str(render_time(None, language="en")) == render_when(None, language="en") == UNKNOWN


def test_a_time_is_shown_in_utc_and_exact_to_the_second_for_programs() -> None:
    at = datetime(2026, 8, 5, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    html = str(render_time(at, language="fr"))
    assert 'datetime="2026-08-05T01:04:05Z"' in html
    assert "5 août 2026, 01:04 UTC</time>" in html
    assert "2026-08-05 01:04:05 UTC" in html


def test_a_time_without_a_zone_is_taken_as_utc() -> None:
    assert parse_time("2026-08-05T01:04") == datetime(2026, 8, 5, 1, 4, tzinfo=UTC)
    assert parse_time(" 2026-08-05 01:04+02:00 ") == datetime(2026, 8, 4, 23, 4, tzinfo=UTC)
