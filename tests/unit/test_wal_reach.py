"""The timeline calls exact what base backups and WAL reach to the second, and nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta

from stratum.core.timeline import Reach, Span, draw_timeline
from stratum.core.wal import SEGMENT_BYTES, Switch, TimelineHistory
from stratum.core.wal_reach import exact_spans
from tests.fixtures.manifests import NOW, a_manifest
from tests.fixtures.received_wal import BEGAN_AT, a_base, an_inventory, filled_at, segments


def _stretches(spans: tuple[Span, ...]) -> list[tuple[datetime, datetime, str | None]]:
    return [(span.begins, span.ends, span.backup_id) for span in spans]


def test_a_base_backup_reaches_as_far_as_wal_follows_it_without_a_gap() -> None:
    base = a_base("b", stop_segment=3)

    spans = exact_spans((base,), (an_inventory([2, 3, 4, 5, 7, 8]),), now=NOW)

    assert _stretches(spans) == [(base.finished_at, filled_at(5), "b")]


def test_a_later_base_backup_reaches_on_behind_the_gap_and_takes_over_where_both_do() -> None:
    old, newer, new = a_base("old", stop_segment=2), a_base("newer", stop_segment=4), a_base("new", stop_segment=8)

    spans = exact_spans((old, newer, new), (an_inventory([2, 3, 4, 5, 8], partial=9),), now=NOW)

    assert _stretches(spans) == [
        (old.finished_at, newer.finished_at, "old"),
        (newer.finished_at, filled_at(5), "newer"),
        (new.finished_at, filled_at(9), "new"),
    ]


def test_while_wal_is_received_the_last_stretch_ends_now() -> None:
    now = filled_at(4) + timedelta(seconds=2)

    (span,) = exact_spans((a_base("b", stop_segment=3),), (an_inventory([3], partial=4),), now=now)

    assert span.ends == now


def test_a_base_backup_without_wal_or_of_another_cluster_is_no_stretch() -> None:
    base = a_base("b", stop_segment=3)

    assert exact_spans((base,), (an_inventory([1, 2]),), now=NOW) == ()
    assert exact_spans((base,), (), now=NOW) == ()


def test_wal_is_followed_onto_the_timeline_that_left_the_one_of_the_base_backup() -> None:
    switch = Switch(parent=1, lsn=5 * SEGMENT_BYTES + 10, reason="")
    inventory = an_inventory(
        [3, 4],
        others=segments([5, 6, 7], timeline=2),
        histories=(TimelineHistory(timeline=2, ancestors=(switch,)),),
    )

    (span,) = exact_spans((a_base("b", stop_segment=3),), (inventory,), now=NOW)

    assert span.ends == filled_at(7)


def test_a_timeline_that_left_behind_the_gap_is_not_reached() -> None:
    switch = Switch(parent=1, lsn=7 * SEGMENT_BYTES, reason="")
    inventory = an_inventory(
        [3, 4],
        others=segments([7, 8], timeline=2),
        histories=(TimelineHistory(timeline=2, ancestors=(switch,)),),
    )

    (span,) = exact_spans((a_base("b", stop_segment=3),), (inventory,), now=NOW)

    assert span.ends == filled_at(4)


def test_on_the_timeline_what_wal_covers_goes_before_what_only_a_dump_does() -> None:
    dump = a_manifest("dump", taken_at=BEGAN_AT)
    spans = exact_spans((a_base("b", stop_segment=60),), (an_inventory(range(60, 120)),), now=NOW)
    (exact,) = spans

    drawn = draw_timeline((dump,), (), (), now=NOW, promise=timedelta(hours=26), exact=spans)

    assert [(span.begins, span.ends, span.reach, span.backup_id) for span in drawn.spans] == [
        (BEGAN_AT, exact.begins, Reach.BACKUP_BEFORE, "dump"),
        (exact.begins, exact.ends, Reach.EXACT, "b"),
        (exact.ends, NOW, Reach.BACKUP_BEFORE, "dump"),
    ]
