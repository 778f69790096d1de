"""Renders results.json: the targets with what was reached, every median, and the machine. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.report_recovery import render_recovery
from benchmarks.report_updates import render_updates
from benchmarks.results import Measurement, Results, render_value

BACKUP_SEED = ("seed", "backup")
RESTORE_SEED = ("seed", "restore")
BACKUP_FULL = ("stratum", "backup, digests full")
BACKUP_COUNTS = ("stratum", "backup, counts only")
DRILL = ("stratum", "drill")
DRILL_RESTORE = ("stratum", "drill, its restore step")
LIVE_RESTORE = ("stratum", "restore: build-beside")
MEMORY = ("stratum", "peak memory of its own processes")
HELP = ("stratum", "--help")
STATUS = ("stratum", "status")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A median, alone or as a share of another, and the most it may be."""

    what: str
    measured: tuple[str, str]
    against: tuple[str, str] | None = None
    at_most: float
    unit: str = "×"

    def value(self, results: Results) -> float | None:
        """None when the run did not measure it."""
        measured = results.median_of(*self.measured)
        against = results.median_of(*self.against) if self.against else 1.0
        return measured / against if measured is not None and against else None


TARGETS = (
    Target(what="backup, full digests / the seed's", measured=BACKUP_FULL, against=BACKUP_SEED, at_most=0.45),
    Target(what="backup, counts only / the seed's", measured=BACKUP_COUNTS, against=BACKUP_SEED, at_most=0.3),
    Target(what="drill's restore step / the seed's", measured=DRILL_RESTORE, against=RESTORE_SEED, at_most=0.8),
    Target(what="live restore's step / the seed's", measured=LIVE_RESTORE, against=RESTORE_SEED, at_most=1.0),
    Target(what="whole drill / its own restore step", measured=DRILL, against=DRILL_RESTORE, at_most=1.5),
    Target(what="peak memory of Stratum's own processes", measured=MEMORY, at_most=200e6, unit="bytes"),
    Target(what="`stratum --help`", measured=HELP, at_most=0.2, unit="s"),
    Target(what="`stratum status`", measured=STATUS, at_most=0.5, unit="s"),
)

_NOTES = """\
The seed's restore is `cat … | pg_restore -c` over a database that holds the same tables. `drill, its restore step` is
the proof's `restore_seconds` (roles, database, `pg_restore`, settings); `restore: build-beside` is the same in the
live server. `drill` and `restore` are whole commands. Memory counts Stratum's own processes, not the PostgreSQL tools
they call."""


_FIRST_UP = "first up: volume, cluster, roles, all services healthy"


def render_report(
    results: Results,
    containers: Results | None = None,
    recovery: Results | None = None,
    updates: Results | None = None,
) -> str:
    """The whole of RESULTS.md; what was measured beside other tools and on Docker comes last."""
    head = (
        "# Benchmark results\n\nRendered by `python -m benchmarks` from `results.json`; do not edit.\n"
        f"Medians of {results.rounds} rounds in one run, the peers taking turns on one server."
    )
    sections = (
        head,
        "## Targets",
        "\n".join(_target_lines(results)),
        "## Measured",
        "\n".join(_measurement_lines(results.measurements)),
        _NOTES,
        "## Data",
        "\n".join(_database_lines(results)),
        "## Machine",
        "\n".join(_machine_lines(results)),
        *((render_recovery(recovery),) if recovery else ()),
        *((render_updates(updates),) if updates else ()),
        *((render_containers(containers),) if containers else ()),
    )
    return "\n\n".join(sections) + "\n"


def render_containers(results: Results) -> str:
    """The stack on Docker: targets, ratios to plain `docker compose`, and every measurement."""
    machine = results.machine
    head = (
        "## On Docker\n\nRendered by `python -m benchmarks.containers` from `containers.json`; do not edit. The "
        f"reference stack on Docker Engine {machine['docker']} with Compose {machine['compose']}; base images: "
        f"{machine['base_images']}. Peer `compose` is `docker compose` typed by hand on the same files."
    )
    return "\n\n".join(
        (
            head,
            "\n".join(_container_targets(results)),
            "\n".join(_ratio_lines(results)),
            "\n".join(_measurement_lines(results.measurements)),
            "\n".join(_machine_lines(results)),
        )
    )


