"""Numbers are rendered as a person reads them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.core.sizes import render_age, render_bytes


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1.4 * 2**20, "1.4 MiB"),
        (2**50, "1.0 PiB"),
        (2**70, "1048576.0 PiB"),
        (-2048, "-2.0 KiB"),
    ],
)
def test_bytes_are_shown_in_the_largest_unit_that_fits(count: float, text: str) -> None:
    assert render_bytes(count) == text


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(), "0.0 s"),
        (timedelta(seconds=0.44), "0.4 s"),
        (timedelta(seconds=41), "41 s"),
        (timedelta(minutes=200), "3 h 20 min"),
        (timedelta(days=2, hours=4, minutes=5), "2 d 4 h"),
        (timedelta(days=2, minutes=5), "2 d 5 min"),
        (timedelta(seconds=-5), "0.0 s"),
    ],
)
def test_an_age_is_shown_in_its_two_largest_units(age: timedelta, text: str) -> None:
    assert render_age(age) == text


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=4000)))
def test_every_age_can_be_read(age: timedelta) -> None:
    assert render_age(age).strip()
