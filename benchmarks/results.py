"""What a benchmark run measured, as one JSON object that later peers only add lines to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """All samples of one peer at one task, in the order they were taken."""

    peer: str
    """`seed`, `stratum`; any other tool that is measured beside them."""
    task: str
    unit: str
    """`s`, `bytes` or `tps` (transactions a second)."""
    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.samples)


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """One run: where, on what data, and every sample."""

    format: int = FORMAT
    rounds: int
    machine: Mapping[str, str | int | float]
    database: Mapping[str, int]
    measurements: tuple[Measurement, ...]

    def median_of(self, peer: str, task: str) -> float | None:
        """The median of one measurement; None when this run has none."""
        for found in self.measurements:
            if (found.peer, found.task) == (peer, task):
                return found.median
        return None


class Notebook:
    """Collects samples while a run is under way."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str, str], list[float]] = {}

    def add(self, peer: str, task: str, value: float, *, unit: str = "s") -> None:
        self._samples.setdefault((peer, task, unit), []).append(value)
        print(f"  {peer:<8} {task:<40} {render_value(value, unit)}", flush=True)

    def measurements(self) -> tuple[Measurement, ...]:
        return tuple(
            Measurement(peer=peer, task=task, unit=unit, samples=tuple(round(value, 3) for value in values))
            for (peer, task, unit), values in self._samples.items()
        )


def render_value(value: float, unit: str) -> str:
    """A number with its unit, for a person."""
    if unit == "tps":
        return f"{value:.0f} tps"
    return f"{value / 1e6:.1f} MB" if unit == "bytes" else f"{value:.2f} s"


def write_results(results: Results, path: Path) -> None:
    """Write one JSON object; `read_results` reads it."""
    path.write_text(json.dumps(asdict(results), indent=1) + "\n", encoding="utf-8")


def read_results(path: Path) -> Results:
    """Read what `write_results` wrote. Raises ValueError for another format."""
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if record["format"] != FORMAT:
        raise ValueError(f"{path.name} has format {record['format']}; this program reads {FORMAT}")
    return Results(
        rounds=record["rounds"],
        machine=record["machine"],
        database=record["database"],
        measurements=tuple(
            Measurement(peer=m["peer"], task=m["task"], unit=m["unit"], samples=tuple(m["samples"]))
            for m in record["measurements"]
        ),
    )
