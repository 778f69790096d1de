"""Measures dump formats and restore settings raw, without Stratum: what decision record 0004 rests on.

Run as `python -m benchmarks.formats`; every sample goes to benchmarks/formats.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.generate import Generated, fill_database
from benchmarks.machine import describe_machine
from benchmarks.seed_script import seed_restore
from benchmarks.server import PRODUCTION, SCRATCH, Server, private_server
from benchmarks.stack import find_bindir
from benchmarks.timing import Timing, clean_up_on_termination, run_timed, size_of

HERE = Path(__file__).parent

DUMPS: Mapping[str, tuple[str, ...]] = {
    "-Fc (gzip, as in the seed)": ("-Fc",),
    "-Fc -Z gzip:1": ("-Fc", "-Z", "gzip:1"),
    "-Fc -Z lz4": ("-Fc", "-Z", "lz4"),
    "-Fc -Z zstd:1": ("-Fc", "-Z", "zstd:1"),
    "-Fc -Z zstd:3": ("-Fc", "-Z", "zstd:3"),
    "-Fd -j1 -Z zstd:1": ("-Fd", "-j1", "-Z", "zstd:1"),
    "-Fd -j2 -Z gzip:1": ("-Fd", "-j2", "-Z", "gzip:1"),
    "-Fd -j2 -Z lz4": ("-Fd", "-j2", "-Z", "lz4"),
    "-Fd -j2 -Z zstd:1": ("-Fd", "-j2", "-Z", "zstd:1"),
    "-Fd -j2 -Z zstd:3": ("-Fd", "-j2", "-Z", "zstd:3"),
    "-Fd -j2 -Z zstd:6": ("-Fd", "-j2", "-Z", "zstd:6"),
}

SEED_DUMP, PARALLEL_DUMP, SINGLE_DUMP = "-Fc (gzip, as in the seed)", "-Fd -j2 -Z zstd:1", "-Fc -Z zstd:1"

_NO_FLUSH = {"checkpoint_flush_after": "0", "backend_flush_after": "0", "bgwriter_flush_after": "0"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreCase:
    """One way to restore one of the dumps."""

    dump: str
    arguments: tuple[str, ...]
    settings: Mapping[str, str]
    checksums: bool = True
    session: str = ""
    """PGOPTIONS of pg_restore's sessions."""
    over_existing: bool = False
    """Restore over a database that is already there (`-c`), from a pipe, as the seed does."""


RESTORES: Mapping[str, RestoreCase] = {
    "production, seed: pg_restore -c": RestoreCase(
        dump=SEED_DUMP, arguments=("-c",), settings=PRODUCTION, over_existing=True
    ),
    "production, -Fc zstd:1 -j2": RestoreCase(dump=SINGLE_DUMP, arguments=("-j2",), settings=PRODUCTION),
    "production, -Fd zstd:1 -j1": RestoreCase(dump=PARALLEL_DUMP, arguments=("-j1",), settings=PRODUCTION),
    "production, -Fd zstd:1 -j2": RestoreCase(dump=PARALLEL_DUMP, arguments=("-j2",), settings=PRODUCTION),
    "production, -Fd zstd:1 -j2, session settings": RestoreCase(
        dump=PARALLEL_DUMP,
        arguments=("-j2",),
        settings=PRODUCTION,
        session="-c maintenance_work_mem=256MB -c synchronous_commit=off",
    ),
    "production, -Fd zstd:1 -j3": RestoreCase(dump=PARALLEL_DUMP, arguments=("-j3",), settings=PRODUCTION),
}


def _scratch(
    changes: Mapping[str, str] | None = None, *, jobs: int = 2, checksums: bool = False, dump: str = PARALLEL_DUMP
) -> RestoreCase:
    settings = {**SCRATCH, **(changes or {})}
    return RestoreCase(dump=dump, arguments=(f"-j{jobs}",), settings=settings, checksums=checksums)


