"""The jobs: looked at, followed, answered, and ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from stratum.adapters.records import parse
from stratum.backend.agent_client import agent_of, closing, handed_on, refuse_unless_done
from stratum.backend.callers import identity_of
from stratum.backend.data_routes import READ, READ_ONE, Limit, Operator, Viewer
from stratum.backend.work_routes import Confirmation, confirm
from stratum.core.errors import StratumError
from stratum.core.job import Job, JobEvent, JobsAnswer, JobState

JobId = Annotated[str, Path(pattern=r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,99}$", description="A job's id.")]
ONE_JOB: dict[str, Any] = {"response_model": Job, **READ_ONE}
_ENDS_A_STREAM = frozenset({"session-ended", "token-expired", "token-refused"})


def jobs_router() -> APIRouter:
    """Every route under /jobs."""
    router = APIRouter(prefix="/jobs", tags=["jobs"])
    _add_reads(router)
    _add_stream(router)
    _add_answers(router)
    return router


def _add_reads(router: APIRouter) -> None:
    @router.get("", response_model=JobsAnswer, **READ)
    async def list_jobs(request: Request, caller: Viewer, limit: Limit = 100) -> Response:  # noqa: ARG001  who may ask is all
        """The jobs there are records of, newest first."""
        return handed_on(await agent_of(request).ask(request, "GET", "/jobs", query={"limit": str(limit)}))

    @router.get("/{job_id}", **ONE_JOB)
    async def observe_job(request: Request, caller: Viewer, job_id: JobId) -> Response:  # noqa: ARG001  the same
        """One job as it stands now."""
        return handed_on(await agent_of(request).ask(request, "GET", f"/jobs/{job_id}"))


def _add_stream(router: APIRouter) -> None:
    told: dict[int | str, Any] = {
        200: {
            "model": JobEvent,
            "content": {"text/event-stream": {}},
            "description": "Server-sent events; the data of each is a JobEvent",
        }
    }

    @router.get("/{job_id}/events", response_class=StreamingResponse, responses=told | READ_ONE["responses"])
    async def follow_job(request: Request, caller: Viewer, job_id: JobId) -> Response:  # noqa: ARG001  who may ask is all
        """The job at each of its changes, as server-sent events. Each event is the whole job."""
        answer = await agent_of(request).open(request, f"/jobs/{job_id}/events")
        if answer.is_error:
            return handed_on(answer)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(
            _while_welcome(request, answer), headers=headers, media_type="text/event-stream", background=closing(answer)
        )


async def _while_welcome(request: Request, answer: httpx.Response) -> AsyncIterator[bytes]:
    """The agent's stream, which ends when the session does: the agent is heard at least every 15 seconds."""
    token = request.headers.get("authorization", "").partition(" ")[2]
    try:
        async for part in answer.aiter_raw():
            yield part
            await run_in_threadpool(identity_of(request).observe_caller, token)
    except StratumError as error:
        if error.code not in _ENDS_A_STREAM:
            raise
    except httpx.HTTPError:
        return  # the agent is gone; a reader asks again and is told so


def _add_answers(router: APIRouter) -> None:
    @router.post("/{job_id}/answer", **ONE_JOB)
    async def answer_job(request: Request, caller: Operator, job_id: JobId, body: Confirmation) -> Response:
        """Say yes to the job's question, with the password and the stack's name."""
        found = await agent_of(request).ask(request, "GET", f"/jobs/{job_id}")
        refuse_unless_done(found)
        job = parse(Job, found.content, file="the agent's answer")
        if job.state is not JobState.ASKING or job.question is None or job.plan is None:
            raise StratumError("job-not-asking", job=job.id, state=job.state)
        await confirm(request, caller, body, stack=job.plan.stack)
        typed = {"confirmed": [job.plan.stack] * max(1, job.question.confirmations)}
        return handed_on(await agent_of(request).ask(request, "POST", f"/jobs/{job_id}/answer", body=typed))

    @router.post("/{job_id}/decline", **ONE_JOB)
    async def decline_job(request: Request, caller: Operator, job_id: JobId) -> Response:  # noqa: ARG001  the same
        """Say no: what the job had prepared is taken away again."""
        return handed_on(await agent_of(request).ask(request, "POST", f"/jobs/{job_id}/decline"))

    @router.post("/{job_id}/cancel", **ONE_JOB)
    async def cancel_job(request: Request, caller: Operator, job_id: JobId) -> Response:  # noqa: ARG001  the same
        """End a job where it stands; its steps are taken back."""
        return handed_on(await agent_of(request).ask(request, "POST", f"/jobs/{job_id}/cancel"))
