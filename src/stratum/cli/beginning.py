"""init --from: a stack that was lost, laid down from its archive or from a copy of it."""

from __future__ import annotations

from pathlib import Path

from stratum.cli.session import show_record


def show_begun(directory: Path, source: str, *, identity: Path | None, archive: str | None, as_json: bool) -> None:
    """Take it up, and say what to do next. Raises what `init_from` raises."""
    from stratum.cli.render import choose_progress
    from stratum.config import COMPOSE
    from stratum.init_from import init_from

    with choose_progress(quiet=as_json).task("fetching the archive", total=None, unit="bytes") as fetched:
        begun = init_from(
            directory, source, identity=identity, archive=archive, on_fetched=lambda done, _: fetched(done)
        )
    key = f" --identity {identity}" if identity is not None and begun.runtime != COMPOSE else ""
    where = f"--stack {directory}"
    steps = (
        [f"stratum build {where}", f"stratum restore --cluster {where}, which starts the services as well"]
        if begun.runtime == COMPOSE
        else [f"stratum restore --cluster{key} {where}", f"stratum up {where}"]
    )
    lines = [
        *(f"wrote {path}" for path in begun.written),
        f"the archive of {begun.stack} is in {begun.archive}; {begun.fetched} files were brought here",
        f"next: {', then '.join(steps)}",
    ]
    record = {
        "format": 1,
        "stack": begun.stack,
        "archive": str(begun.archive),
        "written": [str(path) for path in begun.written],
        "fetched": begun.fetched,
    }
    show_record(record, "\n".join(lines), as_json=as_json)
