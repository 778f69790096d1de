"""A stand-in for the agent: the real interface over canned answers, with failures that a test writes down.

desk = FakeDesk()
app = make_fake_agent(desk)          # an ASGI application, for httpx.ASGITransport or uvicorn
desk.failures["status"] = StratumError("archive-missing", path="/archive")
desk.garbage.add("/backups")         # this path is answered with what is no JSON
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from stratum.adapters.records import parse, to_json
from stratum.agent.app import make_app
from stratum.agent.desk import Export
from stratum.core.agent_status import AgentStatus
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
from stratum.core.coverage import BaseAnswer, CoverageAnswer
from stratum.core.errors import StratumError
from stratum.core.job import ENDED, Job, JobEvent, JobRequest, JobsAnswer, JobState, JobVerb
from stratum.core.plan import Plan
from stratum.core.rehearsal import Rehearsal
from stratum.core.release import ReleasesAnswer
from stratum.core.rescue_kit import RescueKit
from stratum.core.rollback_cost import RollbackCost
from stratum.core.timeline import Timeline
from tests.fakes import console_answers, console_coverage
from tests.fakes.console_answers import World, calm_world
from tests.fakes.console_records import STACK, job

SECRET = "secret-of-the-fake-agent"  # noqa: S105  the fake's own
CONSOLE_TOKEN = "console-token-of-the-fake-agent"  # noqa: S105  the same
_ASKS = frozenset({JobVerb.RESTORE, JobVerb.UNDO_RESTORE})


@dataclass(kw_only=True, slots=True)
class FakeDesk:
    """What the agent would answer. A job that was asked for runs until `end` is called, or its question answered."""

    world: World = field(default_factory=calm_world)
    failures: dict[str, StratumError] = field(default_factory=dict)
    """By the name of the method: what it raises."""
    garbage: set[str] = field(default_factory=set)
    """Paths that are answered with something that is no JSON."""
    epoch: int = 1
    tokens: set[str] = field(default_factory=lambda: {CONSOLE_TOKEN})
    asked: list[JobRequest] = field(default_factory=list)
    """Every request for a job, the oldest first."""
    made: dict[str, Job] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    listeners: dict[str, list[Callable[[], None]]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def status(self) -> AgentStatus:
        self._may("status")
        running = next((known.id for known in self.made.values() if known.state not in ENDED), None)
        found = self.world.status()
        found["alarms"] = [{"data": "", "next": "", "delivered": True, **alarm} for alarm in found["alarms"]]
        found["job"] = found["job"] or running
        return parse(AgentStatus, to_json(found), file="fake")

    def checklist(self) -> ChecklistAnswer:
        self._may("checklist")
        return self.world.checklist()

    def timeline(self) -> Timeline:
        self._may("timeline")
        return self.world.timeline()

    def coverage(self) -> CoverageAnswer:
        self._may("coverage")
        return self.world.coverage()

    def settings(self) -> SettingsAnswer:
        self._may("settings")
        return console_answers.settings()

    def backups(self) -> BackupsAnswer:
        self._may("backups")
        return self.world.backups()

    def backup(self, backup_id: str) -> BackupAnswer:
        self._may("backup")
        found = self.world.backup(backup_id)
        if found is None:
            raise StratumError("unknown-backup", backup=backup_id)
        return found

    def pin(self, backup_id: str, *, pinned: bool) -> PinAnswer:
        self._may("pin")
        known = self.backup(backup_id).manifest.id
        kept = self.world.pinned | {known} if pinned else self.world.pinned - {known}
        self.world = replace(self.world, pinned=kept)
        return PinAnswer(backup_id=known, pinned=pinned)

    def export(self, backup_id: str) -> Export:
        self._may("export")
        known = self.backup(backup_id).manifest.id
        return Export(backup_id=known, parts=iter((b"\0" * 512, b"\0" * 512)))

    def proofs(self, limit: int) -> ProofsAnswer:
        self._may("proofs")
        return ProofsAnswer(proofs=self.world.newest_proofs().proofs[:limit])

    def journal(self, limit: int) -> JournalAnswer:
        self._may("journal")
        return JournalAnswer(entries=self.world.newest_entries().entries[:limit])

    def releases(self) -> ReleasesAnswer:
        self._may("releases")
        return self.world.releases()

    def rehearsals(self) -> RehearsalsAnswer:
        self._may("rehearsals")
        return list_rehearsals(self.world.rehearsals)

    def rehearsal(self, rehearsal_id: str) -> Rehearsal:
        self._may("rehearsal")
        found = self.world.rehearsal(rehearsal_id)
        if found is None:
            raise StratumError("unknown-address", path=f"/rehearsals/{rehearsal_id}")
        return found

    def changes(self) -> ChangesAnswer:
        self._may("changes")
        return observe_changes(self.world.changing)

    def rollback_cost(self, *, with_data: bool) -> RollbackCost:
        self._may("rollback_cost")
        return self.world.rollback_cost(with_data=with_data)

    def plan(self, request: JobRequest) -> Plan:
        self._may("plan")
        wanted = self.backup(request.backup_id).manifest.id if request.backup_id else None
        plan = self.world.plan_restore(wanted, request.at, request.into)
        return plan if request.verb is JobVerb.RESTORE else replace(plan, verb=request.verb.value)

    def submit(self, request: JobRequest) -> Job:
        self._may("submit")
        state = JobState.ASKING if request.verb in _ASKS and not request.into else JobState.RUNNING
        with self.lock:
            self.asked.append(request)
            made = replace(job(request.verb, state), id=f"job-{len(self.asked):04d}", request=request)
            self._keep(made)
        return made

    def jobs(self, limit: int) -> JobsAnswer:
        self._may("jobs")
        return JobsAnswer(jobs=(*reversed(self.made.values()), *self.world.jobs)[:limit])

    def job(self, job_id: str) -> Job:
        self._may("job")
        for known in (*self.made.values(), *self.world.jobs):
            if known.id == job_id:
                return known
        raise StratumError("unknown-job", job=job_id)

    def event(self, job_id: str) -> JobEvent:
        self._may("event")
        known = self.job(job_id)
        return JobEvent(number=self.numbers.get(job_id, 1), at=datetime.now(UTC), job=known)

    @contextmanager
    def hear_of(self, job_id: str, wake: Callable[[], None]) -> Iterator[None]:
        self.listeners.setdefault(job_id, []).append(wake)
        try:
            yield
        finally:
            self.listeners[job_id].remove(wake)

    def answer(self, job_id: str, confirmed: Sequence[str]) -> Job:
        self._may("answer")
        asking = self._in_state(job_id, JobState.ASKING)
        wanted = asking.question.confirmations if asking.question else 1
        agreed = len(confirmed) >= wanted and all(name == STACK for name in confirmed)
        return self.end(job_id, JobState.DONE if agreed else JobState.DECLINED)

    def decline(self, job_id: str) -> Job:
        self._may("decline")
        self._in_state(job_id, JobState.ASKING)
        return self.end(job_id, JobState.DECLINED)

    def cancel(self, job_id: str) -> Job:
        self._may("cancel")
        if (known := self.job(job_id)).state in ENDED:
            raise StratumError("job-over", job=job_id, state=known.state.value)
        return self.end(job_id, JobState.FAILED)

    def end(self, job_id: str, state: JobState = JobState.DONE) -> Job:
        """Bring a job to an end, as the agent would tell of it."""
        with self.lock:
            ended = replace(self.job(job_id), state=state, question=None, progress=None, ended_at=datetime.now(UTC))
            self._keep(ended)
        return ended

    def token_epoch(self) -> int:
        self._may("token_epoch")
        return self.epoch

    def base(self, backup_id: str) -> BaseAnswer:
        self._may("base")
        found = self.world.base(backup_id)
        if found is None:
            raise StratumError("unknown-backup", backup=backup_id)
        return found

    def rescue_kit(self) -> RescueKit:
        self._may("rescue_kit")
        return console_coverage.rescue_kit()

    def redeem(self, token: str) -> bool:
        self._may("redeem")
        good = token in self.tokens
        self.tokens.discard(token)
        return good

    def metrics(self) -> bytes:
        self._may("metrics")
        return b"# HELP stratum_alarms How many alarms are on.\n# TYPE stratum_alarms gauge\nstratum_alarms 0.0\n"

    def _keep(self, made: Job) -> None:
        self.made[made.id] = made
        self.numbers[made.id] = self.numbers.get(made.id, 0) + 1
        for wake in tuple(self.listeners.get(made.id, ())):
            wake()

    def _in_state(self, job_id: str, state: JobState) -> Job:
        known = self.job(job_id)
        if known.state is not state:
            raise StratumError("job-not-asking", job=job_id, state=known.state.value)
        return known

    def _may(self, name: str) -> None:
        if name in self.failures:
            raise self.failures[name]


class _Garbage:
    """Answers some paths with what no client expects."""

    def __init__(self, app: ASGIApp, desk: FakeDesk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in self._desk.garbage:
            await PlainTextResponse("<html>not JSON")(scope, receive, send)
            return
        await self._app(scope, receive, send)


def make_fake_agent(desk: FakeDesk, *, secret: str = SECRET) -> Starlette:
    """The agent's interface as an ASGI application."""
    app = make_app(desk, secret=secret)
    app.add_middleware(_Garbage, desk=desk)
    return app
