"""The backend's routes of data: the agent's answers handed on, held to roles, and confirmed where data may go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from stratum.adapters.records import parse, to_dict
from stratum.backend.app import create_app
from stratum.backend.prepare import prepare
from stratum.core.answers import BackupsAnswer
from stratum.core.backup import BackupKind
from stratum.core.errors import StratumError
from stratum.core.job import JobState, JobVerb
from tests.fakes import console_coverage
from tests.fakes.console_records import STACK
from tests.fakes.fake_agent import CONSOLE_TOKEN, SECRET, FakeDesk, make_fake_agent
from tests.fixtures.console_backend import PASSWORD, Console, read, refusal, serving, settings_for
from tests.fixtures.ledger_server import LedgerServer
from tests.fixtures.served import served

READS = (
    "/status",
    "/checklist",
    "/timeline",
    "/coverage",
    "/settings",
    "/backups",
    "/releases",
    "/rehearsals",
    "/changes",
    "/proofs",
    "/journal",
    "/jobs",
    "/audit",
)
BAD_IDS = ("..%2f..%2fetc", "%2e%2e", "a%00b", "-rf", "a" * 500, "<script>", "' OR 1=1 --")


@dataclass(frozen=True, kw_only=True, slots=True)
class WithAgent:
    """A backend in front of a stand-in of the agent."""

    console: Console
    desk: FakeDesk
    admin: str
    operator: str
    viewer: str

    def ask(self, method: str, path: str, body: object = None, *, token: str | None = None) -> httpx.Response:
        return self.console.ask(method, path, body, token=token or self.operator)

    @property
    def base(self) -> str:
        """The server's address, without the prefix of the API."""
        return str(self.console.client.base_url).removesuffix("/api/v1/")

    @property
    def newest(self) -> str:
        return self.desk.backups().backups[0].id


@contextmanager
def with_agent(server: LedgerServer, database: str, folder: Path) -> Iterator[WithAgent]:
    secret, desk = folder / "agent.secret", FakeDesk()
    secret.write_text(f"{SECRET}\n")
    with (
        served(make_fake_agent(desk)) as address,
        serving(server, database, agent_url=address, agent_secret_file=secret) as console,
    ):
        prepare(console.identity)
        admin = console.make_first_administrator()
        tokens = [console.make_user(admin, name, name)["access_token"] for name in ("operator", "viewer")]
        yield WithAgent(console=console, desk=desk, admin=admin["access_token"], operator=tokens[0], viewer=tokens[1])


@pytest.fixture
def both(console_server: LedgerServer, empty_database: str, tmp_path: Path) -> Iterator[WithAgent]:
    with with_agent(console_server, empty_database, tmp_path) as both:
        yield both


def test_a_viewer_reads_everything_as_the_agent_says_it(both: WithAgent) -> None:
    answers = {path: read(both.ask("GET", path, token=both.viewer)) for path in READS}

    assert answers["/backups"] == to_dict(both.desk.backups())
    assert answers["/status"]["status"]["protection"] == to_dict(both.desk.status())["status"]["protection"]
    assert read(both.ask("GET", f"/backups/{both.newest}"))["manifest"]["id"] == both.newest


def test_what_a_rollback_costs_is_counted_for_an_operator_as_it_was_asked(both: WithAgent) -> None:
    by_code, with_data = (read(both.ask("GET", f"/rollback-cost{query}")) for query in ("", "?data=true"))

    assert (by_code["with_data"], with_data["with_data"]) == (False, True)
    assert with_data == to_dict(both.desk.rollback_cost(with_data=True))
    assert refusal(both.ask("GET", "/rollback-cost", token=both.viewer)) == (403, "role-too-low")


def test_a_rehearsal_is_handed_on_and_one_that_nobody_made_is_not_there(both: WithAgent) -> None:
    known = both.desk.rehearsals().rehearsals[0].id

    assert read(both.ask("GET", f"/rehearsals/{known}")) == to_dict(both.desk.rehearsal(known))
    assert refusal(both.ask("GET", "/rehearsals/none")) == (404, "unknown-address")


def test_nobody_works_on_data_without_the_role(both: WithAgent) -> None:
    """Every route that is no look, so that a new one is held to it as well."""
    ways = [(method, route.path) for route, method in _routes() if method != "GET" and _concerns_data(route)]
    refused = [
        refusal(both.ask(method, _filled(path, both), {"password": "x", "confirm": "x"}, token=both.viewer))
        for method, path in ways
    ]

    assert len(ways) >= 13
    assert set(refused) == {(403, "role-too-low")}
    assert both.desk.asked == []


