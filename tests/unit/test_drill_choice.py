"""The moment a scheduled drill picks is one that can be reached, and each can be picked."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from stratum.agent.drill_choice import pick_moment
from stratum.core.timeline import Reach, Span
from tests.fixtures.manifests import NOW


def _spans(lengths: list[tuple[int, Reach]]) -> tuple[Span, ...]:
    found, at = [], NOW
    for length, reach in lengths:
        found.append(Span(begins=at, ends=at + timedelta(seconds=length), reach=reach, backup_id="b"))
        at += timedelta(seconds=length)
    return tuple(found)


@given(st.lists(st.tuples(st.integers(0, 100), st.sampled_from(Reach)), max_size=6).map(_spans))
def test_a_picked_moment_is_reached_exactly(spans: tuple[Span, ...]) -> None:
    picked = pick_moment(spans)

    exact = [span for span in spans if span.reach is Reach.EXACT and span.ends - span.begins >= timedelta(seconds=1)]
    assert (picked is None) == (exact == [])
    assert picked is None or any(span.begins <= picked < span.ends for span in exact)


def test_every_stretch_is_picked_from() -> None:
    spans = _spans([(2, Reach.EXACT), (50, Reach.NOTHING), (2, Reach.EXACT)])

    picked = {pick_moment(spans) for _ in range(400)}

    assert picked == {NOW, *(NOW + timedelta(seconds=n) for n in (1, 52, 53))}
