"""`python -m benchmarks.updates`: what an update costs: downtime, the way back of the data, and its rehearsal.

Downtime is measured on Docker, on the reference stack, beside the seed's procedure typed by hand; the rest on a
PostgreSQL without Docker. Writes updates.json, and the section of RESULTS.md that is rendered from it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from benchmarks.containers import DockerStack
from benchmarks.generate import fill_database
from benchmarks.machine import describe_machine
from benchmarks.report_updates import render_updates
from benchmarks.results import Notebook, Results, read_results, write_results
from benchmarks.stack import BenchStack, find_bindir, running_stack
from benchmarks.write_report import write_report
from stratum.engine.undo_copy import drop_undo_copies, make_undo_copies, swap_undo_copies
from stratum.wiring import open_silent

HERE = Path(__file__).parent
_EVERY_SECONDS, _SLOW_SECONDS = 0.02, 0.3
_REHEARSED_GIB = 2.0


@dataclass(kw_only=True, slots=True)
class Watcher:
    """Asks a service again and again, and knows for how long in sum it gave no good answer."""

    url: str
    _ended: threading.Event = field(default_factory=threading.Event)
    _answers: list[float] = field(default_factory=list)

    def __enter__(self) -> Self:
        threading.Thread(target=self._ask, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    @property
    def away(self) -> float:
        """Seconds, of every gap that is no mere slowness: a service may go away more than once."""
        gaps = (later - sooner for sooner, later in zip(self._answers, self._answers[1:], strict=False))
        return sum(gap for gap in gaps if gap > _SLOW_SECONDS)

    def _ask(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            try:
                with urllib.request.urlopen(self.url, timeout=2) as answer:  # noqa: S310 - our own http address
                    if answer.status == 200:
                        self._answers.append(time.perf_counter())
            except (urllib.error.URLError, OSError):
                continue


def measure_downtime(work: Path, notebook: Notebook, *, rounds: int) -> None:
    """For how long the backend does not answer, in turns."""
    stack = DockerStack(directory=work / "stack")
    with ExitStack() as cleanup:
        stack.lay_down(work / "archive")
        cleanup.callback(stack.remove)
        stack.stratum("build")
        stack.stratum("up")
        env = (stack.directory / ".env").read_text(encoding="utf-8")
        port = next(line.partition("=")[2] for line in env.splitlines() if line.startswith("BACKEND_PORT="))
        url = f"http://127.0.0.1:{port}/api/v1/health/live"
        for _ in range(rounds):
            _wait_until_served(url)
            with Watcher(url=url) as watcher:
                notebook.add("stratum", "update, whole", stack.stratum("update"))
                _wait_until_served(url)
            notebook.add("stratum", "update, downtime", watcher.away)
            with Watcher(url=url) as watcher:
                notebook.add("seed", "update, whole", _seed_update(stack))
                _wait_until_served(url)
            notebook.add("seed", "update, downtime", watcher.away)


def _seed_update(stack: DockerStack) -> float:
    """The seed's section 8 as it is typed, without its dump; its migrations run when the backend starts."""
    took = stack.compose("build", "backend", "frontend")
    took += stack.compose("stop", "backend", "frontend")
    took += stack.compose("up", "--detach", "--force-recreate", "--no-deps", "--wait", "backend")
    return took + stack.compose("up", "--detach", "--force-recreate", "--no-deps", "--wait", "frontend")


def _wait_until_served(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own http address
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(_EVERY_SECONDS)
    raise TimeoutError(url)


def measure_undo(stack: BenchStack, notebook: Notebook, *, gib: float, rounds: int) -> None:
    """The copies of all databases with nobody writing, and putting them in place."""
    ports = open_silent(stack.directory, who="benchmark")
    for number in range(rounds):
        with stack.connect("postgres") as connection:
            connection.execute("CHECKPOINT")
        os.sync()
        began = time.perf_counter()
        make_undo_copies(ports, f"r{number}")
        notebook.add("stratum", f"undo copy of {gib:g} GiB", time.perf_counter() - began)
        began = time.perf_counter()
        swap_undo_copies(ports, f"r{number}", databases=[])
        notebook.add("stratum", f"undo of {gib:g} GiB", time.perf_counter() - began)
        drop_undo_copies(ports, f"r{number}")


def measure_rehearsal(stack: BenchStack, notebook: Notebook, *, rounds: int) -> None:
    """A rehearsal with a migration that adds a column, and a drill of the same backup."""
    migration = stack.directory / "migrate.sh"
    migration.write_text(
        f'#!/bin/sh\nexec {stack.bindir}/psql "$DATABASE_URL" -qc "ALTER TABLE customers ADD COLUMN rehearsed int"\n',
        encoding="utf-8",
    )
    migration.chmod(0o755)
    toml = stack.directory / "stratum.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(text.replace("migrate = []", f'migrate = ["{migration}"]'), encoding="utf-8")
    stack.stratum("backup")
    for _ in range(rounds):
        drilled = stack.stratum("drill")
        notebook.add("stratum", "drill, whole", drilled.timing.seconds)
        notebook.add("stratum", "drill, its restore", drilled.said["restore_seconds"])
        rehearsed = stack.stratum("rehearse")
        notebook.add("stratum", "rehearsal, whole", rehearsed.timing.seconds)
        notebook.add("stratum", "rehearsal, its clone", rehearsed.said["clone_seconds"])


def measure(work: Path, *, sizes: tuple[float, ...], rounds: int) -> Results:
    """Everything; sizes in GiB, the smallest first."""
    load, notebook = os.getloadavg()[0], Notebook()
    machine = asdict(describe_machine(work, find_bindir())) | {"load_at_start": round(load, 2)}
    if shutil.which("docker"):
        measure_downtime(work / "docker", notebook, rounds=rounds)
    for gib in sizes:
        place = work / f"of-{gib:g}"
        with running_stack(place) as stack:
            _measure_data(stack, notebook, gib=gib, rounds=rounds)
        shutil.rmtree(place)
    return Results(rounds=rounds, machine=machine, database={}, measurements=notebook.measurements())


def _measure_data(stack: BenchStack, notebook: Notebook, *, gib: float, rounds: int) -> None:
    print(f"filling {gib:g} GiB", flush=True)
    fill_database(lambda: stack.connect(owner=True), gib=gib)
    measure_undo(stack, notebook, gib=gib, rounds=rounds)
    if gib == _REHEARSED_GIB:
        measure_rehearsal(stack, notebook, rounds=rounds)


def main() -> None:
    """Measure, write updates.json, and render RESULTS.md with it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.updates", description=__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.1, 2.0, 10.0], metavar="GIB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()), help="where to work")
    parser.add_argument("--out", type=Path, default=HERE, help="where updates.json and RESULTS.md go")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.place, prefix="stratum-bench-") as place:
        Path(place).chmod(0o755)
        (Path(place) / "docker").mkdir(mode=0o755)
        found = measure(Path(place), sizes=tuple(chosen.sizes), rounds=chosen.rounds)
    write_results(found, chosen.out / "updates.json")
    if chosen.out == HERE:
        write_report()
    print(render_updates(read_results(chosen.out / "updates.json")))


if __name__ == "__main__":
    main()
