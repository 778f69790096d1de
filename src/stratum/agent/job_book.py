"""Every job the agent knows, as of now: what changed is written down, and whoever listens is woken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from stratum.agent.job_records import JobRecords
from stratum.agent.reports import is_worth_recording
from stratum.agent.rounds import log_error
from stratum.core.errors import StratumError
from stratum.core.job import ENDED, Job, JobEvent
from stratum.ports import Clock

KEPT = 500
"""Jobs held in memory; the archive keeps all."""


@dataclass(kw_only=True, slots=True)
class _Entry:
    event: JobEvent
    listeners: list[Callable[[], None]] = field(default_factory=list)


class JobBook:
    """May be used by any thread."""

    def __init__(self, records: JobRecords, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._lock = threading.RLock()
        self._entries: dict[str, _Entry] = {}

    def open(self) -> tuple[Job, ...]:
        """Read what the archive knows; the jobs that have not ended, the oldest first."""
        with self._lock:
            for job in self._records.read(newest=KEPT):
                self._entries[job.id] = _Entry(event=JobEvent(number=1, at=job.ended_at or job.queued_at, job=job))
            return tuple(entry.event.job for entry in self._entries.values() if entry.event.job.state not in ENDED)

    def add(self, job: Job) -> None:
        """A new job. Raises the archive's errors: what cannot be written down is not begun."""
        with self._lock:
            self._records.append(job)
            self._entries[job.id] = _Entry(event=JobEvent(number=1, at=self._clock.now(), job=job))
            too_many = max(0, len(self._entries) - KEPT)
            for old in [i for i, e in self._entries.items() if e.event.job.state in ENDED][:too_many]:
                del self._entries[old]

    def change(self, job_id: str, made_of: Callable[[Job], Job]) -> Job:
        """Change a job. An archive that has gone in the meantime is logged: the job's work goes on."""
        with self._lock:
            entry = self._entry(job_id)
            before, after = entry.event.job, made_of(entry.event.job)
            if after == before:
                return after
            if is_worth_recording(before, after):
                self._write_down(after)
            entry.event = JobEvent(number=entry.event.number + 1, at=self._clock.now(), job=after)
            for wake in tuple(entry.listeners):
                wake()
            return after

    def event(self, job_id: str) -> JobEvent:
        """The newest event of a job. Raises `unknown-job`."""
        with self._lock:
            return self._entry(job_id).event

    def job(self, job_id: str) -> Job:
        return self.event(job_id).job

    def newest(self, limit: int) -> tuple[Job, ...]:
        with self._lock:
            jobs = [entry.event.job for entry in self._entries.values()]
        return tuple(sorted(jobs, key=lambda job: (job.queued_at, job.id), reverse=True)[:limit])

    @contextmanager
    def hear_of(self, job_id: str, wake: Callable[[], None]) -> Iterator[None]:
        """Within it `wake` is called after each change of the job, by whichever thread made it."""
        with self._lock:
            listeners = self._entry(job_id).listeners
            listeners.append(wake)
        try:
            yield
        finally:
            with self._lock:
                listeners.remove(wake)

    def _entry(self, job_id: str) -> _Entry:
        if job_id not in self._entries:
            raise StratumError("unknown-job", job=ascii(job_id))
        return self._entries[job_id]

    def _write_down(self, job: Job) -> None:
        try:
            self._records.append(job)
        except StratumError as error:
            log_error(error, where=f"job {job.id}")
