"""The agent's HTTP interface refuses what it should, in one shape and in the reader's language."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from stratum.adapters.messages import speaking
from stratum.agent.speech import speak_timeline
from stratum.core.errors import StratumError
from stratum.core.job import JobState
from stratum.core.timeline import BACKUP_TAKEN
from tests.fakes.console_records import STACK
from tests.fakes.fake_agent import CONSOLE_TOKEN, SECRET, FakeDesk, make_fake_agent

Ask = Callable[..., httpx.Response]
_BACKUP = {"verb": "backup", "who": "ada (console)"}


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def ask(desk: FakeDesk) -> Ask:
    def asking(method: str, path: str, **values: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {SECRET}", **values.pop("headers", {})}  # type: ignore[dict-item]  # the values are of any type
        return asyncio.run(_ask(desk, method, path, headers=headers, **values))

    return asking


async def _ask(desk: FakeDesk, method: str, path: str, **values: object) -> httpx.Response:
    transport = httpx.ASGITransport(app=make_fake_agent(desk), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
        return await client.request(method, path, **values)  # type: ignore[arg-type]  # as the test gives them


def _refusal(answer: httpx.Response) -> tuple[int, str]:
    found = answer.json()
    assert found["format"] == 1
    assert all(found["error"][part] for part in ("message", "data", "next"))
    return answer.status_code, found["error"]["code"]


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {SECRET}", f"Bearer {SECRET}x"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/status"), ("POST", "/jobs"), ("GET", "/nothing")])
def test_nothing_is_answered_without_the_secret(ask: Ask, method: str, path: str, given: str) -> None:
    assert _refusal(ask(method, path, headers={"Authorization": given})) == (401, "agent-secret-refused")


def test_whether_the_agent_lives_may_be_asked_by_anybody(ask: Ask) -> None:
    assert ask("GET", "/health", headers={"Authorization": ""}).json() == {"format": 1, "agent": "live"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"backup"',
        b'{"verb": "backup"}',
        b'{"verb": "destroy", "who": "ada"}',
        b'{"verb": "backup", "who": "ada", "force": true}',
        b'{"verb": "backup", "who": ""}',
        b'{"verb": "backup", "who": "a\\u0000b"}',
        b'{"verb": "backup", "who": 7}',
        b'{"verb": "backup", "who": "ada", "accept_fewer_rows": "yes"}',
        b'{"verb": "restore", "who": "ada", "at": "2026-03-02T10:00:00"}',
        b'{"verb": "restore", "who": "ada", "at": "2026-03-02T10:00:00Z", "backup_id": "x"}',
        b'{"verb": "restore", "who": "ada", "into": ""}',
        b'{"verb": "restore", "who": "ada", "database": "a\\u0000"}',
        b"[" * 20000,
    ],
)
def test_a_request_that_is_not_understood_is_refused_and_starts_nothing(ask: Ask, desk: FakeDesk, body: bytes) -> None:
    assert _refusal(ask("POST", "/jobs", content=body)) == (422, "malformed-request")
    assert _refusal(ask("POST", "/plans", content=body)) == (422, "malformed-request")
    assert desk.asked == []


def test_a_body_that_is_too_large_is_refused_whether_its_length_is_announced_or_not(ask: Ask) -> None:
    async def pieces() -> object:
        for _ in range(70):
            yield b"x" * 1024

    assert _refusal(ask("POST", "/jobs", content=b"x" * 70_000)) == (413, "body-too-large")
    assert _refusal(ask("POST", "/jobs", content=pieces())) == (413, "body-too-large")


@pytest.mark.parametrize(
    "backup_id", ["..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "a" * 200, ".hidden", "a%20b", "-x"]
)
def test_a_backup_id_is_a_plain_word(ask: Ask, backup_id: str) -> None:
    for path in (f"/backups/{backup_id}", f"/backups/{backup_id}/export"):
        status, code = _refusal(ask("GET", path))
        assert (status, code) in {(404, "unknown-backup"), (404, "unknown-address")}


@pytest.mark.parametrize("limit", ["0", "-1", "x", "10000", "1e3", "\u0663"])
def test_a_limit_is_a_number_of_a_sensible_size(ask: Ask, limit: str) -> None:
    assert _refusal(ask("GET", "/proofs", params={"limit": limit})) == (422, "malformed-request")


def test_an_unknown_address_and_a_wrong_method_are_answered_in_the_same_shape(ask: Ask) -> None:
    wrong = ask("PATCH", "/jobs")
    assert _refusal(wrong) == (405, "method-not-allowed")
    assert "GET" in wrong.headers["allow"]
    assert _refusal(ask("GET", "/nothing")) == (404, "unknown-address")
    assert _refusal(ask("GET", "/jobs/nosuch")) == (404, "unknown-job")
    assert _refusal(ask("GET", "/jobs/nosuch/events")) == (404, "unknown-job")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StratumError("archive-missing", path="/a"), 500),
        (StratumError("locked", why="backup", who="ada", since="now"), 423),
        (StratumError("no-backup-yet"), 409),
        (StratumError("unknown-backup", backup="x"), 404),
        (StratumError("agent-stopping"), 503),
    ],
)
def test_an_error_of_the_engine_arrives_with_its_status(
    ask: Ask, desk: FakeDesk, error: StratumError, status: int
) -> None:
    desk.failures["backups"] = error

    assert _refusal(ask("GET", "/backups")) == (status, error.code)


def test_a_fault_of_the_agents_own_is_said_without_what_it_worked_on(ask: Ask, desk: FakeDesk) -> None:
    desk.world = None  # type: ignore[assignment]  # what a fault may look like

    answer = ask("GET", "/backups")

    assert _refusal(answer) == (500, "unexpected")
    assert "NoneType" not in answer.text


def test_the_readers_language_decides(ask: Ask) -> None:
    french = ask("GET", "/jobs/nosuch", headers={"Accept-Language": "de;q=0.1, fr-CA, en;q=0.5"}).json()
    english = ask("GET", "/jobs/nosuch", headers={"Accept-Language": "fr;q=0, ;;, en"}).json()

    assert french["error"]["message"].startswith("il n'y a pas de tâche")
    assert english["error"]["message"].startswith("there is no job")


def test_the_marks_of_the_timeline_are_said_in_the_readers_language(ask: Ask, desk: FakeDesk) -> None:
    shown = desk.world.timeline()
    moments = tuple(replace(moment, label=BACKUP_TAKEN) for moment in shown.moments)

    with speaking(["fr"]):
        labels = {moment.label for moment in speak_timeline(replace(shown, moments=moments)).moments}

    assert labels == {"une sauvegarde a été prise"}
    assert len(ask("GET", "/timeline").json()["moments"]) == len(moments)


def test_the_events_of_a_job_begin_at_once_and_end_with_it(ask: Ask, desk: FakeDesk) -> None:
    job_id = ask("POST", "/jobs", json=_BACKUP).json()["id"]
    desk.end(job_id, JobState.DONE)

    answer = ask("GET", f"/jobs/{job_id}/events")

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("id: 2\nevent: job\ndata: {")
    assert answer.text.count("event: job") == 1


def test_a_question_is_answered_with_the_stacks_name_and_only_once(ask: Ask) -> None:
    job_id = ask("POST", "/jobs", json={"verb": "restore", "who": "ada"}).json()["id"]

    assert ask("POST", f"/jobs/{job_id}/answer", json={"confirmed": [STACK]}).json()["state"] == "done"
    assert _refusal(ask("POST", f"/jobs/{job_id}/answer", json={"confirmed": [STACK]})) == (409, "job-not-asking")
    assert _refusal(ask("POST", f"/jobs/{job_id}/decline")) == (409, "job-not-asking")
    assert _refusal(ask("POST", f"/jobs/{job_id}/cancel")) == (409, "job-over")


def test_a_console_token_is_good_once(ask: Ask) -> None:
    assert ask("POST", "/console-tokens/redeem", json={"token": CONSOLE_TOKEN}).status_code == 204
    assert _refusal(ask("POST", "/console-tokens/redeem", json={"token": CONSOLE_TOKEN})) == (
        403,
        "console-token-refused",
    )
