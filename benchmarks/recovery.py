"""`python -m benchmarks.recovery`: base backups, restores and what protection costs, beside pgBackRest and Barman.

Needs a Docker Engine: the peers and PostgreSQL 17 come from Debian, in an image of their own. Writes recovery.json,
and the section of RESULTS.md that is rendered from it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.report_recovery import render_recovery
from benchmarks.results import read_results
from benchmarks.write_report import write_report

HERE = Path(__file__).parent
IMAGE = "stratum-bench-peers"
_DOCKER = shutil.which("docker") or "docker"
_SHARED_MEMORY = "1g"


def run_in_image(work: Path, *, gib: float, rounds: int, seconds: int) -> None:
    """Measure in the image, with `work` of this machine's disk; results.json is in it then."""
    build = (_DOCKER, "build", "--quiet", "--tag", IMAGE, "--file", str(HERE / "peers.Dockerfile"))
    subprocess.run((*build, str(HERE.parent / "requirements")), check=True, stdout=subprocess.DEVNULL)
    work.chmod(0o777)  # the image's own account works in it
    asked = ("--size", str(gib), "--rounds", str(rounds), "--seconds", str(seconds))
    subprocess.run(
        (_DOCKER, "run", "--rm", "--init", "--network=none", f"--shm-size={_SHARED_MEMORY}",
         "--volume", f"{work}:/work", "--volume", f"{HERE.parent}:/checkout:ro", IMAGE,
         "python3", "-m", "benchmarks.recovery_inside", *asked),
        check=True,
    )  # fmt: skip


def empty(work: Path) -> None:
    """The files belong to the image's account, so they are deleted from inside."""
    argv = (_DOCKER, "run", "--rm", "--network=none", "--user=0:0", "--volume", f"{work}:/work", "--entrypoint=find",
            IMAGE, "/work", "-mindepth", "1", "-delete")  # fmt: skip
    subprocess.run(argv, check=True)


def main() -> None:
    """Measure, write recovery.json, and render RESULTS.md with it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--size", type=float, default=2.0, metavar="GIB", help="the database's size on disk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20, help="of each pgbench run")
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()), help="where to work")
    parser.add_argument("--out", type=Path, default=HERE, help="where recovery.json and RESULTS.md go")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.place, prefix="stratum-bench-") as place:
        work = Path(place)
        try:
            run_in_image(work, gib=chosen.size, rounds=chosen.rounds, seconds=chosen.seconds)
            shutil.copyfile(work / "results.json", chosen.out / "recovery.json")
        finally:
            os.sync()
            empty(work)
    found = read_results(chosen.out / "recovery.json")
    if chosen.out == HERE:
        write_report()
    print(render_recovery(found))


if __name__ == "__main__":
    main()