def test_nothing_is_said_to_who_is_not_signed_in(both: WithAgent) -> None:
    ways = [(method, route.path) for route, method in _routes() if _concerns_data(route)]

    assert {refusal(both.console.ask(method, _filled(path, both), {})) for method, path in ways} == {
        (401, "sign-in-needed")
    }


def _routes() -> Iterator[tuple[APIRoute, str]]:
    app = create_app(nowhere())
    for route in _flat(app.routes):
        if isinstance(route, APIRoute):
            yield from ((route, method) for method in sorted(route.methods or ()))


def _flat(routes: Any) -> Iterator[Any]:  # noqa: ANN401  whatever the framework keeps its routes in
    for route in routes:
        inner = getattr(route, "original_router", None)
        yield from _flat(inner.routes) if inner is not None else (route,)


def nowhere() -> Any:  # noqa: ANN401  settings that lead nowhere
    from stratum.backend.settings import BackendSettings

    return BackendSettings(
        database_url="postgresql+psycopg://nobody@127.0.0.1:1/none",
        agent_url="http://127.0.0.1:1",
        agent_secret_file=Path("/nonexistent"),
        jwt_secret="a secret that is long enough to be taken",  # noqa: S106  of no server
    )


def _concerns_data(route: APIRoute) -> bool:
    return bool({"data", "work", "jobs", "audit"} & set(route.tags))


def _filled(path: str, both: WithAgent) -> str:
    plain = path.removeprefix("/api/v1")
    return plain.replace("{backup_id}", both.newest).replace("{job_id}", "job-0001")


def test_work_is_ordered_in_the_name_of_who_asks(both: WithAgent) -> None:
    orders = {
        JobVerb.BACKUP: ("/backups", {"accept_fewer_rows": True}),
        JobVerb.VERIFY: (f"/backups/{both.newest}/verify", None),
        JobVerb.DRILL: (f"/backups/{both.newest}/drill", None),
        JobVerb.RESTORE: ("/restores", {"backup_id": both.newest, "into": "beside"}),
        JobVerb.UNDO_RESTORE: ("/restores/undo", {}),
    }
    for path, body in orders.values():
        read(both.ask("POST", path, body), 202)

    assert [asked.verb for asked in both.desk.asked] == list(orders)
    assert {asked.who for asked in both.desk.asked} == {"operator (console)"}
    assert both.desk.asked[0].accept_fewer_rows
    assert (both.desk.asked[3].backup_id, both.desk.asked[3].into) == (both.newest, "beside")


def test_a_base_backup_and_the_proof_of_a_moment_are_ordered_as_such(both: WithAgent) -> None:
    read(both.ask("POST", "/backups", {"kind": "base"}), 202)
    read(both.ask("POST", "/drills", {"at": "2026-03-02T10:00:05+01:00"}), 202)

    assert refusal(both.ask("POST", "/drills", {})) == (422, "malformed-request")
    assert [(asked.verb, asked.kind) for asked in both.desk.asked] == [
        (JobVerb.BACKUP, BackupKind.BASE),
        (JobVerb.DRILL, BackupKind.DUMP),
    ]
    assert both.desk.asked[1].at == datetime(2026, 3, 2, 9, 0, 5, tzinfo=UTC)


def test_a_plan_is_shown_without_ordering_anything(both: WithAgent) -> None:
    plan = read(both.ask("POST", "/restores/plan", {"backup_id": both.newest}))

    assert plan["params"]["backup_id"] == both.newest
    assert both.desk.asked == []


def _asking(both: WithAgent) -> str:
    return str(read(both.ask("POST", "/restores", {}), 202)["id"])


def test_a_restore_goes_on_only_with_the_password_and_the_name(both: WithAgent) -> None:
    job = _asking(both)
    wrong = [
        both.ask("POST", f"/jobs/{job}/answer", {"password": PASSWORD, "confirm": "another"}),
        both.ask("POST", f"/jobs/{job}/answer", {"password": "not the password", "confirm": STACK}),
        both.ask("POST", f"/jobs/{job}/answer", {"confirm": STACK}),
    ]

    assert [refusal(answer) for answer in wrong] == [
        (409, "name-not-typed"),
        (401, "wrong-sign-in"),
        (422, "malformed-request"),
    ]
    assert both.desk.job(job).state is JobState.ASKING
    assert read(both.ask("POST", f"/jobs/{job}/answer", {"password": PASSWORD, "confirm": STACK}))["state"] == "done"


