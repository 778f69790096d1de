"""The agent of one stack: its queue, its watch, and what it knows, behind one desk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import cast

from stratum.adapters.export_tar import stream_backup
from stratum.adapters.messages import speak_line
from stratum.agent.desk import Export
from stratum.agent.job_book import JobBook
from stratum.agent.job_records import JobRecords
from stratum.agent.remembering import RememberingArchive, RememberingJournal
from stratum.agent.rescue_kit import make_rescue_kit
from stratum.agent.rounds import Rounds
from stratum.agent.runner import Runner
from stratum.agent.settings_shown import show_settings
from stratum.agent.watch import Watch
from stratum.config import find_stack, load_settings
from stratum.core.agent_status import AgentStatus, Status
from stratum.core.answers import (
    BackupAnswer,
    BackupsAnswer,
    ChecklistAnswer,
    JournalAnswer,
    PinAnswer,
    ProofsAnswer,
    SettingsAnswer,
)
from stratum.core.changes import ChangesAnswer, RehearsalsAnswer, list_rehearsals, observe_changes
from stratum.core.checklist import Line, all_hold
from stratum.core.coverage import BaseAnswer, CoverageAnswer
from stratum.core.errors import StratumError
from stratum.core.job import Job, JobEvent, JobRequest, JobsAnswer
from stratum.core.plan import Plan
from stratum.core.rehearsal import Rehearsal
from stratum.core.release import ReleasesAnswer
from stratum.core.rescue_kit import RescueKit
from stratum.core.rollback_cost import RollbackCost
from stratum.core.timeline import Timeline
from stratum.engine.check import run_check
from stratum.engine.list_backups import list_backups, observe_timeline, pin_backup, show_backup
from stratum.engine.releases import list_releases
from stratum.engine.report_coverage import report_coverage, show_base
from stratum.engine.report_rollback_cost import report_rollback_cost
from stratum.engine.report_status import report_status
from stratum.engine.run_request import run_request
from stratum.ports import Archive, Ports, RunState
from stratum.wiring import open_silent, open_watched, read_only

WHO = "agent"
_STATUS_SECONDS = 1.5
_CHECKLIST_SECONDS = 10.0
_COST_SECONDS = 60.0
"""Counting holds the stack's lock, and somebody waits before the page."""


