"""The backend's application: its routes under /api/v1, with one shape for every error."""

from __future__ import annotations

import re

from fastapi import APIRouter, FastAPI, Response
from fastapi.routing import APIRoute

from stratum import __version__
from stratum.backend.agent_sign_in import AgentDoor, open_agent_door
from stratum.backend.auth_routes import auth_router
from stratum.backend.errors import BodyLimit, documented, speak_in_one_shape
from stratum.backend.health import health_router
from stratum.backend.identity import open_identity
from stratum.backend.settings import BackendSettings
from stratum.backend.user_routes import user_router

PREFIX = "/api/v1"


def create_app(settings: BackendSettings, *, door: AgentDoor | None = None) -> FastAPI:
    """The application, without touching the database or the agent: those are asked when a request needs them.

    `door` replaces what the agent is asked about sign-ins, for tests. Handlers find `app.state.settings` and
    `app.state.identity`.
    """
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
    )
    app.state.settings = settings
    app.state.identity = open_identity(settings, door or open_agent_door(settings))
    speak_in_one_shape(app)
    app.add_middleware(BodyLimit)
    for router in (_root_router(), health_router(), auth_router(), user_router()):
        app.include_router(router, prefix=PREFIX)
    return app


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
