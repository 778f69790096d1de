"""Every plan is killed at every step, and the next command brings it to an end without a row missing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from stratum.core.plan import JournalEntry, JournalKind
from stratum.engine.restore import Target
from stratum.engine.restore_table import restore_table
from stratum.engine.take_base_backup import take_base_backup
from stratum.ports import Role, RunState
from tests.fixtures.cut_child import INTO, TABLE
from tests.fixtures.cut_stacks import CutStack

_LOST = ("cluster-absent",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """One verb in one situation."""

    verb: str
    prepare: Callable[[CutStack], None] = lambda _: None
    """Makes the situation; called before every cut."""
    may_say: tuple[str, ...] = ()
    """What `up` may answer after the recovery, where what was lost is still lost."""
    during: tuple[str, ...] = ()
    """Moments in the middle of steps."""
    quick: tuple[str, ...] = ()
    """Where set, the only moments tried outside the long run: another story covers the other steps."""
    rows_stay: bool = True
    """Whether the live rows of before are still in some database of a running server."""
    holds_rows: bool = True
    """Whether a running server has rows at all."""


def _lose_everything(cut: CutStack) -> None:
    if cut.stack.ports().runtime.observe().state is RunState.RUNNING:
        cut.stack.kill()
        shutil.rmtree(cut.stack.data)


def _damage(cut: CutStack) -> None:
    if cut.stack.ports().runtime.observe().state is RunState.RUNNING:
        cut.stack.kill()
        (cut.stack.data / "global" / "pg_control").unlink()


def _drop_into(cut: CutStack) -> None:
    cut.stack.ports().runtime.server(Role.MAINTENANCE).database.drop_database(INTO)


def _swap_once(cut: CutStack) -> None:
    if not any(e.verb == "restore" for e in cut.entries()):
        cut.stack.restore()


def _restore_a_table(cut: CutStack) -> None:
    restore_table(cut.stack.ports(), Target(), TABLE)


def _let_backups_expire(cut: CutStack) -> None:
    """One more backup than retention keeps, and a replaced database."""
    cut.stack.restore()
    cut.stack.backup()


def _bring_back(cut: CutStack) -> None:
    if cut.stack.ports().runtime.observe().state is RunState.ABSENT:
        cut.finish("restore")


def _start_over(cut: CutStack) -> None:
    """As before the very first start: no cluster, and none recorded."""
    ports = cut.stack.ports()
    ports.runtime.remove_cluster()
    ports.archive.forget_identity()


def _copy_the_cluster(cut: CutStack) -> None:
    """A base backup with its own WAL: as far as it reaches, the cluster can be brought back."""
    _bring_back(cut)
    if not cut.stack.ports().wal.bases():
        take_base_backup(cut.stack.ports())


def _replace_the_cluster(cut: CutStack) -> None:
    _copy_the_cluster(cut)
    if not cut.stack.ports().runtime.kept_clusters():
        cut.finish("restore-cluster")


def _look_older(cut: CutStack) -> None:
    archive = cut.stack.ports().archive
    recorded = archive.recorded_identity()
    assert recorded is not None
    archive.record_identity(replace(recorded, flushed_lsn=recorded.flushed_lsn + (1 << 40)))


STORIES = {
    "backup": Story(verb="backup", during=("during:pg_dump", "during:pg_restore")),
    "drill": Story(verb="drill", during=("during:initdb", "during:postgres", "during:pg_restore")),
    "restore": Story(verb="restore", during=("during:pg_restore", "inside:swap")),
    "restore after total loss": Story(
        verb="restore", prepare=_lose_everything, may_say=_LOST, rows_stay=False,
        during=("during:initdb", "during:pg_ctl", "during:pg_restore", "inside:swap"),
        quick=("during:initdb", "before:5", "before:9", "inside:swap", "before:13"),
    ),
    "restore of a damaged cluster": Story(
        verb="restore", prepare=_damage, may_say=("server-start-failed",), rows_stay=False,
        during=("during:pg_restore",), quick=("before:3", "during:pg_restore"),
    ),
    "restore into": Story(verb="restore-into", prepare=_drop_into, during=("during:pg_restore",)),
    "undo of a restore": Story(verb="undo-restore", prepare=_swap_once, during=("inside:swap",)),
    "restore of a table": Story(verb="restore-table", during=("during:pg_restore", "during:pg_dump")),
    "placing of a table": Story(verb="place-table", prepare=_restore_a_table),
    "drill of a moment": Story(
        verb="drill-moment", prepare=_copy_the_cluster, during=("during:pg_verifybackup", "during:postgres"),
    ),
    "restore of a cluster": Story(
        verb="restore-cluster", prepare=_copy_the_cluster, rows_stay=False, during=("during:pg_verifybackup",),
    ),
    "undo of a restore of a cluster": Story(
        verb="undo-restore-cluster", prepare=_replace_the_cluster, rows_stay=False,
    ),
    "prune": Story(verb="prune", prepare=_let_backups_expire, during=("inside:removal",)),
    "destroy": Story(
        verb="destroy", prepare=_bring_back, may_say=_LOST, rows_stay=False, during=("before:9", "inside:removal"),
    ),
    "first start": Story(
        verb="up", prepare=_start_over, rows_stay=False, holds_rows=False, during=("during:initdb", "during:pg_ctl"),
    ),
    "migrate": Story(verb="migrate", during=(f"during:{Path(sys.executable).name}",)),
    "identity accept": Story(verb="identity-accept", prepare=_look_older, may_say=("cluster-older",)),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_a_plan_killed_after_a_step_and_before_its_entry_is_brought_to_an_end(cut_stack: CutStack, name: str) -> None:
    """Each step took effect and the journal does not know it; then also the end of the plan, and the verb as ever."""
    story = STORIES[name]
    entries = _entries_of(cut_stack, story)
    own = {n: entry for n, entry in enumerate(entries, start=1) if entry.plan_id == entries[0].plan_id}
    done = [n for n, entry in own.items() if entry.kind is JournalKind.STEP_DONE]
    all_moments = (*(f"before:{n}" for n in done), f"before:{len(entries)}", *story.during)
    for moment in story.quick or all_moments:
        _cut_and_recover(cut_stack, story, moment)
    story.prepare(cut_stack)
    cut_stack.finish(story.verb)


@pytest.mark.torture
@pytest.mark.parametrize("name", STORIES)
def test_a_plan_killed_at_any_entry_any_number_of_times_is_brought_to_an_end(cut_stack: CutStack, name: str) -> None:
    story = STORIES[name]
    count = len(_entries_of(cut_stack, story))
    for _ in range(2):
        for number in range(1, count + 1):
            _cut_and_recover(cut_stack, story, f"before:{number}")
            _cut_and_recover(cut_stack, story, f"after:{number}")
        for moment in story.during:
            _cut_and_recover(cut_stack, story, moment)
    story.prepare(cut_stack)
    cut_stack.finish(story.verb)


def _entries_of(cut: CutStack, story: Story) -> tuple[JournalEntry, ...]:
    """Run the verb once to its end: the entries it wrote, in order; those of the plans within it too."""
    story.prepare(cut)
    before = len(cut.entries())
    cut.finish(story.verb)
    return cut.entries()[before:]


def _cut_and_recover(cut: CutStack, story: Story, moment: str) -> None:
    story.prepare(cut)
    mark = cut.write_mark() if story.rows_stay else ""
    before = cut.notes_by_place() if story.rows_stay else {}
    proven = cut.newest_proven()
    cut.cut(story.verb, moment)
    said = cut.recover(may_say=story.may_say)
    cut.assert_nothing_is_left_over()
    cut.assert_every_backup_is_whole(proven_before=proven)
    if said is None and story.rows_stay:
        cut.assert_rows_are_whole(before, mark)
    if story.holds_rows and cut.stack.ports().runtime.observe().state is RunState.RUNNING:
        assert len(cut.notes()) >= 100