def _container_targets(results: Results) -> list[str]:
    own = [results.median_of("stratum", f"memory of {name} at rest") for name in ("backup", "backend", "frontend")]
    together = sum(value for value in own if value is not None)
    rows = (
        ("first `up` with images built, until healthy", 15.0, results.median_of("stratum", _FIRST_UP), "s"),
        ("`stop`", 5.0, results.median_of("stratum", "stop"), "s"),
        ("memory of backup, backend and frontend together, at rest", 350e6, together, "bytes"),
    )
    lines = ["| target | at most | measured | |", "|---|---|---|---|"]
    for what, most, value, unit in rows:
        verdict = "not measured" if value is None else "reached" if value <= most else "**not reached**"
        shown = "" if value is None else render_value(value, unit)
        lines.append(f"| {what} | {render_value(most, unit)} | {shown} | {verdict} |")
    return lines


def _ratio_lines(results: Results) -> list[str]:
    """What Stratum's looks, guards and records cost over Compose alone."""
    lines = ["| task | stratum / compose |", "|---|---|"]
    for found in results.measurements:
        alone = results.median_of("compose", found.task)
        if found.peer == "stratum" and alone:
            lines.append(f"| {found.task} | {found.median / alone:.2f} |")
    return lines


def _target_lines(results: Results) -> list[str]:
    lines = ["| target | at most | measured | |", "|---|---|---|---|"]
    for target in TARGETS:
        value = target.value(results)
        verdict = "not measured" if value is None else "reached" if value <= target.at_most else "**not reached**"
        shown = "" if value is None else _amount(value, target.unit)
        lines.append(f"| {target.what} | {_amount(target.at_most, target.unit)} | {shown} | {verdict} |")
    return lines


def _amount(value: float, unit: str) -> str:
    if unit == "×":
        return f"{value:.2f}"
    return f"{value * 1000:.0f} ms" if unit == "s" else render_value(value, unit)


def _measurement_lines(measurements: tuple[Measurement, ...]) -> list[str]:
    lines = ["| peer | task | median | least | most |", "|---|---|---|---|---|"]
    for found in measurements:
        amounts = (found.median, min(found.samples), max(found.samples))
        shown = " | ".join(render_value(amount, found.unit) for amount in amounts)
        lines.append(f"| {found.peer} | {found.task} | {shown} |")
    return lines


def _database_lines(results: Results) -> list[str]:
    data = results.database
    on_disk, tables, copied = data["bytes_on_disk"], data["table_bytes"], data["copy_bytes"]
    lines = [
        f"- {on_disk / 1e9:.2f} GB on disk, {tables / 1e9:.2f} GB of it tables, the rest indexes and catalogue",
        f"- {data['rows']:,} rows in {data['tables']} tables; {copied / 1e9:.2f} GB as COPY writes them",
    ]
    for peer, dump in ((peer, results.median_of(peer, "size of the backup")) for peer in ("seed", "stratum")):
        if dump:
            ratios = f"COPY text {copied / dump:.1f}, tables {tables / dump:.1f}, database {on_disk / dump:.1f}"
            lines.append(f"- size relative to the backup of {peer}: {ratios}")
    return lines


def _machine_lines(results: Results) -> list[str]:
    machine = results.machine
    memory, written = float(machine["memory_bytes"]) / 2**30, float(machine["disk_write_mb_per_s"])
    load = float(machine["load_at_start"])
    return [
        f"- {machine['cores']} cores ({machine['processor']}), {memory:.0f} GiB of memory",
        f"- {machine['kernel']}, {machine['libc']}, {machine['filesystem']}, {written:.0f} MB/s written and fsynced",
        f"- {machine['postgresql']}, Python {machine['python']}",
        f"- load average {load:.1f} when the run began",
    ]
