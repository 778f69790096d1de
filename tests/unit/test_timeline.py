"""The timeline has no hole, promises nothing a backup does not hold, and marks what happened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from stratum.core.audit import audited
from stratum.core.backup import Manifest
from stratum.core.plan import JournalEntry, JournalKind, Plan, PlanEnd
from stratum.core.proof import Method, Proof, Verdict
from stratum.core.timeline import MomentKind, Reach, Span, Timeline, draw_timeline
from tests.fakes.console_coverage import base_manifest
from tests.fakes.console_records import manifest, proof, restore_plan

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PROMISE = timedelta(hours=26)
_VERDICTS = st.sampled_from([None, *Verdict])
_BACKUPS = st.lists(st.tuples(st.integers(0, 400), _VERDICTS), max_size=12, unique_by=lambda backup: backup[0])


def _taken(hours_ago: int) -> Manifest:
    return replace(
        manifest(days_ago=0, number=hours_ago), id=f"b{hours_ago}", taken_at=NOW - timedelta(hours=hours_ago)
    )


def _drilled(taken: Manifest, verdict: Verdict) -> Proof:
    return replace(proof(taken, verdict), finished_at=min(NOW, taken.taken_at + timedelta(hours=1)))


def _draw(backups: list[tuple[int, Verdict | None]]) -> Timeline:
    manifests = [_taken(hours_ago) for hours_ago, _ in backups]
    proofs = [_drilled(taken, v) for taken, (_, v) in zip(manifests, backups, strict=True) if v is not None]
    return draw_timeline(manifests, proofs, (), now=NOW, promise=PROMISE)


@given(_BACKUPS)
def test_the_spans_are_in_order_and_leave_no_hole(backups: list[tuple[int, Verdict | None]]) -> None:
    found = _draw(backups)

    edges = [found.begins, *(span.ends for span in found.spans)]
    assert [span.begins for span in found.spans] == edges[:-1]
    assert edges[-1] == found.ends == NOW
    assert all(span.begins < span.ends for span in found.spans)


@given(_BACKUPS)
def test_no_span_reaches_what_no_whole_and_recent_backup_holds(backups: list[tuple[int, Verdict | None]]) -> None:
    taken = {f"b{hours_ago}": NOW - timedelta(hours=hours_ago) for hours_ago, v in backups if v is not Verdict.FAILED}
    for span in _draw(backups).spans:
        if span.reach is Reach.NOTHING:
            assert span.backup_id is None
            assert not any(span.begins <= at < span.ends for at in taken.values())
        else:
            assert span.backup_id in taken
            assert span.begins == taken[span.backup_id]
            assert span.ends - span.begins <= PROMISE


@given(_BACKUPS)
def test_the_moments_are_in_order_and_nothing_that_happened_is_left_out(
    backups: list[tuple[int, Verdict | None]],
) -> None:
    moments = _draw(backups).moments

    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)
    assert sum(moment.kind is MomentKind.BACKUP for moment in moments) == len(backups)
    drills = [moment.verdict for moment in moments if moment.kind is MomentKind.DRILL]
    assert sorted(map(str, drills)) == sorted(str(v) for _, v in backups if v is not None)


def test_a_day_without_a_backup_is_a_gap_after_the_promise() -> None:
    spans = _draw([(60, Verdict.PROVEN), (10, None)]).spans

    assert [(span.reach, span.backup_id) for span in spans] == [
        (Reach.BACKUP_BEFORE, "b60"),
        (Reach.NOTHING, None),
        (Reach.BACKUP_BEFORE, "b10"),
    ]
    assert spans[0].ends == NOW - timedelta(hours=60) + PROMISE


def test_a_failed_backup_reaches_nothing_and_the_one_before_it_no_further() -> None:
    spans = _draw([(30, None), (5, Verdict.FAILED)]).spans

    assert [span.backup_id for span in spans] == ["b30", None]


def test_an_empty_archive_has_nothing_to_show() -> None:
    found = draw_timeline((), (), (), now=NOW, promise=PROMISE)

    assert (found.begins, found.ends, found.spans, found.moments) == (NOW, NOW, (), ())


def test_a_verification_is_not_marked_as_a_drill() -> None:
    taken = _taken(3)
    verified = replace(_drilled(taken, Verdict.PROVEN), method=Method.VERIFY)

    moments = draw_timeline((taken,), (verified,), (), now=NOW, promise=PROMISE).moments

    assert [moment.kind for moment in moments] == [MomentKind.BACKUP, MomentKind.VERIFY]


def test_a_restore_is_marked_when_it_was_carried_out_and_not_when_it_was_taken_back() -> None:
    done, declined = replace(restore_plan("b1"), id="done"), replace(restore_plan("b2"), id="declined")
    entries = (*_journal(done, PlanEnd.DONE), *_journal(declined, PlanEnd.DECLINED))

    moments = draw_timeline((), (), entries, now=NOW, promise=PROMISE).moments

    assert [(moment.kind, moment.id, moment.backup_id) for moment in moments] == [(MomentKind.RESTORE, "done", "b1")]


def _journal(plan: Plan, end: PlanEnd) -> tuple[JournalEntry, JournalEntry]:
    at = NOW - timedelta(hours=1)
    begun = JournalEntry(at=at, kind=JournalKind.PLAN_STARTED, plan_id=plan.id, verb=plan.verb, who="ada", plan=plan)
    return begun, replace(begun, kind=JournalKind.PLAN_ENDED, plan=None, end=end, at=at + timedelta(minutes=1))


def test_a_base_backup_is_marked_and_what_wal_covers_goes_before_what_a_dump_does() -> None:
    base = replace(base_manifest(), finished_at=NOW - timedelta(hours=5))
    covered = Span(begins=base.finished_at, ends=NOW, reach=Reach.EXACT, backup_id=base.id)
    found = draw_timeline((_taken(9),), (), (), now=NOW, promise=PROMISE, exact=(covered,), bases=(base,))

    assert [(moment.kind, moment.at) for moment in found.moments] == [
        (MomentKind.BACKUP, NOW - timedelta(hours=9)),
        (MomentKind.BASE_BACKUP, base.finished_at),
    ]
    assert [(span.reach, span.backup_id) for span in found.spans] == [
        (Reach.BACKUP_BEFORE, "b9"),
        (Reach.EXACT, base.id),
    ]


def test_a_restore_point_is_marked_at_the_server_s_time_and_named_in_the_audit() -> None:
    at = NOW - timedelta(hours=3)
    facts = {"name": "before-the-sale", "at": at.isoformat(), "lsn": "0/16B3748"}
    noted = JournalEntry(at=NOW, kind=JournalKind.NOTED, plan_id="p", verb="restore-point", who="ada", facts={**facts})
    found = draw_timeline((), (), (noted,), now=NOW, promise=PROMISE)

    assert [(m.kind, m.id, m.at) for m in found.moments] == [(MomentKind.RESTORE_POINT, "before-the-sale", at)]
    entry = audited(noted)
    assert entry is not None
    assert entry.details["name"] == "before-the-sale"
