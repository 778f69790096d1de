"""The frontend as one ASGI application."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

import stratum.frontend
from stratum.frontend.api_client import Api, Asker, read_json
from stratum.frontend.assets import static
from stratum.frontend.errors import HANDLERS, refuse, show_fault
from stratum.frontend.guarding import Guarded
from stratum.frontend.sessions import SharedRefresh, Tokens, parse_tokens
from stratum.frontend.settings import FrontendSettings


def create_app(settings: FrontendSettings, transport: httpx.AsyncBaseTransport | None = None) -> ASGIApp:
    """The application; a test hands it a transport that leads to a stand-in of the backend."""
    api = Api(settings.api_url, transport)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await api.close()

    app = Starlette(
        routes=list(_routes()),
        lifespan=lifespan,
        middleware=[Middleware(GZipMiddleware, compresslevel=6)],
        exception_handlers={**HANDLERS, Exception: show_fault},
    )
    app.state.api = api
    app.state.settings = settings
    app.state.shared_refresh = SharedRefresh(_renewing(api))
    # Outermost, so that the answer to a fault has the headers too.
    return Guarded(app, secret=settings.secret, previous=settings.previous, refuse=refuse)


def _renewing(api: Api) -> Callable[[str, str], Awaitable[Tokens]]:
    async def renew(refresh: str, language: str) -> Tokens:
        answer = await api.call(Asker(language=language), "POST", "/auth/refresh", {"refresh_token": refresh})
        return parse_tokens(read_json(answer, language))

    return renew


async def health(request: Request) -> Response:  # noqa: ARG001  (Starlette's signature)
    """Whether this process answers; it asks nobody else."""
    return JSONResponse({"format": 1, "frontend": "live"})


def _routes() -> Iterator[BaseRoute]:
    """Those of every module `pages_…`."""
    yield Route("/health", health, methods=["GET"])
    yield Route("/static/{digest}/{name:path}", static, methods=["GET"])
    for module in pkgutil.iter_modules(stratum.frontend.__path__):
        if module.name.startswith("pages_"):
            yield from importlib.import_module(f"stratum.frontend.{module.name}").ROUTES
