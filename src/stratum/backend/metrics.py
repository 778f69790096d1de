"""The numbers for Prometheus: the backend's own, and below them the agent's."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stratum.backend.agent_client import agent_of
from stratum.backend.callers import identity_of
from stratum.backend.health import answers_database
from stratum.core.errors import StratumError

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendMetrics:
    """What is counted while the backend runs."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    requests: Counter = field(init=False)
    database_up: Gauge = field(init=False)
    agent_up: Gauge = field(init=False)

    def __post_init__(self) -> None:
        requests = Counter(
            "stratum_http_requests",
            "Requests answered, by route and status.",
            ("route", "status"),
            registry=self.registry,
        )
        database = Gauge(
            "stratum_console_database_up", "Whether the console's database answers.", registry=self.registry
        )
        agent = Gauge("stratum_agent_up", "Whether the agent answers.", registry=self.registry)
        for name, value in (("requests", requests), ("database_up", database), ("agent_up", agent)):
            object.__setattr__(self, name, value)


class Counting:
    """Counts each answer under the route that gave it, never under the address that was asked for."""

    def __init__(self, app: ASGIApp, metrics: BackendMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.requests.labels(route=route, status=str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, counted if scope["type"] == "http" else send)


def metrics_router(metrics: BackendMetrics) -> APIRouter:
    """/metrics, for a Prometheus on this machine or on the same private network; it needs no sign-in there."""
    router = APIRouter()

    @router.get("/metrics", include_in_schema=False)
    async def show_metrics(request: Request) -> Response:
        """Everything there is to measure. Raises `unknown-address` for whoever asks from elsewhere."""
        if not _is_near(request):
            raise StratumError("unknown-address", path="/metrics")
        database = await run_in_threadpool(answers_database, identity_of(request))
        metrics.database_up.set(database)
        theirs = await _of_the_agent(request)
        metrics.agent_up.set(theirs is not None)
        return Response(generate_latest(metrics.registry) + (theirs or b""), media_type=_TEXT)

    return router


async def _of_the_agent(request: Request) -> bytes | None:
    try:
        return await agent_of(request).metrics(request)
    except StratumError:
        return None


def _is_near(request: Request) -> bool:
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return address.is_loopback or address.is_private
