"""The one way to the backend: HTTP, with every failure as a three-part error in the reader's language."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import EventSource, SSEError

from stratum.adapters.messages import speak_error, speaking
from stratum.adapters.records import parse
from stratum.core.answers import ErrorAnswer, SpokenError
from stratum.core.errors import StratumError

_TIMES = httpx.Timeout(connect=2.0, read=40.0, write=10.0, pool=10.0)
"""Seconds. The backend waits 30 for its agent, and then says so itself; one that is away shows in the first two."""
_LOOK_TIMES = httpx.Timeout(connect=2.0, read=15.0, write=10.0, pool=10.0)
"""For what is only looked at the backend waits 10 seconds, as somebody sits before the page."""
_PLAN_TIMES = httpx.Timeout(connect=2.0, read=310.0, write=10.0, pool=10.0)
"""The plan of a restore reads the whole backup first: the backend waits 300 seconds for it."""
_COUNT_TIMES = httpx.Timeout(connect=2.0, read=85.0, write=10.0, pool=10.0)
"""The cost of a rollback counts rows: the backend waits 75 seconds for it."""
_STREAM_TIMES = httpx.Timeout(connect=2.0, read=90.0, write=10.0, pool=10.0)
"""A stream of events has a heartbeat well within this."""
_FIRST_S = 15.0
"""For a stream to begin: the backend waits 10 seconds for its agent."""


class ApiRefusal(Exception):
    """The API said no, or could not be asked; `error` says it in the reader's language."""

    def __init__(self, status: int, error: SpokenError, *, retry_after: str | None = None) -> None:
        self.status, self.error, self.retry_after = status, error, retry_after
        super().__init__(f"{status} {error.code}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asker:
    """For whom the API is asked."""

    language: str
    access: str | None = None
    address: str | None = None
    """The browser's, so that the backend slows down the right one after wrong passwords."""
    agent: str | None = None
    """The browser's own name for itself, for the list of sessions."""

    def headers(self) -> dict[str, str]:
        named = {
            "Accept-Language": self.language,
            "Authorization": f"Bearer {self.access}" if self.access else None,
            "X-Forwarded-For": self.address,
            "User-Agent": self.agent,
        }
        return {name: value for name, value in named.items() if value}


class Api:
    """The backend's public API."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
        self._client = httpx.AsyncClient(base_url=url, timeout=_TIMES, transport=transport, limits=limits)

    async def close(self) -> None:
        await self._client.aclose()

    async def call(
        self, asker: Asker, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> httpx.Response:
        """Ask, and read the whole answer. Raises `ApiRefusal` for anything but success."""
        try:
            answer = await self._client.request(
                method, path, json=body, headers=asker.headers(), timeout=_patience(method, path)
            )
        except httpx.HTTPError as error:
            raise unreachable(error, asker.language) from None
        if not answer.is_success:
            raise _refusal(answer, asker.language)
        return answer

    async def stream(self, asker: Asker, path: str) -> httpx.Response:
        """Begin to read an answer that may be larger than the memory; whoever gets it closes it."""
        request = self._client.build_request("GET", path, headers=asker.headers(), timeout=_STREAM_TIMES)
        try:
            async with asyncio.timeout(_FIRST_S):
                answer = await self._client.send(request, stream=True)
            if not answer.is_success:
                await answer.aread()
                await answer.aclose()
                raise _refusal(answer, asker.language)
        except (httpx.HTTPError, TimeoutError) as error:
            raise unreachable(error, asker.language) from None
        return answer

    async def events(self, asker: Asker, path: str) -> AsyncIterator[str]:
        """Connect to a stream of server-sent events; what is given is each event's data."""
        return _data(await self.stream(asker, path))


def _patience(method: str, path: str) -> httpx.Timeout:
    if method == "GET":
        return _COUNT_TIMES if path.startswith("/rollback-cost") else _LOOK_TIMES
    return _PLAN_TIMES if path.endswith("/plan") else _TIMES


async def _data(answer: httpx.Response) -> AsyncIterator[str]:
    """Each event's data; a stream that breaks off ends, and the browser asks again by itself."""
    try:
        async for event in EventSource(answer).aiter_sse():
            if event.data:
                yield event.data
    except (httpx.HTTPError, SSEError):
        return
    finally:
        await answer.aclose()


def unreachable(problem: Exception, language: str) -> ApiRefusal:
    """The backend could not be asked at all."""
    return refusal_of(StratumError("console-unreachable", problem=type(problem).__name__), language, status=503)


def refusal_of(error: StratumError, language: str, *, status: int) -> ApiRefusal:
    """An error of the frontend's own in the same shape as the API's."""
    with speaking([language]):
        return ApiRefusal(status, speak_error(error))


def read_json(answer: httpx.Response, language: str) -> dict[str, Any]:
    """The answer's JSON object."""
    try:
        found = json.loads(answer.content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise refusal_of(StratumError("console-unreachable", problem="no JSON object"), language, status=502)
    return found


def _refusal(answer: httpx.Response, language: str) -> ApiRefusal:
    try:
        spoken = parse(ErrorAnswer, answer.content, file="the API's answer").error
    except StratumError:
        problem = f"HTTP {answer.status_code}"
        return refusal_of(StratumError("console-unreachable", problem=problem), language, status=502)
    return ApiRefusal(answer.status_code, spoken, retry_after=answer.headers.get("retry-after"))