SCRATCH_RESTORES: Mapping[str, RestoreCase] = {
    "scratch, -j1": _scratch(jobs=1),
    "scratch, -j2": _scratch(),
    "scratch, -j3": _scratch(jobs=3),
    "scratch, -j4": _scratch(jobs=4),
    "scratch, -j2, from -Fc gzip": _scratch(dump=SEED_DUMP),
    "scratch, -j2, from -Fc zstd:1": _scratch(dump=SINGLE_DUMP),
    "scratch, -j2, checksums on": _scratch(checksums=True),
    "scratch, -j2, wal_level replica": _scratch({"wal_level": "replica"}),
    "scratch, -j2, fsync on": _scratch({"fsync": "on"}),
    "scratch, -j2, shared_buffers 128MB": _scratch({"shared_buffers": "128MB"}),
    "scratch, -j2, shared_buffers 1GB": _scratch({"shared_buffers": "1GB"}),
    "scratch, -j2, maintenance_work_mem 64MB": _scratch({"maintenance_work_mem": "64MB"}),
    "scratch, -j2, maintenance_work_mem 1GB": _scratch({"maintenance_work_mem": "1GB"}),
    "scratch, -j2, no parallel index workers": _scratch({"max_parallel_maintenance_workers": "0"}),
    "scratch, -j2, no flushing, jit off": _scratch({**_NO_FLUSH, "jit": "off", "work_mem": "256MB"}),
    "scratch, -j2, settings of a production server": RestoreCase(
        dump=PARALLEL_DUMP, arguments=("-j2",), settings=PRODUCTION, checksums=False
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One measured run."""

    what: str
    round: int
    seconds: float
    client_cpu_seconds: float
    server_cpu_seconds: float
    client_peak_rss_bytes: int
    dump_bytes: int | None
    load_before: float
    """The machine's load average when it began: other work shows here."""


def server_cpu_seconds(server: Server) -> float:
    """CPU time of the postmaster and of every process of it that has ended."""
    pid = (server.data / "postmaster.pid").read_text().splitlines()[0]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def wait_until_alone(server: Server) -> None:
    """Return once the postmaster has reaped every session: only then is their CPU time counted."""
    pid = (server.data / "postmaster.pid").read_text().splitlines()[0]
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while any(_is_session(child) for child in children.read_text().split()):
        time.sleep(0.02)


def _is_session(pid: str) -> bool:
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
    # Sessions are titled "postgres: USER DATABASE ..."; one that ended and was not yet reaped has no title.
    return not title or title.startswith((b"postgres: postgres ", b"postgres: parallel worker"))


def measure_dump(server: Server, what: str, number: int, out: Path) -> Sample:
    """Take one dump of the database `app` into `out`, replacing what is there."""
    if out.exists():
        shutil.rmtree(out) if out.is_dir() else out.unlink()
    argv = (server.tool("pg_dump"), *DUMPS[what], "-d", "app", "-f", str(out))
    load, before = os.getloadavg()[0], server_cpu_seconds(server)
    timing = run_timed(argv, env=server.env())
    wait_until_alone(server)
    return _sample(what, number, timing, server_cpu_seconds(server) - before, load, size_of(out))


def measure_restore(server: Server, what: str, number: int, case: RestoreCase, dump: Path) -> Sample:
    """Restore `dump` once into a new database, or over the one there as the seed does."""
    database = "seeded" if case.over_existing else "back"
    if not case.over_existing:
        server.recreate(database)
    os.sync()
    argv = (server.tool("pg_restore"), *case.arguments, "-d", database)
    env = server.env(PGOPTIONS=case.session) if case.session else server.env()
    load, before = os.getloadavg()[0], server_cpu_seconds(server)
    if case.over_existing:
        timing = seed_restore(server.bindir, database=database, dump=dump, env=env)
    else:
        timing = run_timed((*argv, str(dump)), env=env)
    wait_until_alone(server)
    return _sample(what, number, timing, server_cpu_seconds(server) - before, load, None)


def _sample(what: str, number: int, timing: Timing, server_cpu: float, load: float, dump_bytes: int | None) -> Sample:
    sample = Sample(
        what=what,
        round=number,
        seconds=round(timing.seconds, 3),
        client_cpu_seconds=round(timing.cpu_seconds, 2),
        server_cpu_seconds=round(server_cpu, 2),
        client_peak_rss_bytes=timing.largest_process_bytes,
        dump_bytes=dump_bytes,
        load_before=round(load, 2),
    )
    print(sample, flush=True)
    return sample


def measure_all(place: Path, *, gib: float, rounds: int, only: str) -> tuple[Generated, list[Sample]]:
    """Every dump and every restore, one after the other, `rounds` times over, so that drift hits all alike."""
    samples: list[Sample] = []
    bindir = find_bindir()
    dumps = {name: place / f"dump-{number}" for number, name in enumerate(DUMPS)}
    with private_server(place / "production", bindir=bindir, settings=PRODUCTION) as server:
        server.recreate("app")
        generated = fill_database(lambda: server.connect("app"), gib=gib)
        print(generated, flush=True)
        for number in range(rounds):
            samples += [measure_dump(server, name, number, out) for name, out in dumps.items() if only in name]
        for name in {SEED_DUMP, SINGLE_DUMP, PARALLEL_DUMP}:
            if not dumps[name].exists():
                measure_dump(server, name, -1, dumps[name])
        server.recreate("seeded")
        argv = (server.tool("pg_restore"), "-j2", "-d", "seeded", str(dumps[PARALLEL_DUMP]))
        run_timed(argv, env=server.env())
        for number in range(rounds):
            for name, case in RESTORES.items():
                if only in name:
                    samples.append(measure_restore(server, name, number, case, dumps[case.dump]))
    for number in range(rounds):
        for name, case in SCRATCH_RESTORES.items():
            if only in name:
                samples.append(_measure_on_scratch(place, name, number, case, dumps[case.dump]))
    return generated, samples


def _measure_on_scratch(place: Path, name: str, number: int, case: RestoreCase, dump: Path) -> Sample:
    with private_server(
        place / "scratch", bindir=find_bindir(), settings=case.settings, checksums=case.checksums
    ) as server:
        return measure_restore(server, name, number, case, dump)


def render_samples(samples: list[Sample], database_bytes: int) -> str:
    """A Markdown table: the quickest and the median run, and CPU time, which other work on the machine moves less."""
    lines = [
        "| what | quickest s | median s | CPU s, client | CPU s, server | client MB | dump MB | database / dump |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for what in dict.fromkeys(sample.what for sample in samples):
        same = [sample for sample in samples if sample.what == what]
        size = same[0].dump_bytes
        cells = (
            what,
            f"{min(s.seconds for s in same):.1f}",
            f"{median(s.seconds for s in same):.1f}",
            f"{median(s.client_cpu_seconds for s in same):.1f}",
            f"{median(s.server_cpu_seconds for s in same):.1f}",
            f"{max(s.client_peak_rss_bytes for s in same) / 1e6:.0f}",
            f"{size / 1e6:.0f}" if size else "",
            f"{database_bytes / size:.1f}" if size else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, write every sample, print the medians."""
    clean_up_on_termination()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=2.0, metavar="GIB", help="size of the database on disk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only cases whose name contains this text")
    parser.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--out", type=Path, default=HERE / "formats.json")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=chosen.place, prefix="stratum-bench-")))
        place.chmod(0o711)  # the server's own user must pass through
        generated, samples = measure_all(place, gib=chosen.size, rounds=chosen.rounds, only=chosen.only)
        report = {
            "format": 1,
            "machine": asdict(describe_machine(place, find_bindir())),
            "database": asdict(generated),
            "samples": [asdict(sample) for sample in samples],
        }
    chosen.out.write_text(json.dumps(report, indent=1) + "\n")
    print(render_samples(samples, generated.bytes_on_disk))


if __name__ == "__main__":
    main()
