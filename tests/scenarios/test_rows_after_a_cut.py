"""What is written between a crash and the next command stays, whichever way the cut plan is brought to an end."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable

import pytest

from stratum.core.errors import ExitCode, StratumError
from stratum.core.plan import Facts, PlanEnd
from stratum.engine.destroy import destroy
from stratum.engine.finish_plans import under_lock
from stratum.engine.restore import Target, restore
from stratum.engine.run_plan import run_plan
from stratum.engine.take_dump import take_dump
from stratum.ports import Action, Outcome, Ports, Prepared, RunState
from stratum.wiring import init_stack
from tests.fixtures.cut_stacks import CutStack
from tests.fixtures.stacks import DATABASE, OWNER, Asked, StackUnderTest

BEFORE_SWAP, AFTER_SWAP = "inside:swap", "before:9"
"""The ninth entry of a restore says that the swap is done."""


def test_rows_written_after_a_swap_that_a_crash_cut_stay_live(cut_stack: CutStack) -> None:
    cut_stack.cut("restore", AFTER_SWAP)
    mark = cut_stack.write_mark()
    cut_stack.recover()
    assert mark in cut_stack.notes()
    assert cut_stack.stack.databases() >= {DATABASE, _kept(cut_stack)}


def test_rows_written_after_a_crash_before_the_swap_are_not_swapped_away(cut_stack: CutStack) -> None:
    cut_stack.cut("restore", "after:8")
    mark = cut_stack.write_mark()
    cut_stack.recover()
    assert mark in cut_stack.notes()
    assert cut_stack.stack.databases() & {_kept(cut_stack)} == set()


def test_a_database_closed_for_a_swap_is_open_again_after_the_next_command(cut_stack: CutStack) -> None:
    before = cut_stack.notes()
    cut_stack.cut("restore", BEFORE_SWAP)
    assert _is_open(cut_stack) is False
    cut_stack.recover()
    assert cut_stack.notes() == before


def test_a_swap_leaves_the_live_database_open_at_the_moment_it_is_renamed(cut_stack: CutStack) -> None:
    cut_stack.cut("restore", AFTER_SWAP)
    assert _is_open(cut_stack) is True


def test_rows_written_after_a_crash_before_the_deletion_are_not_deleted(cut_stack: CutStack) -> None:
    """A person agreed to a deletion that a final backup covers: it does not cover what came after."""
    entries = _entries_until(cut_stack, "destroy", step="delete")
    cut_stack.cut("destroy", f"after:{entries}")
    mark = cut_stack.write_mark()
    cut_stack.recover()
    assert mark in cut_stack.notes()


def test_rows_written_to_a_first_cluster_before_it_was_recorded_stay(empty_place: StackUnderTest) -> None:
    init_stack(empty_place.directory, name="led", archive="archive", console=False)
    cut = CutStack(stack=empty_place)
    cut.cut("up", "before:5")
    empty_place.execute("CREATE TABLE book AS SELECT 1 AS id, 'kept' AS note", user=OWNER)
    cut.recover()
    assert cut.notes() == ["kept"]
    assert empty_place.ports().archive.recorded_identity() is not None


def test_a_cut_start_is_not_ended_by_a_backup(cut_stack: CutStack) -> None:
    """The server has served since the crash: finding out about it is no reason to stop it."""
    cut_stack.stack.stop()
    cut_stack.cut("up", "before:3")
    pid = (cut_stack.stack.data / "postmaster.pid").read_text().splitlines()[0]
    assert cut_stack.stack.cli("backup").returncode == 0
    assert (cut_stack.stack.data / "postmaster.pid").read_text().splitlines()[0] == pid


@pytest.mark.parametrize("moment", [BEFORE_SWAP, AFTER_SWAP, "after:4"])
def test_a_backup_removed_after_the_crash_does_not_block_the_next_command(cut_stack: CutStack, moment: str) -> None:
    cut_stack.stack.backup()
    cut_stack.cut("restore", moment)
    newest = max((cut_stack.stack.archive / "dumps").iterdir())
    shutil.rmtree(newest)
    cut_stack.recover()
    cut_stack.assert_nothing_is_left_over()


@pytest.mark.parametrize("verb", ["restore", "restore-table", "restore-into", "migrate", "up"])
def test_a_plan_cut_in_a_cluster_that_is_lost_since_does_not_block_the_restore(cut_stack: CutStack, verb: str) -> None:
    if verb == "up":
        cut_stack.stack.stop()
    cut_stack.cut(verb, "before:3")
    if cut_stack.stack.ports().runtime.observe().state is RunState.RUNNING:
        cut_stack.stack.kill()
    shutil.rmtree(cut_stack.stack.data)
    assert cut_stack.stack.cli("restore", "--confirm", "led").returncode == 0
    assert len(cut_stack.notes()) == 100
    cut_stack.assert_nothing_is_left_over()


def test_a_plan_cut_in_a_cluster_that_will_not_start_does_not_block_the_restore(cut_stack: CutStack) -> None:
    cut_stack.cut("restore", "before:5")
    cut_stack.stack.kill()
    shutil.rmtree(cut_stack.stack.data / "pg_wal")
    assert cut_stack.stack.cli("restore", "--confirm", "led").returncode == 0
    assert len(cut_stack.notes()) == 100
    cut_stack.assert_nothing_is_left_over()


def test_a_cut_restore_does_not_vouch_for_another_cluster_put_in_its_place(cut_stack: CutStack) -> None:
    """Recording what stands there when the plan is finished would take the tripwire off its look-alike."""
    copy = cut_stack.stack.directory / "older"
    cut_stack.stack.stop()
    subprocess.run(("cp", "-a", str(cut_stack.stack.data), str(copy)), check=True)
    cut_stack.stack.up()
    cut_stack.write_mark()
    cut_stack.stack.backup()
    cut_stack.cut("restore", AFTER_SWAP)
    cut_stack.stack.kill()
    shutil.rmtree(cut_stack.stack.data)
    copy.rename(cut_stack.stack.data)
    assert cut_stack.recover(may_say=("cluster-older", "cluster-recreated")) is not None


def test_a_step_that_fails_is_taken_back_and_reported_as_itself(cut_stack: CutStack) -> None:
    before = cut_stack.notes()
    with pytest.raises(StratumError) as refused:
        _run(cut_stack, "restore", "verify", run=_fail)
    assert refused.value.code == "query-failed"
    assert cut_stack.notes() == before
    cut_stack.assert_nothing_is_left_over()


def test_a_step_and_a_way_back_that_fail_are_both_reported_and_the_next_command_ends_the_plan(
    cut_stack: CutStack,
) -> None:
    before = cut_stack.notes()
    with pytest.raises(StratumError) as stranded:
        _run(cut_stack, "restore", "build-beside", run=_fail_after_creating(cut_stack), undo=_fail_to_undo)
    assert stranded.value.code == "plan-stranded"
    assert stranded.value.exit is ExitCode.AT_RISK
    assert "the work failed" in stranded.value.message
    assert "the way back failed" in stranded.value.message
    assert json.loads(cut_stack.stack.cli("status", "--json").stdout)["cut_plans"] != []
    cut_stack.recover()
    assert cut_stack.notes() == before
    cut_stack.assert_nothing_is_left_over()


def test_a_plan_that_took_effect_is_left_for_the_next_command_when_a_later_step_fails(cut_stack: CutStack) -> None:
    with pytest.raises(StratumError) as unfinished:
        _run(cut_stack, "restore", "remember", run=_fail)
    assert unfinished.value.code == "plan-unfinished"
    mark = cut_stack.write_mark()
    cut_stack.recover()
    assert mark in cut_stack.notes()
    cut_stack.assert_nothing_is_left_over()
    assert cut_stack.entries()[-1].end is PlanEnd.DONE


def test_a_deletion_that_fails_half_way_is_finished_by_the_next_command(cut_stack: CutStack) -> None:
    cut_stack.cut("destroy", "inside:removal")
    assert cut_stack.recover(may_say=("cluster-absent",)) is None
    cut_stack.finish("destroy")
    assert cut_stack.recover(may_say=("cluster-absent",)) == "cluster-absent"
    cut_stack.finish("restore")
    assert len(cut_stack.notes()) == 100


def _run(
    cut: CutStack,
    verb: str,
    step: str,
    *,
    run: Callable[[Facts], Facts | None] | None = None,
    undo: Callable[[Facts], None] | None = None,
) -> Outcome:
    """Run a verb with one step's work, and its way back, replaced."""

    def replacing(prepared: Prepared, ports: Ports) -> Outcome:
        actions = tuple(_replaced(a, run, undo) if a.name == step else a for a in prepared.actions)
        return run_plan(Prepared(plan=prepared.plan, actions=actions), ports)

    ports = cut.stack.ports(asked=Asked(), run=replacing)
    verbs: dict[str, Callable[[], Outcome]] = {
        "restore": lambda: restore(ports, Target()),
        "backup": lambda: take_dump(ports),
        "destroy": lambda: destroy(ports),
    }
    return under_lock(ports, why=verb, verb=verbs[verb])


