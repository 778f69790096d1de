"""How long the console waits for a process that hangs: never for good, and each one longer than the one behind it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from fastapi import Request
from fastapi.security import HTTPAuthorizationCredentials

from stratum.backend import agent_client, callers
from stratum.backend.agent_client import PLAN_S, AgentClient
from stratum.core.errors import StratumError
from stratum.frontend import api_client
from stratum.frontend.api_client import Api, ApiRefusal, Asker

_REQUEST = Request({"type": "http", "headers": []})


@pytest.fixture
def hung_agent(tmp_path: Path) -> Iterator[AgentClient]:
    """An agent that takes connections and says nothing, as a process that was stopped does."""
    secret = tmp_path / "secret"
    secret.write_text("of-the-tests")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield AgentClient(f"http://127.0.0.1:{listening.getsockname()[1]}", secret)


def _refused(waiting: Awaitable[httpx.Response]) -> str:
    async def within_five_seconds() -> str:
        async with asyncio.timeout(5):
            try:
                answer = await waiting
            except StratumError as error:
                return error.code
            return f"answered {answer.status_code}"

    return asyncio.run(within_five_seconds())


def test_looking_at_a_hung_agent_is_given_up_soon(hung_agent: AgentClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_client, "_LOOK_S", 0.2)

    assert _refused(hung_agent.ask(_REQUEST, "GET", "/status")) == "agent-unreachable"


def test_a_stream_that_a_hung_agent_never_begins_is_given_up(
    hung_agent: AgentClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_client, "_LOOK_S", 0.2)

    assert _refused(hung_agent.open(_REQUEST, "/jobs/one/events")) == "agent-unreachable"


def test_a_database_that_hangs_is_said_to_be_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "_PATIENCE_S", 0.2)
    answered = threading.Event()
    identity = SimpleNamespace(recall_caller=lambda _: None, observe_caller=lambda _: answered.wait(5))
    app = SimpleNamespace(state=SimpleNamespace(identity=identity))
    request = Request({"type": "http", "headers": [], "app": app})
    bearer = HTTPAuthorizationCredentials(scheme="Bearer", credentials="any")

    async def refused() -> str:
        try:
            await callers.observe_caller(request, bearer)
        except StratumError as error:
            return error.code
        finally:
            answered.set()
        return "answered"

    assert asyncio.run(refused()) == "console-database-down"


def test_a_stream_that_a_hung_backend_never_begins_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "_FIRST_S", 0.2)

    async def refused() -> str:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            api = Api(f"http://127.0.0.1:{listening.getsockname()[1]}")
            async with asyncio.timeout(5):
                try:
                    await api.stream(Asker(language="en"), "/jobs/one/events")
                except ApiRefusal as refusal:
                    return refusal.error.code
        return "answered"

    assert asyncio.run(refused()) == "console-unreachable"


def test_a_stream_that_falls_silent_ends() -> None:
    seen: list[float | None] = []

    class Noting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request.extensions["timeout"]["read"])
            return httpx.Response(200, request=request)

    client = AgentClient("http://agent", Path(__file__), transport=Noting())
    asyncio.run(client.open(_REQUEST, "/backups/one/export"))

    assert [wait is not None and wait > 15 for wait in seen] == [True]


@pytest.mark.parametrize(
    ("method", "path", "behind"),
    [
        ("GET", "/status", agent_client._LOOK_S),
        ("GET", "/rollback-cost?data=true", agent_client.COUNT_S),
        ("POST", "/backups", agent_client._ANSWER_S),
        ("POST", "/restores/plan", PLAN_S),
        ("POST", "/prunes/plan", PLAN_S),
    ],
)
def test_the_pages_wait_longer_than_the_backend_does_so_that_it_can_say_what_is_wrong(
    method: str, path: str, behind: float
) -> None:
    waits: list[float] = []

    class Noting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            waits.append(request.extensions["timeout"]["read"])
            return httpx.Response(200, json={}, request=request)

    asyncio.run(Api("http://api", Noting()).call(Asker(language="en"), method, path))

    assert behind < waits[0] < behind + 15
