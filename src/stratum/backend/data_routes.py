"""What the console reads of the data's state: everything here is the agent's answer, handed on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.responses import StreamingResponse

from stratum.backend.agent_client import COUNT_S, agent_of, closing, handed_on
from stratum.backend.callers import require
from stratum.backend.errors import documented
from stratum.backend.roles import Caller, Role
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
from stratum.core.changes import ChangesAnswer, RehearsalsAnswer
from stratum.core.coverage import BaseAnswer, CoverageAnswer
from stratum.core.rehearsal import Rehearsal
from stratum.core.release import ReleasesAnswer
from stratum.core.rollback_cost import RollbackCost
from stratum.core.timeline import Timeline

BackupId = Annotated[str, Path(pattern=r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,99}$", description="A backup's id.")]
RehearsalId = Annotated[str, Path(pattern=r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,99}$", description="A rehearsal's id.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="The newest so many.")]
WithData = Annotated[bool, Query(description="Whether the databases of then take the place of the live ones.")]
Viewer = Annotated[Caller, Depends(require(Role.VIEWER))]
Operator = Annotated[Caller, Depends(require(Role.OPERATOR))]
READ: dict[str, Any] = {"responses": documented(400, 401, 403, 409, 423, 429)}
READ_LONG: dict[str, Any] = {"responses": documented(400, 401, 403, 409, 423, 429, 500)}
READ_ONE: dict[str, Any] = {"responses": documented(400, 401, 403, 404, 409, 423, 429)}


def data_router() -> APIRouter:
    """Every route that only looks, and the pin, which changes no data."""
    router = APIRouter(tags=["data"])
    _add_state(router)
    _add_backups(router)
    _add_records(router)
    _add_changes(router)
    return router


def _add_state(router: APIRouter) -> None:
    @router.get("/status", response_model=AgentStatus, **READ)
    async def observe_status(request: Request, caller: Viewer) -> Response:  # noqa: ARG001  who may ask is all
        """How things stand: the sentence with its numbers, the database, the next runs, the alarms."""
        return handed_on(await agent_of(request).ask(request, "GET", "/status"))

    @router.get("/checklist", response_model=ChecklistAnswer, **READ)
    async def observe_checklist(request: Request, caller: Viewer) -> Response:  # noqa: ARG001  who may ask is all
        """The checklist, each line with its state and its fix."""
        return handed_on(await agent_of(request).ask(request, "GET", "/checklist"))

    @router.get("/timeline", response_model=Timeline, **READ)
    async def observe_timeline(request: Request, caller: Viewer) -> Response:  # noqa: ARG001  who may ask is all
        """Which stretches of time can be brought back, and what happened on the way."""
        return handed_on(await agent_of(request).ask(request, "GET", "/timeline"))

    @router.get("/coverage", response_model=CoverageAnswer, **READ)
    async def observe_coverage(request: Request, caller: Viewer) -> Response:  # noqa: ARG001  who may ask is all
        """How every second is kept: the receiver, and the WAL that is stored."""
        return handed_on(await agent_of(request).ask(request, "GET", "/coverage"))

    @router.get("/settings", response_model=SettingsAnswer, **READ)
    async def list_settings(request: Request, caller: Viewer) -> Response:  # noqa: ARG001  who may ask is all
        """What the stack is set to; no secret is among it."""
        return handed_on(await agent_of(request).ask(request, "GET", "/settings"))


def _add_backups(router: APIRouter) -> None:
    @router.get("/backups", response_model=BackupsAnswer, **READ)
    async def list_backups(request: Request, caller: Viewer) -> Response:  # noqa: ARG001  who may ask is all
        """All backups, newest first, and what is damaged."""
        return handed_on(await agent_of(request).ask(request, "GET", "/backups"))

    @router.get("/backups/{backup_id}", response_model=BackupAnswer, **READ_ONE)
    async def observe_backup(request: Request, caller: Viewer, backup_id: BackupId) -> Response:  # noqa: ARG001  the same
        """One backup: its manifest with tables, rows and digests, and its proofs."""
        return handed_on(await agent_of(request).ask(request, "GET", f"/backups/{backup_id}"))

    @router.get("/bases/{backup_id}", response_model=BaseAnswer, **READ_ONE)
    async def observe_base_backup(request: Request, caller: Viewer, backup_id: BackupId) -> Response:  # noqa: ARG001  the same
        """One base backup: its manifest and its proofs."""
        return handed_on(await agent_of(request).ask(request, "GET", f"/bases/{backup_id}"))

    @router.put("/backups/{backup_id}/pin", response_model=PinAnswer, **READ_ONE)
    async def pin_backup(request: Request, caller: Operator, backup_id: BackupId) -> Response:  # noqa: ARG001  the same
        """Keep a backup whatever retention says."""
        return handed_on(await agent_of(request).ask(request, "PUT", f"/backups/{backup_id}/pin"))

    @router.delete("/backups/{backup_id}/pin", response_model=PinAnswer, **READ_ONE)
    async def unpin_backup(request: Request, caller: Operator, backup_id: BackupId) -> Response:  # noqa: ARG001  the same
        """Let retention decide about a backup again."""
        return handed_on(await agent_of(request).ask(request, "DELETE", f"/backups/{backup_id}/pin"))

    tar: dict[int | str, Any] = {200: {"content": {"application/x-tar": {}}, "description": "The backup's directory"}}

    @router.get("/backups/{backup_id}/export", response_class=StreamingResponse, responses=tar | READ_ONE["responses"])
    async def export_backup(request: Request, caller: Operator, backup_id: BackupId) -> Response:  # noqa: ARG001  the same
        """The backup with its checksums and instructions, to be restored anywhere without Stratum."""
        answer = await agent_of(request).open(request, f"/backups/{backup_id}/export")
        if answer.is_error:
            return handed_on(answer)
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{backup_id}.tar"'}
        return StreamingResponse(
            answer.aiter_raw(), headers=headers, media_type="application/x-tar", background=closing(answer)
        )


def _add_records(router: APIRouter) -> None:
    @router.get("/proofs", response_model=ProofsAnswer, **READ)
    async def list_proofs(request: Request, caller: Viewer, limit: Limit = 100) -> Response:  # noqa: ARG001  the same
        """What drills and verifications found, newest first."""
        return handed_on(await agent_of(request).ask(request, "GET", "/proofs", query={"limit": str(limit)}))

    @router.get("/journal", response_model=JournalAnswer, **READ)
    async def list_journal(request: Request, caller: Viewer, limit: Limit = 100) -> Response:  # noqa: ARG001  the same
        """The journal of the archive, newest first: every plan and each of its steps."""
        return handed_on(await agent_of(request).ask(request, "GET", "/journal", query={"limit": str(limit)}))


def _add_changes(router: APIRouter) -> None:
    @router.get("/releases", response_model=ReleasesAnswer, **READ)
    async def list_releases(request: Request, caller: Viewer) -> Response:  # noqa: ARG001  the same
        """What ran after each deploy, newest first."""
        return handed_on(await agent_of(request).ask(request, "GET", "/releases"))

    @router.get("/changes", response_model=ChangesAnswer, **READ)
    async def list_changes(request: Request, caller: Viewer) -> Response:  # noqa: ARG001  the same
        """Updates, rollbacks and upgrades that have not ended, and the newest that has."""
        return handed_on(await agent_of(request).ask(request, "GET", "/changes"))

    @router.get("/rollback-cost", response_model=RollbackCost, **READ_LONG)
    async def observe_rollback_cost(request: Request, caller: Operator, data: WithData = False) -> Response:  # noqa: ARG001, FBT002  who may ask is all; a query parameter's default
        """What going back to the release before would cost, by code alone or with its data. Counts when it is asked."""
        query = {"data": str(data).lower()}
        return handed_on(await agent_of(request).ask(request, "GET", "/rollback-cost", query=query, seconds=COUNT_S))

    @router.get("/rehearsals", response_model=RehearsalsAnswer, **READ)
    async def list_rehearsals(request: Request, caller: Viewer) -> Response:  # noqa: ARG001  the same
        """What was rehearsed, newest first."""
        return handed_on(await agent_of(request).ask(request, "GET", "/rehearsals"))

    @router.get("/rehearsals/{rehearsal_id}", response_model=Rehearsal, **READ_ONE)
    async def observe_rehearsal(request: Request, caller: Viewer, rehearsal_id: RehearsalId) -> Response:  # noqa: ARG001  the same
        """What a new version did to a clone of the data, and the verdict."""
        return handed_on(await agent_of(request).ask(request, "GET", f"/rehearsals/{rehearsal_id}"))
