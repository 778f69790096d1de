"""Asks the agent for everything that concerns data, and hands its answers on as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import httpx
from fastapi import Request, Response
from starlette.background import BackgroundTask

from stratum.adapters.records import parse, to_json
from stratum.backend.errors import languages_of
from stratum.core.answers import ErrorAnswer
from stratum.core.errors import StratumError

_CONNECT_S, _ANSWER_S = 0.5, 30.0
_LOOK_S = 10.0
"""For what is only looked at: an agent that hangs is told of while somebody still waits before the page."""
_SILENCE_S = 60.0
"""Between two parts of a long answer; a stream of events is heard every 15 seconds."""
PLAN_S = 300.0
"""A plan of a restore reads the whole backup first."""
COUNT_S = 75.0
"""The agent gives counting rows up after 60."""
_PASSED_ON = frozenset({400, 404, 409, 422, 423, 429, 500, 503})
"""What the agent may answer beside success; anything else is no answer of an agent."""


class AgentClient:
    """One connection pool to the agent. Its secret is read at each request: it may be replaced meanwhile."""

    def __init__(self, url: str, secret_file: Path, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._secret_file = secret_file
        self._http = httpx.AsyncClient(
            base_url=url,
            transport=transport,
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
            limits=httpx.Limits(max_connections=400, max_keepalive_connections=50),
            trust_env=False,
        )

    async def ask(
        self,
        request: Request,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        seconds: float | None = None,
    ) -> httpx.Response:
        """The agent's whole answer, a refusal included. Raises `agent-unreachable` where it gives none."""
        seconds = seconds or (_LOOK_S if method == "GET" else _ANSWER_S)
        answer = await self._send(request, method, path, query=query, body=body, seconds=seconds, stream=False)
        if answer.status_code != HTTPStatus.NO_CONTENT and not _is_json(answer):
            raise _unreachable("it answered with something that is not JSON")
        return answer

    async def open(self, request: Request, path: str) -> httpx.Response:
        """Begin to read a long answer; the caller closes it. A refusal is read whole."""
        try:
            async with asyncio.timeout(_LOOK_S):
                answer = await self._send(request, "GET", path, seconds=_SILENCE_S, stream=True)
        except TimeoutError:
            raise _unreachable("it took too long") from None
        if answer.is_error:
            with suppress(httpx.HTTPError):
                await answer.aread()
            await answer.aclose()
        return answer

    async def metrics(self, request: Request) -> bytes:
        """The agent's numbers, as Prometheus reads them."""
        return (await self._send(request, "GET", "/metrics", seconds=2.0, stream=False)).content

    async def close(self) -> None:
        await self._http.aclose()

    async def _send(
        self,
        request: Request,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        seconds: float,
        stream: bool,
    ) -> httpx.Response:
        prepared = self._http.build_request(
            method,
            path,
            params=dict(query or {}),
            content=None if body is None else to_json(body),
            headers=self._headers(request),
            timeout=httpx.Timeout(seconds, connect=_CONNECT_S),
        )
        try:
            answer = await self._http.send(prepared, stream=stream)
        except httpx.TimeoutException:
            raise _unreachable("it took too long") from None
        except httpx.HTTPError as error:
            raise _unreachable(type(error).__name__) from None
        if not answer.is_success and answer.status_code not in _PASSED_ON:
            await answer.aclose()
            raise _unreachable(f"HTTP {answer.status_code}")
        return answer

    def _headers(self, request: Request) -> dict[str, str]:
        try:
            secret = self._secret_file.read_text(encoding="utf-8").strip()
        except OSError:
            raise _unreachable("the file with its secret cannot be read") from None
        return {
            "Authorization": f"Bearer {secret}",
            "Accept-Language": ",".join(languages_of(request)),
            "Content-Type": "application/json",
        }


def agent_of(request: Request) -> AgentClient:
    """The application's client of the agent."""
    client: AgentClient = request.app.state.agent
    return client


def handed_on(answer: httpx.Response) -> Response:
    """The agent's answer as the backend's own: the same bytes, in the same language, with the same status."""
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Language"}
    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        headers["Retry-After"] = "10"
    return Response(answer.content, answer.status_code, headers, media_type="application/json")


def refuse_unless_done(answer: httpx.Response) -> None:
    """Raise the agent's refusal as an error of one's own, for a request that goes on after the answer."""
    if answer.is_error:
        spoken = parse(ErrorAnswer, answer.content, file="the agent's answer").error
        raise StratumError(spoken.code, **spoken.details)


def closing(answer: httpx.Response) -> BackgroundTask:
    """Lets go of a long answer once the reader has it or has gone."""
    return BackgroundTask(answer.aclose)


def _is_json(answer: httpx.Response) -> bool:
    kind = answer.headers.get("content-type", "").partition(";")[0]
    return kind == "application/json" and answer.content[:1] == b"{" and answer.content[-1:] == b"}"


def _unreachable(problem: str) -> StratumError:
    return StratumError("agent-unreachable", problem=problem)
