"""Runs in the image of `peers.Dockerfile`: everybody copies and restores one cluster, in turns; results as JSON."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from dotenv import dotenv_values

from benchmarks.generate import fill_database
from benchmarks.machine import describe_machine
from benchmarks.peers import Barman, Cluster, PgBackRest, bytes_below, run
from benchmarks.results import Notebook, Results, write_results

BINDIR = Path("/usr/lib/postgresql/17/bin")
NAME = "bench"
_PORT, _RESTORED_PORT = 5432, 6001
_STRATUM = "import sys; from stratum.cli.main import main; sys.exit(main())"
_PATIENCE_SECONDS = 300.0
_CLIENTS, _PGBENCH_SCALE = 4, 20
_CAUGHT_UP_BYTES = 1 << 20
"""The canary alone writes some bytes each second."""


@dataclass(kw_only=True, slots=True)
class Bench:
    """One stack, its agent, and the peers beside it."""

    work: Path
    notebook: Notebook = field(default_factory=Notebook)
    agent: subprocess.Popen[bytes] | None = None

    @property
    def stack(self) -> Path:
        return self.work / "stack"

    @property
    def cluster(self) -> Cluster:
        sockets = self.stack / ".stratum" / "run"
        return Cluster(data=self.stack / ".stratum" / "data", sockets=sockets, port=_PORT, superuser="postgres",
                       passfile=self.work / "pgpass")  # fmt: skip

    def stratum(self, *arguments: str) -> dict[str, Any]:
        """One verb in a process of its own. Raises RuntimeError with what it said."""
        argv = (sys.executable, "-c", _STRATUM, *arguments, "--json", "--stack", str(self.stack))
        done = subprocess.run(argv, capture_output=True, text=True, cwd=self.work, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"stratum {' '.join(arguments)} exited {done.returncode}: {done.stdout} {done.stderr}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def connect(self, database: str = "postgres", *, port: int = _PORT) -> psycopg.Connection[tuple[Any, ...]]:
        host = str(self.cluster.sockets) if port == _PORT else "/tmp"  # noqa: S108 - the image's own
        passfile = str(self.cluster.passfile)
        return psycopg.connect(
            host=host, port=port, user="postgres", dbname=database, passfile=passfile, autocommit=True
        )

    def set_up(self) -> None:
        argv = (sys.executable, "-c", _STRATUM, "init", str(self.stack), "--name", NAME, "--no-console", "--json")
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        env = self.stack / ".env"
        text = re.sub(r"(?m)^POSTGRES_PORT=.*$", f"POSTGRES_PORT={_PORT}", env.read_text(encoding="utf-8"))
        env.write_text(text, encoding="utf-8")
        values = dotenv_values(env)
        passfile = self.cluster.passfile
        passfile.write_text(
            f"*:*:*:postgres:{values['POSTGRES_SUPERUSER_PASSWORD']}\n*:*:*:stratum:{values['POSTGRES_PASSWORD']}\n",
            encoding="utf-8",
        )
        passfile.chmod(0o600)
        self.stratum("up")

    def settle(self) -> None:
        """Write out what earlier work left, so that the next measurement does not pay for it."""
        with self.connect() as connection:
            connection.execute("CHECKPOINT")
        os.sync()

    def use_mode(self, mode: str) -> None:
        file = self.stack / "stratum.toml"
        text = re.sub(r"(?ms)^\[protect\]\n.*?(?=^\[|\Z)", "", file.read_text(encoding="utf-8"))
        file.write_text(f'{text}\n[protect]\nmode = "{mode}"\nschedule = ""\n', encoding="utf-8")

    def timed(self, peer: str, task: str, work: Callable[[], object]) -> None:
        began = time.perf_counter()
        work()
        self.notebook.add(peer, task, time.perf_counter() - began)

    @contextmanager
    def watched(self, *, zero_loss: bool = False) -> Iterator[None]:
        """With the agent at work, from when all WAL was received and filed and a base backup stands."""
        self.use_mode("zero-loss" if zero_loss else "streaming")
        secret = self.work / "agent-secret"
        secret.write_text("0" * 32, encoding="utf-8")
        told = {"STACK_DIRECTORY": str(self.stack), "AGENT_SECRET_FILE": str(secret), "AGENT_PORT": "4002"}
        with (self.work / "agent.log").open("ab") as log:
            agent = subprocess.Popen(
                (sys.executable, "-m", "stratum.agent"), env=os.environ | told, stdout=log, stderr=log
            )
        try:
            self.wait("the receiver", lambda: self._protected(armed=zero_loss))
            yield
        finally:
            agent.send_signal(signal.SIGTERM)
            agent.wait(timeout=120)

    def memory(self, task: str) -> None:
        """Resident memory of the agent and its children, in bytes."""
        children = [pid for pid in _processes() if _parent_of_agent(pid)]
        self.notebook.add("stratum", task, float(sum(_resident(pid) for pid in children)), unit="bytes")

    def _protected(self, *, armed: bool) -> bool:
        file = self.stack / "archive" / "wal" / "receiver.json"
        if not file.exists():
            return False
        state = json.loads(file.read_text(encoding="utf-8"))
        fine = state["phase"] == "receiving" and state["unprotected_since"] is None
        return bool(fine and self._caught_up(state) and (not armed or state["armed"]))

    def _caught_up(self, state: Mapping[str, Any]) -> bool:
        """What was written while nobody received is received and filed: no measurement pays for an earlier one's."""
        behind = state["behind_bytes"]
        received = (self.stack / "archive" / "wal").glob("*/receiving-*/*")
        unfiled = [file for file in received if not file.suffix]  # neither partial nor a timeline's history
        return behind is not None and behind < _CAUGHT_UP_BYTES and len(unfiled) <= 1

    def wait(self, what: str, ready: Callable[[], bool]) -> None:
        """Raises TimeoutError after five minutes."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                raise TimeoutError(what)
            time.sleep(0.02)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _parent_of_agent(pid: int) -> bool:
    """The agent itself, or the WAL receiver it runs."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"stratum.agent" in words or words[0].endswith(b"pg_receivewal")