def test_a_no_and_a_cancel_are_handed_on(both: WithAgent) -> None:
    assert read(both.ask("POST", f"/jobs/{_asking(both)}/decline"))["state"] == "declined"
    running = str(read(both.ask("POST", "/backups", {}), 202)["id"])
    assert read(both.ask("POST", f"/jobs/{running}/cancel"))["state"] == "failed"
    assert refusal(both.ask("POST", f"/jobs/{running}/answer", {"password": PASSWORD, "confirm": STACK})) == (
        409,
        "job-not-asking",
    )


def test_retention_is_applied_only_with_the_password_and_the_name(both: WithAgent) -> None:
    assert refusal(both.ask("POST", "/prunes", {"password": "wrong", "confirm": STACK})) == (401, "wrong-sign-in")
    assert refusal(both.ask("POST", "/prunes", {"password": PASSWORD, "confirm": "x"})) == (409, "name-not-typed")
    assert both.desk.asked == []

    read(both.ask("POST", "/prunes", {"password": PASSWORD, "confirm": STACK}), 202)
    assert [asked.verb for asked in both.desk.asked] == [JobVerb.PRUNE]


def test_a_rescue_kit_goes_to_an_administrator_alone_and_is_noted(both: WithAgent) -> None:
    def ask(token: str, password: str) -> httpx.Response:
        return both.ask("POST", "/rescue-kits", {"password": password}, token=token)

    assert refusal(ask(both.operator, PASSWORD)) == (403, "role-too-low")
    assert refusal(ask(both.admin, "not the password")) == (401, "wrong-sign-in")
    kinds = [entry["kind"] for entry in read(both.ask("GET", "/audit"))["entries"]]
    assert "rescue-kit-made" not in kinds

    assert read(ask(both.admin, PASSWORD)) == to_dict(console_coverage.rescue_kit())
    noted = [entry for entry in read(both.ask("GET", "/audit"))["entries"] if entry["kind"] == "rescue-kit-made"]
    assert len(noted) == 1


def test_the_events_of_a_job_come_as_they_happen_and_end_with_it(both: WithAgent) -> None:
    job = str(read(both.ask("POST", "/backups", {}), 202)["id"])
    headers = {"Authorization": f"Bearer {both.viewer}"}
    with both.console.client.stream("GET", f"/jobs/{job}/events", headers=headers) as stream:
        lines = stream.iter_lines()
        first = next(line for line in lines if line.startswith("data:"))
        both.desk.end(job)
        rest = [line for line in lines if line.startswith("data:")]

    assert '"state":"running"' in first
    assert '"state":"done"' in rest[-1]
    assert stream.headers["content-type"].startswith("text/event-stream")


def test_a_stream_ends_with_the_session_that_asked_for_it(both: WithAgent) -> None:
    job = str(read(both.ask("POST", "/backups", {}), 202)["id"])
    headers = {"Authorization": f"Bearer {both.viewer}"}
    with both.console.client.stream("GET", f"/jobs/{job}/events", headers=headers) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("data:"))
        read_nothing = both.console.ask("POST", "/auth/logout-everywhere", token=both.viewer)
        both.desk.submit(both.desk.asked[0])
        for wake in both.desk.listeners[job]:
            wake()
        both.desk.numbers[job] += 1
        for wake in both.desk.listeners[job]:
            wake()
        told = [line for line in lines if line.startswith("data:")]

    assert read_nothing.status_code == 204
    assert len(told) <= 1
    assert both.desk.job(job).state is JobState.RUNNING


def test_a_backup_is_handed_out_as_a_file(both: WithAgent) -> None:
    answer = both.ask("GET", f"/backups/{both.newest}/export")

    assert answer.headers["content-disposition"] == f'attachment; filename="{both.newest}.tar"'
    assert answer.content == b"\0" * 1024


