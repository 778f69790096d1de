"""The recovery window under any history: every second in it stays reachable, and what somebody needs stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from stratum.core.base_backup import BaseManifest
from stratum.core.retention import decide_bases, oldest_needed
from tests.fixtures.base_manifests import a_base
from tests.fixtures.manifests import NOW, an_identity

_CLUSTERS = ("7000000000000000001", "7000000000000000002")


@st.composite
def _histories(draw: st.DrawFn) -> tuple[BaseManifest, ...]:
    """Base backups in the order of their WAL, of up to two clusters."""
    hours = sorted(draw(st.lists(st.integers(0, 24 * 30), unique=True, max_size=12)), reverse=True)
    return tuple(
        a_base(
            f"b{hour}",
            first_segment=number * 5 + 1,
            finished_at=NOW - timedelta(hours=hour),
            cluster=an_identity(system_identifier=draw(st.sampled_from(_CLUSTERS))),
        )
        for number, hour in enumerate(hours)
    )


_windows = st.integers(0, 24 * 20).map(lambda hours: timedelta(hours=hours))


@given(_histories(), _windows, st.integers(0, 24 * 20))
def test_whatever_moment_of_the_window_is_asked_for_has_a_base_backup_before_it(
    bases: tuple[BaseManifest, ...], window: timedelta, hours_ago: int
) -> None:
    moment = NOW - min(timedelta(hours=hours_ago), window)
    decided = {d.backup_id: d.keep for d in decide_bases(bases, needed=frozenset(), window=window, now=NOW)}

    reaching = [base for base in bases if base.finished_at <= moment]

    if reaching:
        newest = max(reaching, key=lambda base: base.finished_at)
        assert decided[newest.id], "the base backup that is nearest before the moment stays"


@given(_histories(), _windows)
def test_each_base_backup_that_stays_has_all_of_its_wal(bases: tuple[BaseManifest, ...], window: timedelta) -> None:
    decided = decide_bases(bases, needed=frozenset(), window=window, now=NOW)
    kept = {d.backup_id for d in decided if d.keep}
    oldest = oldest_needed(bases, decided)

    for base in bases:
        if base.id in kept:
            assert oldest[base.cluster.system_identifier].number <= base.start_lsn // base.segment_bytes
    for cluster, first in oldest.items():
        starts = [b.start_lsn // b.segment_bytes for b in bases if b.cluster.system_identifier == cluster]
        assert first.number in starts, "no more is kept than a base backup needs"


@given(_histories(), _windows, st.data())
def test_what_somebody_needs_stays_and_the_newest_of_each_cluster(
    bases: tuple[BaseManifest, ...], window: timedelta, data: st.DataObject
) -> None:
    needed = frozenset(data.draw(st.sets(st.sampled_from([base.id for base in bases] or ["none"]))))
    kept = {d.backup_id for d in decide_bases(bases, needed=needed, window=window, now=NOW) if d.keep}

    assert needed & {base.id for base in bases} <= kept
    for cluster in {base.cluster.system_identifier for base in bases}:
        own = [base for base in bases if base.cluster.system_identifier == cluster]
        assert max(own, key=lambda base: base.finished_at).id in kept


def test_one_that_only_older_moments_need_goes() -> None:
    old, begins, newer = (
        replace(a_base(f"b{days}", first_segment=20 - days), finished_at=NOW - timedelta(days=days))
        for days in (12, 8, 1)
    )

    decided = decide_bases((old, begins, newer), needed=frozenset(), window=timedelta(days=7), now=NOW)

    assert {d.backup_id: d.keep for d in decided} == {"b12": False, "b8": True, "b1": True}
    assert oldest_needed((old, begins, newer), decided)[_CLUSTERS[0]].number == 12
