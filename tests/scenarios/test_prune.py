"""prune on a real stack: what goes, what stays whatever the policy, and when nothing may go at all."""

from __future__ import annotations

import dataclasses
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from stratum.adapters.records import to_json
from stratum.core.errors import StratumError
from stratum.core.plan import Plan
from stratum.core.proof import Verdict
from stratum.core.retention import RetentionPolicy
from stratum.core.wal import SegmentName
from stratum.engine.prune import prune
from stratum.engine.restore import Target, restore
from stratum.engine.take_base_backup import take_base_backup
from stratum.engine.take_dump import take_dump
from stratum.ports import Ports
from tests.fakes.settable_clock import SettableClock
from tests.fixtures.stacks import DATABASE, StackUnderTest, fill

STRICT = RetentionPolicy(keep_days=0, keep_last=1)


def _older(stack: StackUnderTest, *, days: int) -> str:
    """The stack's first backup once more, as if it had been taken so many days earlier."""
    archive = stack.ports().archive
    manifest = max(archive.manifests(), key=lambda found: found.taken_at)
    taken_at = manifest.taken_at - timedelta(days=days)
    backup_id = f"{taken_at:%Y-%m-%dT%H-%M-%SZ}-{days:04}"
    copy = stack.archive / "dumps" / backup_id
    shutil.copytree(archive.backup_path(manifest.id), copy)
    aged = dataclasses.replace(manifest, id=backup_id, started_at=taken_at, taken_at=taken_at, finished_at=taken_at)
    (copy / "manifest.json").write_text(to_json(aged) + "\n")
    return backup_id


def _with(stack: StackUnderTest, policy: RetentionPolicy, *, now: datetime | None = None) -> Ports:
    ports = stack.ports()
    changed = dataclasses.replace(ports.stack, retention=policy)
    return stack.ports(stack=changed, clock=SettableClock(now) if now else ports.clock)


def _kept(stack: StackUnderTest) -> set[str]:
    return {manifest.id for manifest in stack.ports().archive.manifests()}


def _said(plan: Plan, backup_id: str) -> str:
    return next(step.summary for step in plan.steps if backup_id in step.name)


def test_backups_older_than_fourteen_days_go_and_the_plan_says_why(stack: StackUnderTest) -> None:
    (newest,) = _kept(stack)
    stack.drill()
    ids = {days: _older(stack, days=days) for days in (1, 13, 15, 40)}
    plan = prune(stack.ports()).plan
    assert _kept(stack) == {newest, ids[1], ids[13]}
    assert "older than 14 days" in _said(plan, ids[15])
    assert "frees" in _said(plan, ids[40])
    assert not [path for path in (stack.archive / "dumps").iterdir() if path.name not in _kept(stack)]
    assert stack.cli("verify", "--all").returncode == 0


@pytest.mark.parametrize(
    ("policy", "stay"),
    [
        (RetentionPolicy(keep_days=0, keep_last=2), {1}),
        (RetentionPolicy(keep_days=0, keep_last=1, daily=3), {1, 2}),
        (RetentionPolicy(keep_days=0, keep_last=1, weekly=3), {7, 14}),
        (RetentionPolicy(keep_days=0, keep_last=1, monthly=3), {31, 62}),
    ],
)
def test_each_rule_keeps_what_it_names(stack: StackUnderTest, policy: RetentionPolicy, stay: set[int]) -> None:
    """A month's newest is asked for where the days around it are of the same month."""
    (newest,) = _kept(stack)
    stack.drill()
    ids = {days: _older(stack, days=days) for days in stay}
    prune(_with(stack, policy))
    assert _kept(stack) == {newest, *ids.values()}
    prune(_with(stack, STRICT))
    assert _kept(stack) == {newest}


def test_the_newest_proven_backup_stays_under_the_strictest_policy(stack: StackUnderTest) -> None:
    (newest,) = _kept(stack)
    proven, unproven = _older(stack, days=400), _older(stack, days=30)
    assert stack.drill(proven).verdict is Verdict.PROVEN
    prune(_with(stack, STRICT))
    assert _kept(stack) == {newest, proven}
    assert unproven not in _kept(stack)


def test_nothing_goes_before_anything_is_proven(stack: StackUnderTest) -> None:
    _older(stack, days=100)
    prune(_with(stack, STRICT))
    assert len(_kept(stack)) == 2


def test_a_pinned_backup_stays_until_it_is_unpinned(stack: StackUnderTest) -> None:
    stack.drill()
    old = _older(stack, days=100)
    stack.ports().archive.pin(old, pinned=True)
    prune(_with(stack, STRICT))
    assert old in _kept(stack)
    stack.ports().archive.pin(old, pinned=False)
    prune(_with(stack, STRICT))
    assert old not in _kept(stack)


def test_retention_stops_when_the_newest_drill_failed(stack: StackUnderTest) -> None:
    stack.drill()
    old = _older(stack, days=100)
    damaged = _older(stack, days=1)
    data = next((stack.archive / "dumps" / damaged).rglob("*.dat*"))
    data.write_bytes(data.read_bytes()[:-1])
    assert stack.drill(damaged).verdict is Verdict.FAILED
    before = _kept(stack)
    with pytest.raises(StratumError) as refused:
        prune(_with(stack, STRICT))
    assert (refused.value.code, refused.value.exit) == ("retention-stopped", 10)
    assert _kept(stack) == before
    assert stack.drill(next(iter(before - {old, damaged}))).verdict is Verdict.PROVEN
    prune(_with(stack, STRICT))
    assert old not in _kept(stack)


