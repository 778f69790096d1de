"""What the console orders: each is a job of the agent's, and nothing live changes before its question is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BeforeValidator, Field, StrictBool
from pydantic.dataclasses import dataclass
from starlette.concurrency import run_in_threadpool

from stratum.adapters.records import parse
from stratum.backend.agent_client import PLAN_S, agent_of, handed_on, refuse_unless_done
from stratum.backend.auth_routes import STRICT, Password
from stratum.backend.callers import identity_of
from stratum.backend.data_routes import BackupId, Operator
from stratum.backend.errors import documented
from stratum.backend.events import visitor_of
from stratum.backend.roles import Caller
from stratum.backend.sessions import check_password
from stratum.core.agent_status import AgentStatus
from stratum.core.backup import BackupKind
from stratum.core.errors import StratumError
from stratum.core.job import Job, JobRequest, JobVerb
from stratum.core.plan import Plan

DatabaseName = Annotated[str, Field(min_length=1, max_length=63)]


def _only_iso(value: object) -> object:
    """Pydantic takes a number for seconds since 1970; a time that goes wrong unnoticed restores the wrong day."""
    if isinstance(value, str) and not value[:5].count("-") == 1:
        raise ValueError("it is not a time such as 2026-03-02T10:00+01:00")
    if isinstance(value, int | float):
        raise ValueError("it is a number and not a time such as 2026-03-02T10:00+01:00")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_only_iso)]
TypedName = Annotated[str, Field(min_length=1, max_length=200)]
ORDER: dict[str, Any] = {
    "response_model": Job,
    "status_code": 202,
    "responses": documented(400, 401, 403, 404, 409, 423, 429),
}
LOOK: dict[str, Any] = {"response_model": Plan, "responses": documented(400, 401, 403, 404, 409, 423, 429)}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BackupOrder:
    """How to take a backup."""

    kind: BackupKind = BackupKind.DUMP
    """A dump, which can be restored anywhere, or a base backup, from which WAL reaches every second."""
    accept_fewer_rows: StrictBool = False
    """Call it a backup although most rows are gone."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RestoreOrder:
    """What to bring back; nothing at all means the newest whole backup, in place of the application's database."""

    backup_id: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,99}$")] | None = None
    at: Moment | None = None
    """This moment, where WAL covers it, else the newest backup at this time; it cannot go with `backup_id`.

    The plan says which."""
    database: DatabaseName | None = None
    into: DatabaseName | None = None
    """Into a new database of this name; the live one stays as it is."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DrillOrder:
    """Which moment to prove."""

    at: Moment
    """A time that base backups and WAL cover."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class UndoOrder:
    """Which restore to undo."""

    database: DatabaseName | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Confirmation:
    """The password once more, and the stack's name as a person typed it."""

    password: Password
    confirm: TypedName


def work_router() -> APIRouter:
    """Every route that starts work on data."""
    router = APIRouter(tags=["work"])
    _add_backups(router)
    _add_restores(router)
    _add_retention(router)
    return router


def _add_backups(router: APIRouter) -> None:
    @router.post("/backups", **ORDER)
    async def take_backup(request: Request, caller: Operator, body: BackupOrder) -> Response:
        """Take a backup now."""
        wanted = JobRequest(
            verb=JobVerb.BACKUP, who=_who(caller), kind=body.kind, accept_fewer_rows=body.accept_fewer_rows
        )
        return await _submit(request, wanted)

    @router.post("/backups/{backup_id}/verify", **ORDER)
    async def verify_backup(request: Request, caller: Operator, backup_id: BackupId) -> Response:
        """Read every stored byte of a backup and compare it with its manifest."""
        return await _order(request, caller, JobVerb.VERIFY, backup_id=backup_id)

    @router.post("/backups/{backup_id}/drill", **ORDER)
    async def drill_backup(request: Request, caller: Operator, backup_id: BackupId) -> Response:
        """Restore a backup into a throwaway server and compare: the proof."""
        return await _order(request, caller, JobVerb.DRILL, backup_id=backup_id)

    @router.post("/drills", **ORDER)
    async def drill_moment(request: Request, caller: Operator, body: DrillOrder) -> Response:
        """Recover the cluster as it was at a moment on a throwaway server, and compare: the proof."""
        return await _submit(request, JobRequest(verb=JobVerb.DRILL, who=_who(caller), at=body.at))


def _add_restores(router: APIRouter) -> None:
    @router.post("/restores/plan", **LOOK)
    async def plan_restore(request: Request, caller: Operator, body: RestoreOrder) -> Response:
        """What a restore would do, step by step. Reads only."""
        return await _plan(request, _restore(caller, body))

    @router.post("/restores", **ORDER)
    async def start_restore(request: Request, caller: Operator, body: RestoreOrder) -> Response:
        """Build the database beside and compare it; the job asks before anything live changes."""
        return await _submit(request, _restore(caller, body))

    @router.post("/restores/undo", **ORDER)
    async def undo_restore(request: Request, caller: Operator, body: UndoOrder) -> Response:
        """Swap back to what the last restore replaced; the job asks first."""
        return await _order(request, caller, JobVerb.UNDO_RESTORE, database=body.database)


def _add_retention(router: APIRouter) -> None:
    @router.post("/prunes/plan", **LOOK)
    async def plan_prune(request: Request, caller: Operator) -> Response:
        """What retention would remove now, and why. Reads only."""
        return await _plan(request, JobRequest(verb=JobVerb.PRUNE, who=_who(caller)))

    @router.post("/prunes", **ORDER)
    async def start_prune(request: Request, caller: Operator, body: Confirmation) -> Response:
        """Apply retention. What it removes is gone, so the password and the stack's name are asked for."""
        status = await agent_of(request).ask(request, "GET", "/status")
        refuse_unless_done(status)
        stack = parse(AgentStatus, status.content, file="the agent's answer").status.stack
        await confirm(request, caller, body, stack=stack)
        return await _order(request, caller, JobVerb.PRUNE)


async def confirm(request: Request, caller: Caller, body: Confirmation, *, stack: str) -> None:
    """Raises `wrong-sign-in`, `too-many-tries`, or `name-not-typed` when another name than the stack's was typed."""
    if body.confirm.strip() != stack:
        raise StratumError("name-not-typed", stack=stack, typed=ascii(body.confirm[:60]))
    await run_in_threadpool(check_password, identity_of(request), visitor_of(request), caller, body.password)


def _restore(caller: Caller, body: RestoreOrder) -> JobRequest:
    moment: datetime | None = body.at
    return JobRequest(
        verb=JobVerb.RESTORE,
        who=_who(caller),
        backup_id=body.backup_id,
        at=moment,
        database=body.database,
        into=body.into,
    )


async def _order(
    request: Request,
    caller: Caller,
    verb: JobVerb,
    *,
    backup_id: str | None = None,
    database: str | None = None,
) -> Response:
    wanted = JobRequest(verb=verb, who=_who(caller), backup_id=backup_id, database=database)
    return await _submit(request, wanted)


async def _submit(request: Request, wanted: JobRequest) -> Response:
    return handed_on(await agent_of(request).ask(request, "POST", "/jobs", body=wanted))


async def _plan(request: Request, wanted: JobRequest) -> Response:
    return handed_on(await agent_of(request).ask(request, "POST", "/plans", body=wanted, seconds=PLAN_S))


def _who(caller: Caller) -> str:
    """As the journal names whoever asked."""
    return f"{caller.name} (console)"
