"""`python -m benchmarks`: one run of every measurement, written to results.json and RESULTS.md."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from benchmarks import report
from benchmarks.generate import fill_database
from benchmarks.machine import describe_machine
from benchmarks.results import Notebook, Results, write_results
from benchmarks.seed_script import seed_backup, seed_restore
from benchmarks.stack import NAME, BenchStack, Ran, cli, running_stack
from benchmarks.timing import clean_up_on_termination, run_timed, size_of
from benchmarks.write_report import write_report

HERE = Path(__file__).parent
SEEDED = "restored_by_the_seed"
STARTS = 10
_DISK_NEEDED_PER_DATABASE_BYTE = 7
"""The database, the seed's copy, a restored one, a drill's, what a restore replaced, WAL and the dumps."""


def main() -> None:
    """Measure, unless told only to render, and write both files."""
    clean_up_on_termination()
    chosen = _arguments()
    chosen.out.mkdir(parents=True, exist_ok=True)
    if not chosen.render_only:
        write_results(measure(chosen.place, gib=chosen.size, rounds=chosen.rounds), chosen.out / "results.json")
    print(write_report(chosen.out / "results.json", out=chosen.out))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", type=float, default=2.0, metavar="GIB", help="the database's size on disk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()), help="where to work")
    parser.add_argument("--out", type=Path, default=HERE, help="where results.json and RESULTS.md go")
    parser.add_argument("--render-only", action="store_true", help="write RESULTS.md again from results.json")
    return parser.parse_args()


def measure(place: Path, *, gib: float, rounds: int) -> Results:
    """Make a stack, fill it, and let the peers take turns; everything made is removed again."""
    needed = int(gib * 2**30 * _DISK_NEEDED_PER_DATABASE_BYTE)
    if shutil.disk_usage(place).free < needed:
        sys.exit(f"{place} has less than the {needed / 2**30:.0f} GiB free that this run needs")
    load, notebook = os.getloadavg()[0], Notebook()
    with ExitStack() as cleanup:
        work = Path(cleanup.enter_context(tempfile.TemporaryDirectory(dir=place, prefix="stratum-bench-")))
        work.chmod(0o711)  # the server's own account must pass through
        stack = cleanup.enter_context(running_stack(work / "stack"))
        machine = {**asdict(describe_machine(work, stack.bindir)), "load_at_start": round(load, 2)}
        print(f"filling {gib:g} GiB", flush=True)
        generated = fill_database(lambda: stack.connect(owner=True), gib=gib)
        stack.copy_database(SEEDED)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", flush=True)
            _measure_round(stack, work, notebook)
        _measure_starts(stack, notebook)
    return Results(rounds=rounds, machine=machine, database=asdict(generated), measurements=notebook.measurements())


def _measure_round(stack: BenchStack, work: Path, notebook: Notebook) -> None:
    dump = work / "seed.dump"
    with stack.tool_environment() as env:
        stack.settle()
        took = seed_backup(stack.bindir, database=stack.database, out=dump, env=env)
        notebook.add(*report.BACKUP_SEED, took.seconds)
        notebook.add("seed", "size of the backup", size_of(dump), unit="bytes")
        full = _measure_backup(stack, "full", report.BACKUP_FULL, notebook)
        _measure_backup(stack, "counts", report.BACKUP_COUNTS, notebook)
        stack.settle()
        took = seed_restore(stack.bindir, database=SEEDED, dump=dump, env=env)
        notebook.add(*report.RESTORE_SEED, took.seconds)
    _measure_drill(stack, full, notebook)
    _measure_restore(stack, full, notebook)


def _measure_backup(stack: BenchStack, digest: str, name: tuple[str, str], notebook: Notebook) -> str:
    stack.use_digest(digest)
    stack.settle()
    ran = stack.stratum("backup")
    notebook.add(*name, ran.timing.seconds)
    _note_steps(stack, ran, name[1], notebook)
    backup_id = str(ran.said["facts"]["backup_id"])
    if digest == "full":
        notebook.add("stratum", "size of the backup", float(ran.said["facts"]["bytes"]), unit="bytes")
    return backup_id


def _measure_drill(stack: BenchStack, backup_id: str, notebook: Notebook) -> None:
    stack.settle()
    ran = stack.stratum("drill", backup_id)
    notebook.add(*report.DRILL, ran.timing.seconds)
    notebook.add(*report.DRILL_RESTORE, float(ran.said["restore_seconds"]))
    notebook.add(*report.MEMORY, ran.timing.own_bytes, unit="bytes")


def _measure_restore(stack: BenchStack, backup_id: str, notebook: Notebook) -> None:
    stack.settle()
    ran = stack.stratum("restore", backup_id, "--confirm", NAME)
    notebook.add("stratum", "restore", ran.timing.seconds)
    _note_steps(stack, ran, "restore", notebook)
    # The undo window is not what is measured here, and each kept database takes as much disk as the live one.
    stack.drop(str(ran.said["plan"]["params"]["kept"]))


def _note_steps(stack: BenchStack, ran: Ran, verb: str, notebook: Notebook) -> None:
    for step, seconds in stack.step_seconds(str(ran.said["plan"]["id"])).items():
        notebook.add("stratum", f"{verb}: {step}", seconds)
    notebook.add(*report.MEMORY, ran.timing.own_bytes, unit="bytes")


def _measure_starts(stack: BenchStack, notebook: Notebook) -> None:
    for _ in range(STARTS):
        notebook.add(*report.HELP, run_timed((cli(), "--help"), env=os.environ).seconds)
        notebook.add(*report.STATUS, stack.stratum("status").timing.seconds)
        time.sleep(0.05)  # lets the memory watch of the run before be gone


if __name__ == "__main__":
    main()
