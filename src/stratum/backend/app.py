"""The backend's application: its routes under /api/v1, with one shape for every error."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.routing import APIRoute

from stratum import __version__
from stratum.backend.agent_client import AgentClient
from stratum.backend.agent_sign_in import AgentDoor, open_agent_door
from stratum.backend.audit_routes import audit_router
from stratum.backend.auth_routes import auth_router
from stratum.backend.callers import Forgetting
from stratum.backend.data_routes import data_router
from stratum.backend.errors import BodyLimit, documented, refuse_unknown_parameters, speak_in_one_shape
from stratum.backend.health import health_router
from stratum.backend.identity import open_identity
from stratum.backend.jobs_routes import jobs_router
from stratum.backend.kit_routes import kit_router
from stratum.backend.metrics import BackendMetrics, Counting, metrics_router
from stratum.backend.settings import BackendSettings
from stratum.backend.user_routes import user_router
from stratum.backend.work_routes import work_router

PREFIX = "/api/v1"


def create_app(
    settings: BackendSettings,
    *,
    door: AgentDoor | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """The application, without touching the database or the agent: those are asked when a request needs them.

    `door` replaces what the agent is asked about sign-ins, and `transport` leads to a stand-in of it, both for tests.
    Handlers find `app.state.settings`, `app.state.identity` and `app.state.agent`.
    """
    agent, metrics = AgentClient(settings.agent_url, settings.agent_secret_file, transport=transport), BackendMetrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await agent.close()

    app = FastAPI(
        title="Stratum console",
        version=__version__,
        summary="Sees that the data is safe, and asks the agent for all work on it.",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=documented(405, 413, 422, 500, 503),
        generate_unique_id_function=_operation_id,
        separate_input_output_schemas=False,
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.identity = open_identity(settings, door or open_agent_door(settings))
    app.state.agent = agent
    speak_in_one_shape(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Counting, metrics=metrics)
    app.add_middleware(Forgetting, state=app.state)
    for router in (*_open_routers(), data_router(), work_router(), jobs_router(), audit_router(), kit_router()):
        app.include_router(router, prefix=PREFIX, dependencies=[Depends(refuse_unknown_parameters)])
    app.include_router(metrics_router(metrics))
    return app


def _open_routers() -> tuple[APIRouter, ...]:
    """Signing in, users, and what needs no sign-in."""
    return _root_router(), health_router(), auth_router(), user_router()


def _root_router() -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.api_route("/", methods=["GET"], operation_id="root")
    def root() -> dict[str, str]:
        """Says that this is the console's interface, whoever asks."""
        return {"name": "stratum", "api": "v1"}

    @router.head("/", include_in_schema=False)
    def root_head() -> Response:
        return Response(media_type="application/json")

    return router


def _operation_id(route: APIRoute) -> str:
    """`list_users` from the function's name: generated clients get methods with readable names."""
    return re.sub(r"\W+", "_", route.name)
