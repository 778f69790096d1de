"""Puts RESULTS.md together from every results file there is."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report import render_report
from benchmarks.results import Results, read_results

HERE = Path(__file__).parent


def write_report(own: Path | None = None, *, out: Path = HERE) -> str:
    """Write RESULTS.md into `out` and return it; `own` is another results.json than the one kept here."""
    beside = (_read(name) for name in ("containers.json", "recovery.json", "updates.json"))
    text = render_report(read_results(own or HERE / "results.json"), *beside)
    (out / "RESULTS.md").write_text(text, encoding="utf-8")
    return text


def _read(name: str) -> Results | None:
    file = HERE / name
    return read_results(file) if file.exists() else None