def test_retention_stops_when_the_rows_collapsed(stack: StackUnderTest) -> None:
    stack.drill()
    old = _older(stack, days=100)
    stack.execute("DELETE FROM orders", "DELETE FROM events")
    with pytest.raises(StratumError) as collapsed:
        stack.backup()
    assert (collapsed.value.code, collapsed.value.exit) == ("rows-collapsed", 13)
    with pytest.raises(StratumError) as refused:
        prune(_with(stack, STRICT))
    assert refused.value.code == "retention-stopped"
    assert old in _kept(stack)
    take_dump(stack.ports(), accept_fewer_rows=True)
    prune(_with(stack, STRICT))
    assert old not in _kept(stack)


def test_retention_stops_when_the_clock_went_back(stack: StackUnderTest) -> None:
    stack.drill()
    old = _older(stack, days=100)
    with pytest.raises(StratumError) as refused:
        prune(_with(stack, STRICT, now=datetime.now(UTC) - timedelta(hours=1)))
    assert (refused.value.code, refused.value.exit) == ("clock-behind", 10)
    assert old in _kept(stack)


def test_a_replaced_database_is_dropped_after_its_undo_window_and_not_before(stack: StackUnderTest) -> None:
    now = datetime.now(UTC)
    long_ago = stack.ports(clock=SettableClock(now - timedelta(hours=73)))
    expired = str(restore(long_ago, Target()).plan.params["kept"])
    lately = stack.ports(clock=SettableClock(now - timedelta(hours=71)))
    unexpired = str(restore(lately, Target()).plan.params["kept"])
    assert {expired, unexpired} <= stack.databases()
    plan = prune(stack.ports()).plan
    assert stack.databases() == {"postgres", DATABASE, unexpired}
    assert "its undo window is over" in next(step.summary for step in plan.steps if expired in step.name)
    stack.undo()


def test_a_data_directory_that_was_kept_aside_goes_with_its_undo_window(stopped_stack: StackUnderTest) -> None:
    stack = stopped_stack
    now = datetime.now(UTC)
    (stack.data / "global" / "pg_control").unlink()
    restore(stack.ports(clock=SettableClock(now - timedelta(hours=71))), Target())
    (kept,) = stack.ports().runtime.kept_clusters()
    prune(stack.ports())
    assert stack.ports().runtime.kept_clusters() == (kept,)
    prune(_with(stack, RetentionPolicy(), now=now + timedelta(hours=2)))
    assert stack.ports().runtime.kept_clusters() == ()


def test_a_database_that_no_restore_replaced_is_never_dropped(stack: StackUnderTest) -> None:
    name = f"{DATABASE}__before_abcd"
    stack.execute(f"CREATE DATABASE {name}", database="postgres")
    prune(_with(stack, RetentionPolicy(), now=datetime.now(UTC) + timedelta(days=400)))
    assert name in stack.databases()


def test_a_backup_of_another_stack_in_the_archive_is_never_removed(
    stack: StackUnderTest, empty_place: StackUnderTest
) -> None:
    fill(empty_place, script="CREATE TABLE theirs (id int)")
    foreign = next(path for path in (empty_place.archive / "dumps").iterdir())
    text = (foreign / "manifest.json").read_text().replace('"stack":"led"', '"stack":"another"')
    assert '"stack":"another"' in text
    shutil.copytree(foreign, stack.archive / "dumps" / foreign.name)
    (stack.archive / "dumps" / foreign.name / "manifest.json").write_text(text)
    stack.drill()
    prune(_with(stack, STRICT, now=datetime.now(UTC) + timedelta(days=400)))
    assert (stack.archive / "dumps" / foreign.name / "manifest.json").exists()


def _older_base(stack: StackUnderTest, *, days: int, segments: int) -> str:
    """The base backup once more, as if it had been taken so many days and WAL files earlier."""
    wal = stack.ports().wal
    base = wal.bases()[-1]
    at, start = base.finished_at - timedelta(days=days), base.start_lsn - segments * base.segment_bytes
    base_id = f"{at:%Y-%m-%dT%H-%M-%SZ}-{days:04}"
    shutil.copytree(wal.base_path(base.id), stack.archive / "base" / base_id)
    aged = dataclasses.replace(base, id=base_id, started_at=at, finished_at=at, start_lsn=start, stop_lsn=start + 1)
    (stack.archive / "base" / base_id / "manifest.json").write_text(to_json(aged) + "\n")
    return base_id


def test_base_backups_before_the_recovery_window_go_with_the_wal_that_only_they_need(stack: StackUnderTest) -> None:
    stack.execute("SELECT pg_switch_wal()", "CREATE TABLE filler ()", "SELECT pg_switch_wal()", "DROP TABLE filler")
    newest = str(take_base_backup(stack.ports()).facts["backup_id"])
    begins, old = _older_base(stack, days=8, segments=1), _older_base(stack, days=20, segments=2)
    ports = stack.ports()
    base = ports.wal.bases()[-1]
    first = base.start_lsn // base.segment_bytes
    folder = ports.wal.wal_path(base.cluster.system_identifier) / "00000001"
    folder.mkdir(parents=True)
    names = {n: f"{SegmentName(timeline=1, number=n).file_name()}.zst" for n in (first - 2, first - 1, first)}
    for name in names.values():
        (folder / name).write_bytes(b"wal")
    (folder / "SHA256SUMS").write_text("".join(f"{'0' * 64}  {name}\n" for name in names.values()))

    plan = prune(ports).plan

    assert {base.id for base in ports.wal.bases()} == {newest, begins}
    assert "older than the recovery window" in _said(plan, old)
    assert "remove WAL before segment" in _said(plan, f"wal-{base.cluster.system_identifier}")
    assert {path.name for path in folder.glob("*.zst")} == {names[first - 1], names[first]}
    assert begins in (stack.archive / "base" / "RESTORE.md").read_text()
    assert old not in (stack.archive / "base" / "RESTORE.md").read_text()
