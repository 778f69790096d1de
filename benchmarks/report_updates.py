"""Renders updates.json: downtime, the way back of the data, and rehearsals. Pure."""

from __future__ import annotations

from benchmarks.results import Results, render_value

_UNDO_SECONDS = 2.0
_NOTES = """\
Downtime is how long in sum the backend did not answer, asked every 20 ms on Docker; the seed's is its section 8 typed
by hand on the same stack: build, stop, start, without its dump. A whole update has more in it: a backup, its drill,
the rehearsal, all while the old version serves. `undo copy` is made with the application stopped and adds to the
downtime of an update; `undo` puts the copies back. A rehearsal looks at every row twice, a drill once.

Where the downtime goes, by the journal of one such update on this small stack: stop 1.3 s, restore point 0.8 s, undo
copy 1.1 s, migrate in a container of its own 2.3 s, start with nothing published behind the guard 4.2 s, verify 0.9 s,
commit 0.8 s, publish 3.6 s. It was taken in a run of its own, with newer code than the rest. (An earlier figure of
13.5 s was the longest of two gaps: Compose then made the containers once more after they were published.) The seed's
procedure has the stop and one start of these. Containers start twice, as Docker opens no port of one that runs: it is
the price of nobody being able to write to a release before it is found well."""


def render_updates(results: Results) -> str:
    """Ratios and targets first, then every measurement."""
    head = (
        "## Updates\n\nRendered by `python -m benchmarks.updates` from `updates.json`; do not edit. Medians of "
        f"{results.rounds} rounds."
    )
    return "\n\n".join((head, "\n".join(_targets(results)), "\n".join(_own(results)), _NOTES))


def _targets(results: Results) -> list[str]:
    lines = ["| what | wanted | measured | |", "|---|---|---|---|"]
    for found in results.measurements:
        if found.task.startswith("undo of "):
            verdict = "reached" if found.median <= _UNDO_SECONDS else "**not reached**"
            lines.append(f"| {found.task} | ≤ {_UNDO_SECONDS:.2f} s | {found.median:.2f} s | {verdict} |")
    for what, ours, theirs in (
        ("downtime of an update / the seed's", ("stratum", "update, downtime"), ("seed", "update, downtime")),
        ("whole rehearsal / a drill's restore", ("stratum", "rehearsal, whole"), ("stratum", "drill, its restore")),
        ("whole rehearsal / a whole drill", ("stratum", "rehearsal, whole"), ("stratum", "drill, whole")),
    ):
        own, other = results.median_of(*ours), results.median_of(*theirs)
        if own is not None and other:
            lines.append(f"| {what} | | {own / other:.2f} | |")
    return lines


def _own(results: Results) -> list[str]:
    lines = ["| peer | task | median | least | most |", "|---|---|---|---|---|"]
    for found in results.measurements:
        cells = (render_value(value, found.unit) for value in (found.median, min(found.samples), max(found.samples)))
        lines.append(f"| {found.peer} | {found.task} | {' | '.join(cells)} |")
    return lines