class AgentDesk:
    """Answers from what is known by now; only plans and the checklist look at the world while somebody waits."""

    def __init__(self, directory: Path) -> None:
        self._directory = find_stack(directory.absolute())
        archive = load_settings(self._directory).archive_path
        self._looking = _remembering(open_watched(self._directory), archive)
        self._book = JobBook(JobRecords(archive), self._looking.clock)
        self._runner = Runner(
            directory=self._directory,
            book=self._book,
            journal=self._looking.journal,
            clock=self._looking.clock,
            ended=self._job_ended,
            serves=self._serves,
        )
        self._watch = Watch(directory=self._directory, submit=self.submit)
        self._rounds = Rounds("status", self._look, every_seconds=_STATUS_SECONDS)
        self._status: Status | StratumError | None = None
        self._checklist = _Checklist(self._looking)

    def start(self) -> None:
        """Look once, settle what a stop had cut, then run and watch. Raises the archive's errors."""
        self._look()
        self._runner.start()
        self._rounds.start()
        self._watch.start()

    def stop(self) -> None:
        """Take back what runs, and end every thread."""
        self._runner.stop()
        self._watch.stop()
        self._rounds.stop()

    def status(self) -> AgentStatus:
        known = self._status
        if known is None or isinstance(known, StratumError):
            raise known or StratumError("unexpected", problem="the agent has not looked yet")
        state = self._watch.state()
        return AgentStatus(
            status=known,
            canary_at=state.canary_at,
            next_backup_at=state.next_backup_at,
            next_drill_at=state.next_drill_at,
            alarms=state.alarms,
            job=self._runner.running,
        )

    def checklist(self) -> ChecklistAnswer:
        lines = self._checklist.lines()
        return ChecklistAnswer(all_hold=all_hold(lines), lines=tuple(speak_line(line) for line in lines))

    def timeline(self) -> Timeline:
        return observe_timeline(self._looking)

    def coverage(self) -> CoverageAnswer:
        return report_coverage(self._looking)

    def base(self, backup_id: str) -> BaseAnswer:
        return show_base(backup_id, self._looking)

    def settings(self) -> SettingsAnswer:
        return show_settings(load_settings(self._directory))

    def backups(self) -> BackupsAnswer:
        return list_backups(self._looking)

    def backup(self, backup_id: str) -> BackupAnswer:
        return show_backup(backup_id, self._looking)

    def pin(self, backup_id: str, *, pinned: bool) -> PinAnswer:
        return pin_backup(backup_id, open_silent(self._directory, who=WHO), pinned=pinned)

    def export(self, backup_id: str) -> Export:
        manifest = show_backup(backup_id, self._looking).manifest
        directory = self._looking.archive.backup_path(manifest.id)
        return Export(backup_id=manifest.id, parts=stream_backup(directory, manifest))

    def proofs(self, limit: int) -> ProofsAnswer:
        found = sorted(self._looking.archive.proofs(), key=lambda proof: proof.finished_at, reverse=True)
        return ProofsAnswer(proofs=tuple(found[:limit]))

    def journal(self, limit: int) -> JournalAnswer:
        return JournalAnswer(entries=tuple(reversed(self._looking.journal.entries()[-limit:])))

    def releases(self) -> ReleasesAnswer:
        return list_releases(self._looking)

    def rehearsals(self) -> RehearsalsAnswer:
        return list_rehearsals(self._looking.rehearsals.recorded())

    def rehearsal(self, rehearsal_id: str) -> Rehearsal:
        found = next((one for one in self._looking.rehearsals.recorded() if one.id == rehearsal_id), None)
        if found is None:
            raise StratumError("unknown-address", path=f"/rehearsals/{rehearsal_id}")
        return found

    def changes(self) -> ChangesAnswer:
        return observe_changes(self._looking.journal.entries())

    def rollback_cost(self, *, with_data: bool) -> RollbackCost:
        return report_rollback_cost(open_silent(self._directory, who=WHO), with_data=with_data, seconds=_COST_SECONDS)

    def plan(self, request: JobRequest) -> Plan:
        return run_request(request, read_only(open_silent(self._directory, who=request.who))).plan

    def submit(self, request: JobRequest) -> Job:
        return self._runner.submit(request)

    def jobs(self, limit: int) -> JobsAnswer:
        return JobsAnswer(jobs=self._book.newest(limit))

    def job(self, job_id: str) -> Job:
        return self._book.job(job_id)

    def event(self, job_id: str) -> JobEvent:
        return self._book.event(job_id)

    def hear_of(self, job_id: str, wake: Callable[[], None]) -> AbstractContextManager[None]:
        return self._book.hear_of(job_id, wake)

    def answer(self, job_id: str, confirmed: Sequence[str]) -> Job:
        """The stack's own name, as often as the question wants it; anything else declines the job."""
        question = self._book.job(job_id).question
        wanted = question.confirmations if question else 1
        right = all(name == self._looking.stack.name for name in confirmed)
        return self._runner.answer(job_id, agreed=right and len(confirmed) >= wanted)

    def decline(self, job_id: str) -> Job:
        return self._runner.answer(job_id, agreed=False)

    def cancel(self, job_id: str) -> Job:
        return self._runner.cancel(job_id)

    def token_epoch(self) -> int:
        return self._looking.archive.token_epoch()

    def rescue_kit(self) -> RescueKit:
        return make_rescue_kit(self._looking, load_settings(self._directory))

    def redeem(self, token: str) -> bool:
        return self._looking.archive.redeem_console_token(token, now=self._looking.clock.now())

    def metrics(self) -> bytes:
        return self._watch.metrics_text()

    def _look(self) -> None:
        try:
            self._status = report_status(self._looking)
        except StratumError as error:
            self._status = error

    def _serves(self) -> bool:
        """Whether the database serves, as last seen; where nobody could look, nothing is concluded from it."""
        known = self._status
        return not isinstance(known, Status) or known.database == RunState.RUNNING.value

    def _job_ended(self, job: Job) -> None:
        self._rounds.hurry()
        self._checklist.forget()
        self._watch.job_ended(job)


class _Checklist:
    """The checklist's lines, looked at when somebody asks, at most every ten seconds however many ask."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._lock = threading.Lock()
        self._found: tuple[float, tuple[Line, ...]] | None = None

    def lines(self) -> tuple[Line, ...]:
        with self._lock:
            now = self._ports.clock.monotonic()
            if self._found is None or now - self._found[0] >= _CHECKLIST_SECONDS:
                self._found = (now, run_check(self._ports))
            return self._found[1]

    def forget(self) -> None:
        """Look again for the next who asks."""
        self._found = None


def _remembering(ports: Ports, archive: Path) -> Ports:
    return replace(
        ports,
        archive=cast("Archive", RememberingArchive(ports.archive, archive)),
        journal=RememberingJournal(ports.journal, archive),
    )
