"""`python -m benchmarks.console`: people reading the console for a minute, and how long each page took.

Each person opens a page, reads it for a while, and opens another, on a connection of their own. The clients run on the
same cores as the console and its database.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.console_stack import SignedIn, running_console

HERE = Path(__file__).parent
PAGES = ("/", "/timeline", "/backups", "/backups/{backup}", "/checklist", "/jobs", "/audit", "/fears", "/restore")
P95_LIMIT_SECONDS = 0.25
_ARRIVE_WITHIN_SECONDS = 5.0


@dataclass(kw_only=True, slots=True)
class Visits:
    """What one run saw."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    """By page."""
    errors: list[str] = field(default_factory=list)
    bytes: int = 0

    def all_seconds(self) -> list[float]:
        return [took for page in self.seconds.values() for took in page]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadResult:
    """One run, as console.json holds it. Times in seconds."""

    people: int
    minutes: float
    mean_reading_seconds: float
    pages: int
    pages_per_second: float
    errors: int
    first_errors: tuple[str, ...]
    median: float
    p95: float
    p99: float
    slowest: float
    median_by_page: dict[str, float]
    bytes_per_page: float
    cpu_share: dict[str, float]
    """Of one core, by service, while the run lasted."""
    cores: int


async def read_pages(console: SignedIn, visits: Visits, *, seed: int, until: float, reading: float) -> None:
    """One person: a connection that is kept, a page, a pause, until the time is over."""
    chance = random.Random(seed)
    await asyncio.sleep(chance.uniform(0, _ARRIVE_WITHIN_SECONDS))
    reader, writer = await asyncio.open_connection("127.0.0.1", console.port, limit=1 << 22)
    while time.monotonic() < until:
        page = chance.choice(PAGES)
        if reader.at_eof():  # closed while nobody asked anything; a browser opens another one, too
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", console.port, limit=1 << 22)
        started = time.monotonic()
        try:
            status, size = await _get(reader, writer, page.format(backup=console.backup_id), console)
        except (OSError, asyncio.IncompleteReadError, ValueError) as problem:
            visits.errors.append(f"{page}: {type(problem).__name__}")
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", console.port, limit=1 << 22)
            continue
        visits.seconds.setdefault(page, []).append(time.monotonic() - started)
        visits.bytes += size
        if status != 200:
            visits.errors.append(f"{page}: {status}")
        await asyncio.sleep(chance.expovariate(1 / reading))
    writer.close()


async def _get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, console: SignedIn
) -> tuple[int, int]:
    """One page over a kept connection: its status and the bytes of its body as they were sent."""
    cookies = "; ".join(f"{name}={value}" for name, value in console.cookies.items())
    lines = (f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{console.port}", f"Cookie: {cookies}", "Accept-Encoding: gzip")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    status = int(head.split(" ", 2)[1])
    if "transfer-encoding: chunked" in head:
        return status, await _read_chunks(reader)
    size = int(next(line.split(":")[1] for line in head.splitlines() if line.startswith("content-length:")))
    await reader.readexactly(size)
    return status, size


async def _read_chunks(reader: asyncio.StreamReader) -> int:
    total = 0
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
        total += size
    await reader.readline()
    return total


async def visit(console: SignedIn, *, people: int, seconds: float, reading: float) -> LoadResult:
    """Let everybody read, and add up what they saw."""
    visits, started, cpu = Visits(), time.monotonic(), console.cpu_seconds()
    until = started + seconds
    async with asyncio.TaskGroup() as everybody:
        for seed in range(people):
            everybody.create_task(read_pages(console, visits, seed=seed, until=until, reading=reading))
    took = time.monotonic() - started
    spent = {name: (now - cpu[name]) / took for name, now in console.cpu_seconds().items() if name in cpu}
    return summarise(visits, people=people, took=took, reading=reading, cpu_share=spent)


def summarise(visits: Visits, *, people: int, took: float, reading: float, cpu_share: dict[str, float]) -> LoadResult:
    """The numbers of one run. Pure but for the count of cores."""
    every = sorted(visits.all_seconds())
    return LoadResult(
        people=people,
        minutes=round(took / 60, 2),
        mean_reading_seconds=reading,
        pages=len(every),
        pages_per_second=round(len(every) / took, 1),
        errors=len(visits.errors),
        first_errors=tuple(visits.errors[:5]),
        median=quantile(every, 0.5),
        p95=quantile(every, 0.95),
        p99=quantile(every, 0.99),
        slowest=round(every[-1], 4),
        median_by_page={page: quantile(sorted(took), 0.5) for page, took in sorted(visits.seconds.items())},
        bytes_per_page=round(visits.bytes / len(every)),
        cpu_share={name: round(share, 2) for name, share in cpu_share.items()},
        cores=len(os.sched_getaffinity(0)),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed (nearest rank)."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 4)


def render(result: LoadResult) -> str:
    """CONSOLE.md."""
    verdict = "reached" if result.errors == 0 and result.p95 <= P95_LIMIT_SECONDS else "**not reached**"
    pages = "\n".join(f"| `{page}` | {_ms(took)} |" for page, took in result.median_by_page.items())
    who = (
        f"{result.people} people for {result.minutes:g} minutes, each reading {result.mean_reading_seconds:g} s a page"
    )
    shares = ", ".join(f"{name} {share:.2f}" for name, share in result.cpu_share.items())
    return f"""\
# The console under load

Rendered by `python -m benchmarks.console` from `console.json`; do not edit.

{who}, signed in to one account; clients, console and database on {result.cores} cores.

Target: no error, p95 at most {_ms(P95_LIMIT_SECONDS)}: {verdict}.

- {result.pages} pages, {result.pages_per_second:g} a second, {result.errors} errors
- median {_ms(result.median)}, p95 {_ms(result.p95)}, p99 {_ms(result.p99)}, slowest {_ms(result.slowest)}
- {result.bytes_per_page / 1000:.1f} kB a page on the wire, without the style sheet and scripts, which a browser keeps
- cores in use: {shares}

| page | median |
|---|---|
{pages}
"""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def main() -> None:
    """Start a console, let people read, write both files; exit 1 when the target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--reading", type=float, default=2.0, metavar="SECONDS", help="mean time between two pages")
    parser.add_argument("--out", type=Path, default=HERE)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stratum-console-bench-") as work:
        Path(work).chmod(0o755)
        with running_console(Path(work) / "stack") as console:
            result = asyncio.run(visit(console, people=chosen.people, seconds=chosen.seconds, reading=chosen.reading))
    (chosen.out / "console.json").write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    (chosen.out / "CONSOLE.md").write_text(render(result), encoding="utf-8")
    print(render(result))
    sys.exit(0 if result.errors == 0 and result.p95 <= P95_LIMIT_SECONDS else 1)


if __name__ == "__main__":
    main()