def test_the_audit_merges_sign_ins_with_the_journal_newest_first(both: WithAgent) -> None:
    entries = read(both.ask("GET", "/audit"))["entries"]

    assert {entry["source"] for entry in entries} == {"console", "journal"}
    assert [entry["at"] for entry in entries] == sorted((entry["at"] for entry in entries), reverse=True)
    older = read(both.ask("GET", f"/audit?before={entries[0]['at'].replace('+', '%2B')}"))["entries"]
    assert entries[0] not in older


@pytest.mark.parametrize("backup_id", BAD_IDS)
def test_an_id_that_is_none_is_refused_before_the_agent_hears_of_it(both: WithAgent, backup_id: str) -> None:
    for method, path in (("GET", "/backups/{}"), ("POST", "/backups/{}/drill"), ("PUT", "/backups/{}/pin")):
        status, code = refusal(both.ask(method, path.format(backup_id)))
        assert (status, code) in {(422, "malformed-request"), (404, "unknown-address"), (404, "unknown-backup")}
    assert both.desk.asked == []


@pytest.mark.parametrize(
    "body",
    [
        {"backup_id": "x", "unknown": 1},
        {"at": "2026-03-02T10:00"},
        {"at": "yesterday"},
        {"backup_id": 7},
        {"into": ""},
        {"into": "n" * 64},
        {"backup_id": "../../etc/passwd"},
        ["a", "list"],
        "text",
    ],
)
def test_a_restore_that_is_not_understood_is_refused_in_three_parts(both: WithAgent, body: object) -> None:
    assert refusal(both.ask("POST", "/restores", body)) == (422, "malformed-request")
    assert both.desk.asked == []


@pytest.mark.parametrize(
    "path", ["/proofs?limti=5", "/status?x=1", "/audit?before=2026-03-02T10:00Z&Before=1", "/health?x=1"]
)
def test_a_parameter_that_nobody_knows_is_refused_and_not_passed_over(both: WithAgent, path: str) -> None:
    assert refusal(both.ask("GET", path)) == (422, "malformed-request")


def test_an_agent_that_is_away_is_said_in_three_parts(both: WithAgent, tmp_path: Path) -> None:
    (tmp_path / "agent.secret").unlink()

    assert {refusal(both.ask("GET", path)) for path in READS} == {(503, "agent-unreachable")}


@pytest.mark.parametrize("path", ["/status", "/backups", "/jobs"])
def test_garbage_of_the_agent_is_not_handed_on(both: WithAgent, path: str) -> None:
    both.desk.garbage.add(path)

    assert refusal(both.ask("GET", path)) == (503, "agent-unreachable")


def test_a_refusal_of_the_agent_keeps_its_code_and_its_words_in_the_readers_language(both: WithAgent) -> None:
    both.desk.failures["backups"] = StratumError("archive-missing", path="/archive")
    answer = both.console.client.get(
        "/backups", headers={"Authorization": f"Bearer {both.viewer}", "Accept-Language": "fr"}
    )

    assert refusal(answer)[1] == "archive-missing"
    assert "archive" in answer.json()["error"]["message"]
    assert answer.json()["error"]["message"] != StratumError("archive-missing", path="/archive").message


def test_a_console_token_reads_the_archive_while_the_database_is_away(both: WithAgent) -> None:
    both.console.agent.tokens.add(CONSOLE_TOKEN)
    token = read(both.console.ask("POST", "/auth/console-token", {"token": CONSOLE_TOKEN}))["access_token"]
    both.console.identity.prepared.clear()

    assert parse(BackupsAnswer, both.ask("GET", "/backups", token=token).content, file="").backups
    assert refusal(both.ask("GET", "/backups"))[1] == "console-database-down"
    assert refusal(both.ask("POST", "/backups", {}, token=token)) == (403, "role-too-low")
    assert read(both.ask("GET", "/audit", token=token))["complete"] is False


def test_the_numbers_tell_of_both_processes(both: WithAgent) -> None:
    read(both.ask("GET", "/backups"))
    text = httpx.get(f"{both.base}/metrics", trust_env=False).text

    assert 'stratum_http_requests_total{route="/backups",status="200"}' in text
    assert "stratum_console_database_up 1.0" in text
    assert "stratum_agent_up 1.0" in text
    assert "stratum_alarms 0.0" in text


def test_settings_are_for_the_console_of_one_stack(console_server: LedgerServer, empty_database: str) -> None:
    """The settings never show what is secret in them."""
    assert "a secret of the tests" not in repr(settings_for(console_server, empty_database).settings)
