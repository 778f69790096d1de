"""The schedule: asks for what is due, once for all the times that were missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from stratum.agent.drill_choice import choose_drill
from stratum.agent.watch_files import WatchFiles
from stratum.config import find_zone
from stratum.core.backup import BackupKind
from stratum.core.errors import StratumError
from stratum.core.job import SUCCEEDED, Job, JobRequest, JobVerb
from stratum.core.proof import Method
from stratum.core.receiving import ProtectMode
from stratum.core.schedule import ScheduleBook, asked_for, last_run
from stratum.ports import Ports

WHO = "schedule"
_FILE = "schedule"
_DUMP, _BASE, _DRILL = JobVerb.BACKUP.value, "base-backup", JobVerb.DRILL.value
_REQUESTS = {
    _DUMP: JobRequest(verb=JobVerb.BACKUP, who=WHO),
    _BASE: JobRequest(verb=JobVerb.BACKUP, kind=BackupKind.BASE, who=WHO),
    _DRILL: JobRequest(verb=JobVerb.DRILL, who=WHO),
}
"""What the clock asks for, by its name in the book."""


def next_time(expression: str, zone: tzinfo, after: datetime) -> datetime:
    """The first scheduled time later than `after`, in UTC.

    Where clocks go forward, a time in the hour that does not exist comes right after it; where they go back, a
    time in the hour that comes twice is its first. (https://manpages.debian.org/bookworm/cron/cron.8.en.html)
    """
    from cronsim import CronSim

    times: Iterator[datetime] = (time.astimezone(UTC) for time in CronSim(expression, after.astimezone(zone)))
    return next(time for time in times if time > after)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheduler:
    """What one stack's settings ask for by the clock."""

    ports: Ports
    files: WatchFiles
    submit: Callable[[JobRequest], Job]

    def next_at(self, verb: JobVerb) -> datetime | None:
        """When the verb comes next, from now on; None when it is not scheduled. Of backups it is the dump."""
        expression = self._expression(verb.value)
        return next_time(expression, self._zone(), self.ports.clock.now()) if expression else None

    def ask_for_due(self) -> None:
        """Ask for everything whose time has come since it last ran, as the archive and the book say.

        It is written down before it is asked for: a stop between the two skips one run, and never repeats one.
        """
        for name in _REQUESTS:
            expression = self._expression(name)
            if expression:
                self._ask_if_due(name, expression)

    def after(self, job: Job) -> None:
        """Retention follows a scheduled backup that succeeded."""
        if job.request.verb is JobVerb.BACKUP and job.request.who == WHO and job.state in SUCCEEDED:
            self.submit(JobRequest(verb=JobVerb.PRUNE, who=WHO))

    def _ask_if_due(self, name: str, expression: str) -> None:
        now = self.ports.clock.now()
        book = self.files.read(_FILE, ScheduleBook())
        asked = last_run(book, name, (), now=now)
        if asked is not None and next_time(expression, self._zone(), asked) > now:
            return
        last = last_run(book, name, self._evidence(name), now=now)
        if last is None:
            self.files.write(_FILE, asked_for(book, name, now))
        elif next_time(expression, self._zone(), last) <= now:
            self.files.write(_FILE, asked_for(book, name, now))
            self.submit(choose_drill(self.ports, who=WHO) if name == _DRILL else _REQUESTS[name])

    def _evidence(self, name: str) -> Iterator[datetime]:
        if name == _DUMP:
            return (manifest.taken_at for manifest in self.ports.archive.manifests())
        if name == _BASE:
            return (base.finished_at for base in self.ports.wal.bases())
        return (proof.finished_at for proof in self.ports.archive.proofs() if proof.method is Method.DRILL)

    def _expression(self, name: str) -> str:
        stack = self.ports.stack
        base = stack.protect.schedule if stack.protect.mode is not ProtectMode.DUMPS else ""
        return {_DUMP: stack.backup.schedule, _BASE: base, _DRILL: stack.drill.schedule}.get(name, "")

    def _zone(self) -> tzinfo:
        name = self.ports.stack.backup.timezone
        try:
            return find_zone(name)
        except (OSError, ValueError) as error:
            raise StratumError(
                "invalid-setting", file="stratum.toml", setting="[backup] timezone", problem=error
            ) from None
