"""The agent's HTTP interface, for the backend on the same private network: thin routes over one desk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from stratum.adapters.messages import speak_plan, speaking
from stratum.adapters.records import to_json
from stratum.agent.bodies import checked_id, read_answer, read_flag, read_limit, read_request, read_token
from stratum.agent.desk import Desk
from stratum.agent.http_errors import Door, answer_fault, answer_framework, answer_refusal, languages_of
from stratum.agent.speech import speak_changes, speak_job, speak_timeline
from stratum.core.errors import StratumError
from stratum.core.job import ENDED, JobEvent, JobRequest, JobsAnswer
from stratum.core.plan import Plan

HEARTBEAT_SECONDS = 15.0
_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_HEADERS = {"Cache-Control": "no-store", "Vary": "Accept-Language"}
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]
Endpoint = Callable[[Request], Awaitable[Response]]
Answer = Callable[[Request], object]


def make_app(desk: Desk, *, secret: str, lifespan: Lifespan | None = None) -> Starlette:
    """The application. Every error it answers with is an ErrorAnswer."""
    app = Starlette(
        routes=[*_reads(desk), *_orders(desk), *_streams(desk)],
        middleware=[Middleware(Door, secret=secret)],
        exception_handlers={
            StratumError: answer_refusal,
            HTTPException: answer_framework,
            Exception: answer_fault,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # an address that is almost right is answered like any other unknown one
    return app


def _reads(desk: Desk) -> Iterator[Route]:
    """What is only looked at."""
    found: dict[str, Answer] = {
        "/health": lambda _: {"format": 1, "agent": "live"},
        "/status": lambda _: desk.status(),
        "/checklist": lambda _: desk.checklist(),
        "/timeline": lambda _: speak_timeline(desk.timeline()),
        "/coverage": lambda _: desk.coverage(),
        "/settings": lambda _: desk.settings(),
        "/backups": lambda _: desk.backups(),
        "/backups/{id}": lambda request: desk.backup(_backup_id(request)),
        "/bases/{id}": lambda request: desk.base(_backup_id(request)),
        "/releases": lambda _: desk.releases(),
        "/rehearsals": lambda _: desk.rehearsals(),
        "/rehearsals/{id}": lambda request: desk.rehearsal(_job_id(request)),
        "/changes": lambda _: speak_changes(desk.changes()),
        "/rollback-cost": lambda request: desk.rollback_cost(with_data=read_flag(request, "data")),
        "/proofs": lambda request: desk.proofs(read_limit(request)),
        "/journal": lambda request: desk.journal(read_limit(request)),
        "/jobs": lambda request: _speak_jobs(desk.jobs(read_limit(request))),
        "/jobs/{id}": lambda request: speak_job(desk.job(_job_id(request))),
        "/token-epoch": lambda _: {"format": 1, "epoch": desk.token_epoch()},
    }
    for path, answer in found.items():
        yield Route(path, _answering(answer), methods=["GET"])
    yield Route("/metrics", _metrics(desk), methods=["GET"])


def _orders(desk: Desk) -> Iterator[Route]:
    """What makes something happen."""
    yield Route("/backups/{id}/pin", _answering(partial(_pin, desk, pinned=True)), methods=["PUT"])
    yield Route("/backups/{id}/pin", _answering(partial(_pin, desk, pinned=False)), methods=["DELETE"])
    yield Route("/jobs/{id}/decline", _answering(lambda r: speak_job(desk.decline(_job_id(r)))), methods=["POST"])
    yield Route("/jobs/{id}/cancel", _answering(lambda r: speak_job(desk.cancel(_job_id(r)))), methods=["POST"])

    async def plan(request: Request) -> Response:
        return await _answered(request, partial(_plan, desk, await read_request(request)))

    async def submit(request: Request) -> Response:
        wanted = await read_request(request)
        return await _answered(request, lambda: speak_job(desk.submit(wanted)), status=202)

    async def answer(request: Request) -> Response:
        typed = await read_answer(request)
        return await _answered(request, lambda: speak_job(desk.answer(_job_id(request), typed.confirmed)))

    async def redeem(request: Request) -> Response:
        token = await read_token(request)
        if not await run_in_threadpool(desk.redeem, token):
            raise StratumError("console-token-refused")
        return Response(status_code=204, headers=_HEADERS)

    yield Route("/rescue-kits", _answering(lambda _: desk.rescue_kit()), methods=["POST"])
    yield Route("/plans", plan, methods=["POST"])
    yield Route("/jobs", submit, methods=["POST"])
    yield Route("/jobs/{id}/answer", answer, methods=["POST"])
    yield Route("/console-tokens/redeem", redeem, methods=["POST"])


def _streams(desk: Desk) -> Iterator[Route]:
    async def events(request: Request) -> Response:
        job_id = _job_id(request)
        desk.event(job_id)
        parts = _events(desk, job_id, languages_of(request))
        return StreamingResponse(parts, media_type="text/event-stream", headers=_HEADERS | {"X-Accel-Buffering": "no"})

    async def export(request: Request) -> Response:
        out = await run_in_threadpool(desk.export, _backup_id(request))
        headers = _HEADERS | {"Content-Disposition": f'attachment; filename="{out.backup_id}.tar"'}
        return StreamingResponse(out.parts, media_type="application/x-tar", headers=headers)

    yield Route("/jobs/{id}/events", events, methods=["GET"])
    yield Route("/backups/{id}/export", export, methods=["GET"])


async def _events(desk: Desk, job_id: str, languages: tuple[str, ...]) -> AsyncIterator[str]:
    """The job as it is now, then after each change, to its end. A slow reader gets the newest only."""
    loop, news, told = asyncio.get_running_loop(), asyncio.Event(), 0

    def wake() -> None:
        loop.call_soon_threadsafe(news.set)

    with desk.hear_of(job_id, wake):
        while True:
            news.clear()
            event = desk.event(job_id)
            if event.number > told:
                told = event.number
                yield render_event(event, languages)
            if event.job.state in ENDED:
                return
            try:
                await asyncio.wait_for(news.wait(), HEARTBEAT_SECONDS)
            except TimeoutError:
                yield ": still here\n\n"


def render_event(event: JobEvent, languages: tuple[str, ...]) -> str:
    """One server-sent event.

    (https://html.spec.whatwg.org/multipage/server-sent-events.html)
    """
    with speaking(languages):
        spoken = JobEvent(number=event.number, at=event.at, job=speak_job(event.job))
    return f"id: {event.number}\nevent: job\ndata: {to_json(spoken)}\n\n"


def _metrics(desk: Desk) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        return Response(await run_in_threadpool(desk.metrics), media_type=_METRICS, headers=_HEADERS)

    return endpoint


def _answering(answer: Answer) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await _answered(request, partial(answer, request))

    return endpoint


async def _answered(request: Request, answer: Callable[[], object], *, status: int = 200) -> Response:
    """The record as JSON, found in a thread of its own and said in the reader's language."""
    with speaking(languages_of(request)):
        found = await run_in_threadpool(answer)
    if isinstance(found, dict):
        return JSONResponse(found, status, headers=_HEADERS)
    body = await run_in_threadpool(to_json, found)
    return Response(body, status, _HEADERS, media_type="application/json")


def _pin(desk: Desk, request: Request, *, pinned: bool) -> object:
    return desk.pin(_backup_id(request), pinned=pinned)


def _plan(desk: Desk, wanted: JobRequest) -> Plan:
    return speak_plan(desk.plan(wanted))


def _speak_jobs(found: JobsAnswer) -> JobsAnswer:
    return JobsAnswer(jobs=tuple(speak_job(job) for job in found.jobs))


def _backup_id(request: Request) -> str:
    return checked_id(str(request.path_params["id"]))


def _job_id(request: Request) -> str:
    return str(request.path_params["id"])[:100]
