"""Jobs as the archive keeps them: one JSON line for each change that has to outlive a restart."""

from __future__ import annotations

from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.archive import read_lines
from stratum.adapters.records import parse, to_json
from stratum.agent.rounds import log_error
from stratum.core.errors import StratumError
from stratum.core.job import Job


class JobRecords:
    """`jobs/YYYY-MM.jsonl` of an archive, by the month a job was asked for. The last line of a job is what counts."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._folder = archive / "jobs"

    def append(self, job: Job) -> None:
        """On disk before it returns. Raises `archive-missing`, and the archive's other errors."""
        if not (self._archive / "archive.json").exists():
            # A mount point without its disk is an empty directory, and nothing may be left in it.
            raise StratumError("archive-missing", path=self._archive)
        with durable.archive_errors(self._folder):
            self._folder.mkdir(mode=0o750, exist_ok=True)
            durable.append_line(self._folder / f"{job.queued_at:%Y-%m}.jsonl", to_json(job))

    def read(self, *, newest: int) -> tuple[Job, ...]:
        """The newest jobs, the oldest of them first. A line of a newer Stratum raises `archive-too-new`.

        A line that is no job is logged and passed over: what was is no reason for nothing to run any more.
        """
        last: dict[str, Job] = {}
        with durable.archive_errors(self._folder):
            for line in read_lines(self._folder):
                job = _job(line)
                if job is not None:
                    last[job.id] = job
        return tuple(sorted(last.values(), key=lambda job: (job.queued_at, job.id))[-newest:])


def _job(line: str) -> Job | None:
    try:
        return parse(Job, line, file="jobs")
    except StratumError as error:
        if error.code != "archive-unreadable":
            raise
        log_error(error, where="jobs")
        return None
