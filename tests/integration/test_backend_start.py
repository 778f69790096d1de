"""The backend as a process: what it prints, when it must not serve, and how quickly it says that something is down."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.fixtures.console_backend import Console, read, refusal, serving
from tests.fixtures.ledger_server import LedgerServer
from tests.fixtures.ports import own_port
from tests.fixtures.stacks import wait_until

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(console_server: LedgerServer, tmp_path: Path) -> Iterator[Start]:
    """Starts backends on a database; what is still running at the end is ended."""
    running: list[subprocess.Popen[str]] = []

    def begin(database: str, **changes: str) -> subprocess.Popen[str]:
        env = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "CONSOLE_DATABASE_URL": f"postgres://ledger_owner:{console_server.password}@/{database}"
            f"?schema=public&host={console_server.root}",
            "AGENT_SECRET_FILE": str(tmp_path / "secret"),
            "JWT_SECRET": "a secret of the tests, which is long enough",
            "AGENT_URL": "http://127.0.0.1:1",
            "PORT": str(own_port()),
        } | changes
        log = (tmp_path / f"log{len(running)}").open("w")
        argv = (sys.executable, "-m", "stratum.backend")
        running.append(subprocess.Popen(argv, env=env, stdout=log, stderr=log, text=True))
        log.close()
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait()


def _log(directory: Path) -> str:
    return (directory / "log0").read_text()


def _serves(port: str) -> bool:
    try:
        return httpx.head(f"http://127.0.0.1:{port}/api/v1/", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_start_migrates_prints_the_first_run_token_serves_and_ends_on_sigterm(
    start: Start, empty_database: str, tmp_path: Path
) -> None:
    port = str(own_port())
    process = start(empty_database, PORT=port, SEED_ON_START="true")
    wait_until(lambda: _serves(port))
    httpx.get(f"http://127.0.0.1:{port}/api/v1/?token=hidden", trust_env=False)

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=10) == 0
    log = _log(tmp_path)
    assert log.count("FIRST RUN: there is no administrator and no default password") == 1
    assert "loaded the demo data" in log
    assert '"GET /api/v1/ HTTP/1.1" 422' in log
    assert "hidden" not in log


def test_a_diverged_database_stops_the_start_in_three_plain_lines(
    start: Start, console_server: LedgerServer, empty_database: str, tmp_path: Path
) -> None:
    console_server.execute(empty_database, "CREATE TABLE users (x int)")

    assert start(empty_database).wait(timeout=60) == 10

    lines = [line for line in _log(tmp_path).splitlines() if line.startswith(("error:", "data:", "next:"))]
    assert [line.split(":")[0] for line in lines] == ["error", "data", "next"]
    assert "Traceback" not in _log(tmp_path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"JWT_SECRET": ""}, "does not set JWT_SECRET"),
        ({"JWT_SECRET": "short"}, "JWT_SECRET cannot be used"),
        ({"JWT_ACCESS_TTL": "soon"}, "JWT_ACCESS_TTL cannot be used"),
        ({"CONSOLE_DATABASE_URL": "mysql://u:hidden@h/d"}, "CONSOLE_DATABASE_URL cannot be used"),
        ({"AUTORUN_MIGRATIONS": "false"}, "AUTORUN_MIGRATIONS is off"),
    ],
    ids=["no-secret", "short-secret", "ttl", "address", "behind"],
)
def test_a_start_that_cannot_work_says_why_and_exits_with_an_error(
    start: Start, empty_database: str, tmp_path: Path, changes: dict[str, str], says: str
) -> None:
    assert start(empty_database, **changes).wait(timeout=60) != 0

    assert says in _log(tmp_path)
    assert "hidden" not in _log(tmp_path)


def test_a_backend_that_starts_before_its_database_prepares_it_when_it_is_there(
    start: Start, console_server: LedgerServer, tmp_path: Path
) -> None:
    port, later = str(own_port()), f"console_{uuid4().hex}"
    start(later, PORT=port)
    wait_until(lambda: _serves(port))
    answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/auth/first-run", trust_env=False)
    assert refusal(answer) == (503, "console-database-down")

    console_server.create_database(later)

    wait_until(lambda: "FIRST RUN" in _log(tmp_path))
    answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/auth/first-run", trust_env=False)
    assert answer.json() == {"needed": True}


def test_health_names_what_does_not_answer_and_live_stays_well(console: Console) -> None:
    assert read(console.ask("GET", "/health/ready")) == {"format": 1, "ready": True, "reasons": []}
    console.agent.away = True
    reasons = read(console.ask("GET", "/health"), 503)["reasons"]
    assert [reason["code"] for reason in reasons] == ["token-epoch-unknown"]
    console.identity.prepared.clear()
    reasons = read(console.ask("GET", "/health/ready"), 503)["reasons"]
    assert [reason["code"] for reason in reasons] == ["console-database-down", "token-epoch-unknown"]
    assert read(console.ask("GET", "/health/live"))["alive"] is True


def test_health_answers_although_the_database_hangs_and_never_does(console_server: LedgerServer) -> None:
    """A listener that takes connections and says nothing is what a frozen server looks like."""
    with socket.create_server(("127.0.0.1", 0), backlog=20) as silent:
        url = f"postgresql+psycopg://u:p@127.0.0.1:{silent.getsockname()[1]}/d"
        with serving(console_server, "postgres", database_url=url) as console:
            console.identity.prepared.set()
            assert _codes(console.ask("GET", "/health")) == ["console-database-down"]
            assert refusal(console.ask("GET", "/auth/first-run")) == (503, "console-database-down")


def _codes(answer: httpx.Response) -> list[str]:
    return [reason["code"] for reason in answer.json()["reasons"]]


def test_every_error_has_the_one_shape_and_speaks_the_readers_language(console: Console) -> None:
    console.make_first_administrator()
    ask = console.client.request
    oversized = b'{"name": "' + b"x" * 1_100_000 + b'"}'

    assert refusal(ask("GET", "/nowhere")) == (404, "unknown-address")
    assert refusal(ask("PUT", "/auth/login")) == (405, "method-not-allowed")
    assert refusal(ask("POST", "/auth/login", content=b"{")) == (422, "malformed-request")
    assert refusal(ask("POST", "/auth/login", content=b"\xff\xfe")) == (422, "malformed-request")
    assert refusal(ask("POST", "/auth/login", content=oversized)) == (413, "body-too-large")
    chunks = iter([oversized])
    headers = {"Content-Type": "application/json"}
    assert refusal(ask("POST", "/auth/login", content=chunks, headers=headers)) == (413, "body-too-large")
    french = ask("GET", "/auth/me", headers={"Accept-Language": "de;q=0.1, fr-FR, en;q=0.5"})
    assert french.json()["error"]["message"].startswith("il faut être connecté")
    assert french.headers["WWW-Authenticate"] == "Bearer"


def test_every_route_documents_its_errors_in_the_one_shape_under_a_name_of_its_own(console: Console) -> None:
    described = httpx.get(str(console.client.base_url).replace("/api/v1", "") + "openapi.json", trust_env=False).json()
    operations = [op for path in described["paths"].values() for op in path.values()]

    names = [op["operationId"] for op in operations]
    assert len(set(names)) == len(names) >= 19
    for operation in operations:
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                schema = answer["content"]["application/json"]["schema"]["$ref"].rsplit("/")[-1]
                assert schema in {"ErrorAnswer", "HealthAnswer"}, operation["operationId"]


def test_a_fault_of_the_program_is_an_error_of_three_parts_without_its_text(console: Console) -> None:
    console.server.execute(console.database, "DROP TABLE first_run_token, users CASCADE")

    answer = console.ask("GET", "/auth/first-run")

    assert refusal(answer) == (500, "unexpected")
    assert "SELECT" not in answer.text