def _resident(pid: int) -> int:
    """Pages that only this process holds and those it shares, each counted in full."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def measure(work: Path, *, gib: float, rounds: int, seconds: int) -> Results:
    """Everything, in one run on one cluster."""
    bench = Bench(work=work)
    load = os.getloadavg()[0]
    bench.set_up()
    machine = {**asdict(describe_machine(work, BINDIR)), "load_at_start": round(load, 2), **_versions()}
    print(f"filling {gib:g} GiB", flush=True)
    generated = fill_database(lambda: _owner(bench), gib=gib)
    _measure_throughput(bench, rounds=rounds, seconds=seconds)
    pgbackrest, barman = PgBackRest(work, bench.cluster), Barman(work, bench.cluster)
    _prepare(bench, pgbackrest, barman)
    with bench.watched():
        barman.create()
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", flush=True)
            _measure_copies(bench, pgbackrest, barman)
        bench.memory("memory of agent and receiver")
        at = _write_around_a_moment(bench)
        barman.settle()
        for _ in range(rounds):
            _measure_restores(bench, pgbackrest, barman, at=at)
    barman.end()
    for _ in range(rounds):
        _measure_lost_cluster(bench)
    bench.stratum("stop")
    return Results(rounds=rounds, machine=machine, database=asdict(generated),
                   measurements=bench.notebook.measurements())  # fmt: skip


def _owner(bench: Bench) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(host=str(bench.cluster.sockets), port=_PORT, user="stratum", dbname="stratum_db",
                           passfile=str(bench.cluster.passfile), autocommit=True)  # fmt: skip


def _prepare(bench: Bench, pgbackrest: PgBackRest, barman: Barman) -> None:
    """Set both peers up on the running server; pgBackRest takes WAL by `archive_command`."""
    pgbackrest.set_up()
    barman.set_up()
    with bench.connect() as connection:
        connection.execute("ALTER SYSTEM SET archive_mode = on")
        connection.execute(f"ALTER SYSTEM SET archive_command = '{pgbackrest.archive_command}'".encode())
    with (bench.cluster.data / "pg_hba.conf").open("a", encoding="utf-8") as stream:
        stream.write("local replication postgres scram-sha-256\n")
    bench.stratum("stop")
    bench.stratum("up")
    pgbackrest.create()


def _measure_copies(bench: Bench, pgbackrest: PgBackRest, barman: Barman) -> None:
    bench.settle()
    bench.timed("pgBackRest", "full copy", pgbackrest.back_up)
    bench.notebook.add("pgBackRest", "stored size", pgbackrest.size(), unit="bytes")
    bench.settle()
    bench.timed("Barman", "full copy", barman.back_up)
    barman.settle()
    bench.notebook.add("Barman", "stored size", barman.size(), unit="bytes")
    bench.settle()
    bench.timed("stratum", "full copy", lambda: bench.stratum("backup", "--kind", "base"))
    newest = _newest_base(bench)
    bench.notebook.add("stratum", "stored size", bytes_below(newest), unit="bytes")


def _newest_base(bench: Bench) -> Path:
    folders = (path for path in (bench.stack / "archive" / "base").iterdir() if path.is_dir())
    return max(path for path in folders if path.suffix != ".partial")


def _write_around_a_moment(bench: Bench) -> str:
    """Rows before and after a moment, and WAL switched, so that every archive has all of it."""
    with bench.connect("stratum_db") as connection:
        connection.execute("CREATE TABLE marks (what text)")
        connection.execute("INSERT INTO marks VALUES ('before')")
        time.sleep(1.5)
        row = connection.execute("SELECT clock_timestamp()::text").fetchone()
        time.sleep(1.5)
        connection.execute("INSERT INTO marks VALUES ('after')")
        connection.execute("SELECT pg_switch_wal()")
        connection.execute("CHECKPOINT")
    if row is None:
        raise LookupError("the server did not say what time it is")
    return str(row[0])


def _measure_restores(bench: Bench, pgbackrest: PgBackRest, barman: Barman, *, at: str) -> None:
    """The peers' restores, until the restored server answers; Stratum's own follows on the lost cluster."""
    for peer, restore in (("pgBackRest", pgbackrest.restore), ("Barman", barman.restore)):
        for task, moment, marks in (("restore to serving", None, 2), ("point in time to serving", at, 1)):
            data = bench.work / "restored"
            bench.settle()
            began = time.perf_counter()
            restore(data, at=moment)
            _serve(bench, data, marks=marks)
            bench.notebook.add(peer, task, time.perf_counter() - began)
            _end(data)
    bench.settle()
    bench.timed("stratum", "by hand to serving", lambda: _restore_by_hand(bench))
    _end(bench.work / "restored")
    bench.settle()
    bench.timed("stratum", "drill of a moment, all checks", lambda: bench.stratum("drill", "--at", at))


def _restore_by_hand(bench: Bench) -> None:
    """As RESTORE.md of the archive says, with stock tools: unpack, tell the server where WAL is, start."""
    data, archive = bench.work / "restored", bench.stack / "archive"
    data.mkdir(mode=0o700)
    newest = _newest_base(bench)
    run(("tar", "--zstd", "--extract", f"--file={newest / 'base.tar.zst'}", f"--directory={data}"), bench.cluster)
    (data / "recovery.signal").touch()
    (wal,) = (path for path in (archive / "wal").iterdir() if path.is_dir())
    # The options of a server are split at blanks; the file is not.
    with (data / "postgresql.auto.conf").open("a", encoding="utf-8") as stream:
        stream.write(f"restore_command = 'zstd -q -d -c {wal}/00000001/%f.zst > %p'\n")
    _serve(bench, data, marks=2)


def _serve(bench: Bench, data: Path, *, marks: int) -> None:
    options = f"-p {_RESTORED_PORT} -c archive_mode=off -c unix_socket_directories=/tmp -c logging_collector=off"
    argv = (str(BINDIR / "pg_ctl"), "-D", str(data), "-w", "-t", "300", "-l", str(bench.work / "restored.log"),
            "-o", options, "start")  # fmt: skip
    run(argv, bench.cluster)
    with bench.connect("stratum_db", port=_RESTORED_PORT) as connection:
        bench.wait("the end of recovery", lambda: _is_writable(connection))
        found = connection.execute("SELECT count(*) FROM marks").fetchone()
    if found != (marks,):
        raise LookupError(f"the restored cluster holds {found} marks, and {marks} were to come back")


def _is_writable(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)


def _end(data: Path) -> None:
    subprocess.run((str(BINDIR / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop"), check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    shutil.rmtree(data)


def _measure_lost_cluster(bench: Bench) -> None:
    """Stratum's way back: the data directory is gone, one command, until the restored server answers."""
    with bench.connect() as connection:
        connection.execute("SELECT pg_switch_wal()")
    bench.stratum("stop")
    shutil.rmtree(bench.cluster.data)
    os.sync()
    bench.timed("stratum", "restore to serving", lambda: bench.stratum("restore", "--confirm", NAME))
    with bench.connect("stratum_db") as connection:
        found = connection.execute("SELECT count(*) FROM marks").fetchone()
    if found != (2,):
        raise LookupError(f"the restored cluster holds {found} marks")


