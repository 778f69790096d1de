"""A stand-in for the backend's public API: sign-ins as the real one has them, and the answers of one `World`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from stratum.adapters.messages import speak_error, speaking
from stratum.adapters.records import to_json
from stratum.core.answers import ErrorAnswer, PinAnswer
from stratum.core.changes import list_rehearsals, observe_changes
from stratum.core.coverage import BaseAnswer
from stratum.core.errors import StratumError
from stratum.core.job import ENDED, Job, JobEvent, JobsAnswer, JobState, JobVerb
from stratum.core.rehearsal import Rehearsal
from stratum.core.rollback_cost import RollbackCost
from tests.fakes import console_answers, console_coverage
from tests.fakes.console_answers import World
from tests.fakes.console_records import NOW, STACK, job

PASSWORD = "correct horse battery staple"  # noqa: S105  the fake's own
CONSOLE_TOKEN = "console-token-of-the-fake"  # noqa: S105  the same
FIRST_RUN_TOKEN = "first-run-token-of-the-fake"  # noqa: S105  the same
_STATUS = {"wrong-sign-in": 401, "token-expired": 401, "session-ended": 401, "refresh-token-reused": 401,
           "sign-in-needed": 401, "role-too-low": 403, "console-token-refused": 403, "first-run-token-refused": 403,
           "unknown-address": 404, "unknown-backup": 404, "unknown-user": 404}  # fmt: skip
_RANKS = ("viewer", "operator", "administrator")


class FakeBackend:
    """What the backend would know, for a test to look at and to change."""

    def __init__(self, world: World, *, first_run: bool = False) -> None:
        self.world = world
        self.first_run = first_run
        self.jobs: dict[str, Job] = {known.id: known for known in world.jobs}
        self.users = [
            {"id": f"00000000-0000-4000-8000-00000000000{number}", "name": name, "role": role, "disabled": False,
             "created_at": NOW.isoformat(), "password_changed_at": None}
            for number, (name, role) in enumerate((("ada", "administrator"), ("otto", "operator"), ("vera", "viewer")))
        ]  # fmt: skip
        self.access: dict[str, dict[str, Any]] = {}
        self.refresh: dict[str, dict[str, Any]] = {}
        self.used_refresh: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.refreshes = 0

    def expire_access_tokens(self) -> None:
        """As fifteen minutes do."""
        self.access.clear()

    def give_tokens(self, user: dict[str, Any], *, read_only: bool = False) -> Response:
        access = secrets.token_urlsafe(12)
        self.access[access] = user
        refresh = None if read_only else secrets.token_urlsafe(12)
        if refresh:
            self.refresh[refresh] = user
        shown = {name: user[name] for name in ("id", "name", "role")}
        return JSONResponse({"access_token": access, "refresh_token": refresh, "token_type": "Bearer",
                             "expires_in": 900, "user": shown})  # fmt: skip

    def caller(self, request: Request, lowest: str = "viewer") -> dict[str, Any]:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.access:
            raise StratumError("token-expired")
        user = self.access[token]
        if _RANKS.index(user["role"]) < _RANKS.index(lowest):
            raise StratumError("role-too-low", name=user["name"], role=user["role"], needed=lowest)
        return user


def make_fake_backend(fake: FakeBackend) -> Starlette:
    """The API below /api/v1 as an ASGI application."""
    return Starlette(routes=list(_routes(fake)), exception_handlers={StratumError: _refused, HTTPException: _not_found})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, StratumError)
    with speaking([request.headers.get("accept-language", "en")]):
        body = to_json(ErrorAnswer(error=speak_error(error)))
    return Response(body, _STATUS.get(error.code, 409), media_type="application/json")


async def _not_found(request: Request, error: Exception) -> Response:
    del error
    return await _refused(request, StratumError("unknown-address", path=request.url.path))


def _json(record: object, status: int = 200) -> Response:
    return Response(to_json(record), status, media_type="application/json")


def _routes(fake: FakeBackend) -> Iterator[Route]:
    for method, path, lowest, answer in (*_reads(fake), *_orders(fake), *_people(fake)):
        yield Route(f"/api/v1{path}", _guarded(fake, lowest, answer), methods=[method])
    for path, answer in _sign_ins(fake):
        yield Route(f"/api/v1/auth/{path}", answer, methods=["POST"])
    yield Route("/api/v1/auth/first-run", lambda _: JSONResponse({"needed": fake.first_run}), methods=["GET"])


def _guarded(fake: FakeBackend, lowest: str, answer: Any) -> Any:  # noqa: ANN401  plain endpoints of any kind
    async def endpoint(request: Request) -> Response:
        fake.requests.append((request.method, request.url.path))
        request.state.user = fake.caller(request, lowest)
        body = await request.body()
        request.state.body = await request.json() if body else {}
        if body:
            fake.bodies.append(request.state.body)
        result: Response = answer(request)
        return result

    return endpoint


def _reads(fake: FakeBackend) -> tuple[Any, ...]:
    return (
        ("GET", "/status", "viewer", lambda _: JSONResponse(fake.world.status())),
        ("GET", "/checklist", "viewer", lambda _: _json(fake.world.checklist())),
        ("GET", "/timeline", "viewer", lambda _: _json(fake.world.timeline())),
        ("GET", "/coverage", "viewer", lambda _: _json(fake.world.coverage())),
        ("GET", "/settings", "viewer", lambda _: _json(console_answers.settings())),
        ("GET", "/backups", "viewer", lambda _: _json(fake.world.backups())),
        ("GET", "/backups/{id}", "viewer", lambda request: _json(_backup(fake, request))),
        ("GET", "/backups/{id}/export", "operator", lambda _: Response(b"tar", media_type="application/x-tar")),
        ("GET", "/bases/{id}", "viewer", lambda request: _json(_base(fake, request))),
        ("GET", "/releases", "viewer", lambda _: _json(fake.world.releases())),
        ("GET", "/rehearsals", "viewer", lambda _: _json(list_rehearsals(fake.world.rehearsals))),
        ("GET", "/rehearsals/{id}", "viewer", lambda request: _json(_rehearsal(fake, request))),
        ("GET", "/changes", "viewer", lambda _: _json(observe_changes(fake.world.changing))),
        ("GET", "/rollback-cost", "operator", lambda request: _json(_rollback_cost(fake, request))),
        ("GET", "/proofs", "viewer", lambda _: _json(fake.world.newest_proofs())),
        ("GET", "/journal", "viewer", lambda _: _json(fake.world.newest_entries())),
        ("GET", "/jobs", "viewer", lambda _: _json(JobsAnswer(jobs=tuple(fake.jobs.values())))),
        ("GET", "/jobs/{id}", "viewer", lambda request: _json(_job(fake, request))),
        ("GET", "/jobs/{id}/events", "viewer", lambda request: _events(fake, request)),
    )


def _rehearsal(fake: FakeBackend, request: Request) -> Rehearsal:
    found = fake.world.rehearsal(request.path_params["id"])
    if found is None:
        raise StratumError("unknown-address", path=request.url.path)
    return found


def _rollback_cost(fake: FakeBackend, request: Request) -> RollbackCost:
    return fake.world.rollback_cost(with_data=request.query_params["data"] == "true")


def _orders(fake: FakeBackend) -> tuple[Any, ...]:
    def start(verb: JobVerb, state: JobState = JobState.RUNNING) -> Response:
        started = job(verb, state)
        fake.jobs[started.id] = started
        return _json(started, 202)

    def end(request: Request, state: JobState) -> Response:
        fake.jobs[_job(fake, request).id] = ended = replace(_job(fake, request), state=state, question=None)
        return _json(ended)

    def answer(request: Request) -> Response:
        if request.state.body.get("password") != PASSWORD:
            raise StratumError("wrong-sign-in")
        return end(request, JobState.DONE if request.state.body.get("confirm") == STACK else JobState.DECLINED)

    def pin(request: Request, *, pinned: bool) -> Response:
        backup_id = _backup(fake, request).manifest.id
        kept = fake.world.pinned | {backup_id} if pinned else fake.world.pinned - {backup_id}
        fake.world = replace(fake.world, pinned=kept)
        return _json(PinAnswer(backup_id=backup_id, pinned=pinned))

    def plan(request: Request) -> Response:
        wanted = request.state.body
        at = datetime.fromisoformat(wanted["at"]) if wanted.get("at") else None
        return _json(fake.world.plan_restore(wanted.get("backup_id"), at, wanted.get("into")))

    return (
        ("POST", "/backups", "operator", lambda _: start(JobVerb.BACKUP)),
        ("POST", "/drills", "operator", lambda _: start(JobVerb.DRILL)),
        ("POST", "/backups/{id}/verify", "operator", lambda _: start(JobVerb.VERIFY)),
        ("POST", "/backups/{id}/drill", "operator", lambda _: start(JobVerb.DRILL)),
        ("PUT", "/backups/{id}/pin", "operator", lambda request: pin(request, pinned=True)),
        ("DELETE", "/backups/{id}/pin", "operator", lambda request: pin(request, pinned=False)),
        ("POST", "/restores/plan", "operator", plan),
        ("POST", "/restores", "operator", lambda _: start(JobVerb.RESTORE, JobState.ASKING)),
        ("POST", "/restores/undo", "operator", lambda _: start(JobVerb.UNDO_RESTORE, JobState.ASKING)),
        ("POST", "/jobs/{id}/answer", "operator", answer),
        ("POST", "/jobs/{id}/decline", "operator", lambda request: end(request, JobState.DECLINED)),
        ("POST", "/jobs/{id}/cancel", "operator", lambda request: end(request, JobState.DECLINED)),
    )


def _people(fake: FakeBackend) -> tuple[Any, ...]:
    def add(request: Request) -> Response:
        body = request.state.body
        if any(user["name"] == body["name"] for user in fake.users):
            raise StratumError("user-exists", user=body["name"])
        number = len(fake.users)
        added = {"id": f"00000000-0000-4000-8000-00000000000{number}", "name": body["name"], "role": body["role"],
                 "disabled": False, "created_at": NOW.isoformat(), "password_changed_at": None}  # fmt: skip
        fake.users.append(added)
        return JSONResponse(added, 201)

    def change(request: Request) -> Response:
        user = _user(fake, request)
        user.update({name: value for name, value in request.state.body.items() if name != "password"})
        return JSONResponse(user)

    def remove(request: Request) -> Response:
        fake.users.remove(_user(fake, request))
        return Response(status_code=204)

    def password(request: Request) -> Response:
        if request.state.body["current_password"] != PASSWORD:
            raise StratumError("wrong-sign-in")
        return Response(status_code=204)

    def gone(_: Request) -> Response:
        fake.access.clear()
        fake.refresh.clear()
        return Response(status_code=204)

    sessions = [
        {"id": f"11111111-0000-4000-8000-00000000000{number}", "created_at": NOW.isoformat(),
         "last_used_at": NOW.isoformat(), "address": "127.0.0.1", "user_agent": agent, "current": number == 0}
        for number, agent in enumerate(("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "curl/8.5"))
    ]  # fmt: skip

    def kit(request: Request) -> Response:
        if request.state.body["password"] != PASSWORD:
            raise StratumError("wrong-sign-in")
        return _json(console_coverage.rescue_kit())

    return (
        ("POST", "/rescue-kits", "administrator", kit),
        ("GET", "/users", "administrator", lambda _: JSONResponse({"users": fake.users})),
        ("POST", "/users", "administrator", add),
        ("PATCH", "/users/{id}", "administrator", change),
        ("DELETE", "/users/{id}", "administrator", remove),
        ("POST", "/auth/password", "viewer", password),
        ("POST", "/auth/logout", "viewer", lambda _: Response(status_code=204)),
        ("POST", "/auth/logout-everywhere", "viewer", gone),
        ("GET", "/auth/sessions", "viewer", lambda _: JSONResponse({"sessions": sessions})),
        ("DELETE", "/auth/sessions/{id}", "viewer", lambda _: Response(status_code=204)),
        ("GET", "/audit", "viewer", lambda _: _json(fake.world.audit())),
    )


def _sign_ins(fake: FakeBackend) -> tuple[Any, ...]:
    async def login(request: Request) -> Response:
        sent = await request.json()
        found = next((user for user in fake.users if user["name"] == sent["name"]), None)
        if found is None or sent["password"] != PASSWORD:
            raise StratumError("wrong-sign-in")
        return fake.give_tokens(found)

    async def first_run(request: Request) -> Response:
        if (await request.json())["token"] != FIRST_RUN_TOKEN:
            raise StratumError("first-run-token-refused")
        fake.first_run = False
        return fake.give_tokens(fake.users[0])

    async def console_token(request: Request) -> Response:
        if (await request.json())["token"] != CONSOLE_TOKEN:
            raise StratumError("console-token-refused")
        return fake.give_tokens({"id": None, "name": "console token", "role": "viewer"}, read_only=True)

    async def refresh(request: Request) -> Response:
        token = (await request.json())["refresh_token"]
        fake.refreshes += 1
        await asyncio.sleep(0)
        if token in fake.used_refresh:
            fake.refresh.clear()
            raise StratumError("refresh-token-reused")
        if token not in fake.refresh:
            raise StratumError("session-ended")
        fake.used_refresh.add(token)
        return fake.give_tokens(fake.refresh.pop(token))

    return (
        ("login", login),
        ("first-run", first_run),
        ("console-token", console_token),
        ("refresh", refresh),
    )


def _backup(fake: FakeBackend, request: Request) -> Any:  # noqa: ANN401  a BackupAnswer, once it is found
    found = fake.world.backup(request.path_params["id"])
    if found is None:
        raise StratumError("unknown-backup", backup=request.path_params["id"])
    return found


def _base(fake: FakeBackend, request: Request) -> BaseAnswer:
    found = fake.world.base(request.path_params["id"])
    if found is None:
        raise StratumError("unknown-backup", backup=request.path_params["id"])
    return found


def _job(fake: FakeBackend, request: Request) -> Job:
    if request.path_params["id"] not in fake.jobs:
        raise StratumError("unknown-address", path=request.url.path)
    return fake.jobs[request.path_params["id"]]


def _user(fake: FakeBackend, request: Request) -> dict[str, Any]:
    for user in fake.users:
        if user["id"] == request.path_params["id"]:
            return user
    raise StratumError("unknown-user", user=request.path_params["id"])


def _events(fake: FakeBackend, request: Request) -> Response:
    shown = _job(fake, request)
    ending = shown if shown.state in ENDED else replace(shown, state=JobState.DONE, question=None)

    def told() -> Iterator[str]:
        for number, each in enumerate((shown, ending), start=1):
            yield f"id: {number}\nevent: job\ndata: {to_json(JobEvent(number=number, at=NOW, job=each))}\n\n"

    return StreamingResponse(told(), media_type="text/event-stream")
