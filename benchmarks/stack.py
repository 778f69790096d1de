"""Drives a stack through Stratum's command line, as a user would, and measures each verb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import tomlkit
from dotenv import dotenv_values
from psycopg import sql

from benchmarks.timing import Timing, run_timed

NAME = "bench"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """One verb that ended well: what it cost and the object it printed."""

    timing: Timing
    said: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchStack:
    """A running stack in a directory of its own."""

    directory: Path
    bindir: Path

    @property
    def database(self) -> str:
        return self._setting("POSTGRES_DB")

    def stratum(self, *arguments: str) -> Ran:
        """Run one verb with `--json`. Raises CommandFailed."""
        argv = (cli(), *arguments, "--json", "--stack", str(self.directory))
        timing = run_timed(argv, env=os.environ)
        return Ran(timing=timing, said=json.loads(timing.stdout))

    def use_digest(self, mode: str) -> None:
        """Set `[backup] digest`."""
        file = self.directory / "stratum.toml"
        document = tomlkit.parse(file.read_text(encoding="utf-8"))
        document["backup"]["digest"] = mode
        file.write_text(tomlkit.dumps(document), encoding="utf-8")

    def step_seconds(self, plan_id: str) -> dict[str, float]:
        """How long each step of a plan took, by the journal."""
        began: dict[str, datetime] = {}
        took: dict[str, float] = {}
        for file in sorted((self.directory / "archive" / "journal").glob("*.jsonl")):
            for line in file.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                if entry["plan_id"] != plan_id or not entry.get("step"):
                    continue
                at = datetime.fromisoformat(entry["at"])
                if entry["kind"] == "step-started":
                    began[entry["step"]] = at
                elif entry["kind"] == "step-done":
                    took[entry["step"]] = (at - began[entry["step"]]).total_seconds()
        return took

    def connect(self, database: str | None = None, *, owner: bool = False) -> psycopg.Connection[tuple[Any, ...]]:
        user, password = ("POSTGRES_USER", "POSTGRES_PASSWORD") if owner else ("", "POSTGRES_SUPERUSER_PASSWORD")
        return psycopg.connect(
            host=self._host,
            port=self._setting("POSTGRES_PORT"),
            user=self._setting(user) if user else "postgres",
            password=self._setting(password),
            dbname=database or self.database,
            autocommit=True,
        )

    def drop(self, database: str) -> None:
        """Drop a database that the benchmark has no more use for."""
        with self.connect("postgres") as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))

    def copy_database(self, name: str) -> None:
        """A copy of the application's database, for the seed's script to restore over."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        with self.connect("postgres") as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(self.database)))

    def settle(self) -> None:
        """Write out what earlier measurements left, so that the next one does not pay for it."""
        with self.connect("postgres") as connection:
            connection.execute("CHECKPOINT")
        os.sync()

    @contextmanager
    def tool_environment(self) -> Iterator[dict[str, str]]:
        """What PostgreSQL's own tools need to reach the server as its superuser; no password in any argv."""
        with tempfile.NamedTemporaryFile("w", prefix="bench-pass-") as passfile:
            passfile.write(f"*:*:*:postgres:{self._setting('POSTGRES_SUPERUSER_PASSWORD')}\n")
            passfile.flush()
            yield {
                "PATH": os.defpath,
                "PGHOST": self._host,
                "PGPORT": self._setting("POSTGRES_PORT"),
                "PGUSER": "postgres",
                "PGPASSFILE": passfile.name,
            }

    @property
    def _host(self) -> str:
        sockets = self.directory / ".stratum" / "run"
        return str(sockets) if any(sockets.glob(".s.PGSQL.*")) else "127.0.0.1"

    def _setting(self, name: str) -> str:
        value = dotenv_values(self.directory / ".env")[name]
        if value is None:
            raise ValueError(f".env has no value for {name}")
        return value


def cli() -> str:
    """The `stratum` command of the environment this runs in."""
    return str(Path(sys.executable).with_name("stratum"))


def find_bindir() -> Path:
    """The PostgreSQL programs Stratum itself would use, so that every peer runs the same ones."""
    from stratum.adapters.postgresql_installation import find_installation, observe_run_as

    return find_installation(observe_run_as()).bin_dir


@contextmanager
def running_stack(directory: Path) -> Iterator[BenchStack]:
    """Lay a stack down, bring it up, and stop it when the block ends."""
    stack = BenchStack(directory=directory, bindir=find_bindir())
    init = (cli(), "init", str(directory), "--name", NAME, "--no-console", "--json")
    subprocess.run(init, check=True, stdout=subprocess.DEVNULL)
    stack.stratum("up")
    try:
        yield stack
    finally:
        stack.stratum("stop")
