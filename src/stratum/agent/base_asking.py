"""Asks for the base backup that receiving starts from: one at a time, and later again where one failed."""

from __future__ import annotations

from collections.abc import Callable

from stratum.adapters.journal import BY_ITSELF
from stratum.core.backup import BackupKind
from stratum.core.job import ENDED, SUCCEEDED, Job, JobRequest, JobVerb

WHO = BY_ITSELF
_FIRST_WAIT, _LONGEST_WAIT = 30.0, 1800.0


class BaseAsking:
    """Submits the job, and waits for its end before another: 30 s after the first failure, half an hour at most."""

    def __init__(self, submit: Callable[[JobRequest], Job]) -> None:
        self._submit = submit
        self._asked: str | None = None
        self._failures = 0
        self._not_before = 0.0
        self._last_at = 0.0

    def ask(self, now: float) -> None:
        """Ask unless that is on its way, or it is too early to try again. Raises what submitting raises."""
        if self._asked is not None or now < self._not_before:
            return
        self._last_at = now
        # Submitting may fail as well: the next try waits like after a failed backup.
        self._put_off()
        self._asked = self._submit(JobRequest(verb=JobVerb.BACKUP, kind=BackupKind.BASE, who=WHO)).id

    def hurry(self) -> None:
        """The next one is for something new: it waits for no failure of before."""
        self._failures, self._not_before = 0, 0.0

    def job_ended(self, job: Job) -> bool:
        """Whether it was a base backup, whoever asked for it."""
        if job.request.verb is not JobVerb.BACKUP or job.request.kind is not BackupKind.BASE:
            return False
        if job.id == self._asked and job.state in ENDED:
            self._asked = None
        if job.state in SUCCEEDED:
            self._failures = 0
        return True

    def _put_off(self) -> None:
        self._not_before = self._last_at + min(_FIRST_WAIT * (1 << min(self._failures, 10)), _LONGEST_WAIT)
        self._failures += 1