def _measure_throughput(bench: Bench, *, rounds: int, seconds: int) -> None:
    """Transactions a second with nothing, with streaming and with zero-loss, in turns."""
    _pgbench(bench, "-i", "-q", "-s", str(_PGBENCH_SCALE))
    for _ in range(rounds):
        _transactions(bench, "unprotected", seconds)
        with bench.watched():
            _transactions(bench, "streaming", seconds)
        with bench.watched(zero_loss=True):
            _transactions(bench, "zero-loss", seconds)
        # Commits wait for a receiver whose agent has gone, and nobody protects them in the round that follows.
        bench.stratum("protect", "--mode", "streaming")
        with contextlib.suppress(RuntimeError):  # it exits as at risk, for nothing receives
            bench.stratum("protect", "--degrade")
    bench.use_mode("streaming")


def _transactions(bench: Bench, task: str, seconds: int) -> None:
    bench.settle()
    said = _pgbench(bench, "-n", "-c", str(_CLIENTS), "-j", "2", "-T", str(seconds))
    found = re.search(r"tps = ([0-9.]+)", said)
    if found is None:
        raise LookupError(said)
    bench.notebook.add("stratum", f"pgbench, {task}", float(found.group(1)), unit="tps")


def _pgbench(bench: Bench, *options: str) -> str:
    env = os.environ | {"PGPASSFILE": str(bench.cluster.passfile)}
    argv = (str(BINDIR / "pgbench"), "-h", str(bench.cluster.sockets), "-p", str(_PORT), "-U", "stratum", *options,
            "stratum_db")  # fmt: skip
    return subprocess.run(argv, env=env, check=True, capture_output=True, text=True).stdout


def _versions() -> dict[str, str]:
    asked = {"pgbackrest": ("pgbackrest", "version"), "barman": ("barman", "--version")}
    said = {name: subprocess.run(argv, check=True, capture_output=True, text=True) for name, argv in asked.items()}
    return {name: (done.stdout or done.stderr).splitlines()[0] for name, done in said.items()}


def main() -> None:
    """Measure below the working directory and write results.json there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=2.0, metavar="GIB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20, help="of each pgbench run")
    chosen = parser.parse_args()
    found = measure(Path.cwd(), gib=chosen.size, rounds=chosen.rounds, seconds=chosen.seconds)
    write_results(found, Path("results.json"))


if __name__ == "__main__":
    main()
