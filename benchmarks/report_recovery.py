"""Renders recovery.json: base backups, restores and throughput beside pgBackRest and Barman. Pure."""

from __future__ import annotations

from benchmarks.results import Results, render_value

_PEERS = ("stratum", "pgBackRest", "Barman")
_TASKS = ("full copy", "stored size", "restore to serving", "point in time to serving")
_STREAMING, _ZERO, _ALONE = "pgbench, streaming", "pgbench, zero-loss", "pgbench, unprotected"
_MEMORY = "memory of agent and receiver"
_NOTES = """\
Everybody works on one cluster and one disk, with zstd at level 1 and two processes or workers. The peers' restores
end when the restored server has left recovery and answers a query. Stratum's `restore to serving` is the whole verb on
a lost data directory: it also runs `pg_verifybackup` and `pg_amcheck` and replays to the last received byte before the
new data directory takes the old one's place; the peers check nothing there. `by hand` is what RESTORE.md says: stock
`tar` and `zstd`, WAL from the archive, start. A drill of a moment includes all its checks. Streaming and zero-loss are
measured once all WAL of before was received and filed.

Where the time goes, taken apart on the same two cores with a cluster of 1.4 GB:

- **Full copy.** `pg_basebackup` by itself, with these options and nothing around it, took 2.45 s where pgBackRest took
  4.1 s: 0.60 of it. Stratum's verb adds about 0.5 s: its start, its plan, the questions it asks the server. One process
  of the server reads every page, checks the page's checksum and takes its SHA-256 for the manifest; that hash is 0.5 s
  of the 2.45 s (1.95 s with CRC32C, which is no proof of content). It used 3.6 s of processor time, of the 4.9 s that
  two cores have meanwhile. A faster zstd level leaves the allowed size: level -1 stores 1.12 times as much. Hashes of
  the stored files are taken, and the files put on disk, while they grow; both were 0.3 s of waiting at the end.
- **Restore to serving.** 7.0 s of processor time: 2.7 s unpacking, 1.3 s `pg_verifybackup` (meanwhile the files are put
  on disk, for which the server would wait 0.9 s when it starts), 0.7 s replaying, 1.4 s `pg_amcheck`, the rest start
  and stop. pgBackRest used 6.1 s for unpacking, replaying and starting. Without both checks it would be 4.3 s. They
  stay: the restored cluster goes live right after them. Where no living cluster is there to compare content with,
  nothing is digested, and amcheck alone reads every page.
- **Throughput with streaming.** `pg_receivewal` alone, without an agent, left 0.90 of the unprotected throughput
  (median of six rounds in turns), with the agent it was 0.885. The server's sender and `pg_receivewal` used 5 % of a
  core each: both are woken at every commit, on cores that the commits need. The agent used 3 %, most of it compressing.
  Every segment is written twice, zeros first, and a third time compressed, to the disk that the commits wait for."""


def render_recovery(results: Results) -> str:
    """Targets, the peers side by side, and the machine they met on."""
    machine = results.machine
    head = (
        "## Every second, beside pgBackRest and Barman\n\nRendered by `python -m benchmarks.recovery` from "
        f"`recovery.json`; do not edit. {machine['postgresql']}, {machine['pgbackrest']}, Barman {machine['barman']}, "
        f"{results.database['bytes_on_disk'] / 1e9:.2f} GB on disk; medians of {results.rounds} rounds in one run, in "
        "turns."
    )
    parts = (head, "\n".join(_targets(results)), "\n".join(_side_by_side(results)), _own(results), _NOTES)
    return "\n\n".join(parts)


def _targets(results: Results) -> list[str]:
    rows = (
        ("full copy / pgBackRest's", _ratio(results, "full copy"), 0.6, True),
        ("stored size / pgBackRest's", _ratio(results, "stored size"), 1.1, True),
        ("restore to serving / pgBackRest's", _ratio(results, "restore to serving"), 1.0, True),
        (
            "by hand to serving / pgBackRest's",
            _ratio(results, "restore to serving", own="by hand to serving"),
            1.0,
            True,
        ),
        ("throughput with streaming / unprotected", _share(results, _STREAMING), 0.88, False),
        ("throughput with zero-loss / unprotected", _share(results, _ZERO), 0.60, False),
    )
    lines = ["| target | wanted | measured | |", "|---|---|---|---|"]
    for what, value, wanted, at_most in rows:
        shown = "" if value is None else f"{value:.2f}"
        sign = "≤" if at_most else "≥"
        lines.append(f"| {what} | {sign} {wanted:.2f} | {shown} | {_verdict(value, wanted, at_most=at_most)} |")
    memory = results.median_of("stratum", _MEMORY)
    shown = "" if memory is None else render_value(memory, "bytes")
    lines.append(f"| {_MEMORY} | ≤ 200.0 MB | {shown} | {_verdict(memory, 200e6, at_most=True)} |")
    return lines


def _verdict(value: float | None, wanted: float, *, at_most: bool) -> str:
    if value is None:
        return "not measured"
    return "reached" if (value <= wanted if at_most else value >= wanted) else "**not reached**"


def _ratio(results: Results, task: str, *, own: str | None = None) -> float | None:
    ours, theirs = results.median_of("stratum", own or task), results.median_of("pgBackRest", task)
    return ours / theirs if ours is not None and theirs else None


def _share(results: Results, task: str) -> float | None:
    ours, alone = results.median_of("stratum", task), results.median_of("stratum", _ALONE)
    return ours / alone if ours is not None and alone else None


def _side_by_side(results: Results) -> list[str]:
    lines = [f"| task | {' | '.join(_PEERS)} |", "|---|---|---|---|"]
    for task in _TASKS:
        unit = next((found.unit for found in results.measurements if found.task == task), "s")
        cells = [_cell(results.median_of(peer, task), unit) for peer in _PEERS]
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return lines


def _cell(value: float | None, unit: str) -> str:
    return "" if value is None else render_value(value, unit)


def _own(results: Results) -> str:
    lines = ["| Stratum alone | median | least | most |", "|---|---|---|---|"]
    for found in results.measurements:
        if found.peer == "stratum" and found.task not in _TASKS:
            shown = (
                render_value(value, found.unit) for value in (found.median, min(found.samples), max(found.samples))
            )
            lines.append(f"| {found.task} | {' | '.join(shown)} |")
    return "\n".join(lines)
