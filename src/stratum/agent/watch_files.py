"""What the watch remembers across restarts: two small files in the archive's watch directory."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from stratum.adapters import durable
from stratum.adapters.records import parse, to_json
from stratum.agent.rounds import log_error
from stratum.core.errors import StratumError

T = TypeVar("T")


class WatchFiles:
    """Reads and replaces records in `watch/` of an archive, each in one step."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._folder = archive / "watch"

    def read(self, name: str, otherwise: T) -> T:
        """The record as it was last written, or `otherwise` when there is none, or it is damaged, which is logged.

        What is lost with it is an alarm that is told twice, or a missed run that the archive's backups show too.
        """
        file = self._folder / f"{name}.json"
        with durable.archive_errors(self._folder):
            if not file.exists():
                return otherwise
            text = file.read_bytes()
        try:
            return parse(type(otherwise), text, file=f"watch/{name}.json")
        except StratumError as error:
            if error.code != "archive-unreadable":
                raise
            log_error(error, where="watch")
            return otherwise

    def write(self, name: str, record: object) -> None:
        """Raises `archive-missing` where the archive's disk is not there: nothing may be left in its place."""
        if not (self._archive / "archive.json").exists():
            raise StratumError("archive-missing", path=self._archive)
        with durable.archive_errors(self._folder):
            self._folder.mkdir(mode=0o750, exist_ok=True)
            durable.write_file(self._folder / f"{name}.json", to_json(record) + "\n")
