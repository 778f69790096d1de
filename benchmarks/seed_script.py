"""The procedure Stratum replaces, step for step: `pg_dump -Fc` into a file, `cat … | pg_restore -c` to get it back.

There is no container here: the same programs reach the same server through its socket, which spares the script
the cost of `docker compose exec`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from benchmarks.timing import Timing, run_timed


def seed_backup(bindir: Path, *, database: str, out: Path, env: Mapping[str, str]) -> Timing:
    """`pg_dump -d DATABASE -Fc > OUT`."""
    with out.open("wb") as file:
        return run_timed((str(bindir / "pg_dump"), "-d", database, "-Fc"), env=env, stdout=file)


def seed_restore(bindir: Path, *, database: str, dump: Path, env: Mapping[str, str]) -> Timing:
    """`cat DUMP | pg_restore -d DATABASE -c`, over a database that holds the same tables."""
    with subprocess.Popen(("/bin/cat", str(dump)), stdout=subprocess.PIPE) as cat:
        return run_timed((str(bindir / "pg_restore"), "-d", database, "-c"), env=env, stdin=cat.stdout)