def _replaced(
    action: Action, run: Callable[[Facts], Facts | None] | None, undo: Callable[[Facts], None] | None
) -> Action:
    return dataclasses.replace(action, run=run or action.run, undo=undo or action.undo)


def _fail(_: Facts) -> None:
    raise StratumError("query-failed", problem="the work failed")


def _fail_to_undo(_: Facts) -> None:
    raise StratumError("query-failed", problem="the way back failed")


def _fail_after_creating(cut: CutStack) -> Callable[[Facts], None]:
    def run(facts: Facts) -> None:
        cut.stack.execute(f'CREATE DATABASE "{facts["beside"]}"', database="postgres")
        _fail(facts)

    return run


def _entries_until(cut: CutStack, verb: str, *, step: str) -> int:
    """How many entries a verb writes up to the one that says that the step began; the verb is carried out."""
    before = len(cut.entries())
    cut.finish(verb)
    started = [n for n, entry in enumerate(cut.entries()[before:], start=1) if entry.step == step]
    cut.finish("restore")
    return started[0]


def _kept(cut: CutStack) -> str:
    plans = [entry.plan for entry in cut.entries() if entry.plan and entry.verb == "restore"]
    return str(plans[-1].params["kept"])


def _is_open(cut: CutStack) -> bool:
    """As the catalogue says: connecting would wait for the test's own time-out."""
    query = f"SELECT datallowconn FROM pg_database WHERE datname = '{DATABASE}'"
    return bool(cut.stack.scalar(query, database="postgres"))
