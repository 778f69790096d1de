"""The agent and its stand-in answer the same requests with the same records, statuses and refusals."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from httpx_sse import connect_sse

from stratum.adapters.records import parse
from stratum.core.agent_status import AgentStatus
from stratum.core.answers import (
    BackupAnswer,
    BackupsAnswer,
    ChecklistAnswer,
    ErrorAnswer,
    JournalAnswer,
    PinAnswer,
    ProofsAnswer,
    SettingsAnswer,
)
from stratum.core.changes import ChangesAnswer, RehearsalsAnswer
from stratum.core.coverage import CoverageAnswer
from stratum.core.job import ENDED, Job, JobEvent, JobsAnswer, JobState
from stratum.core.plan import Plan
from stratum.core.release import ReleasesAnswer
from stratum.core.rescue_kit import RescueKit
from stratum.core.timeline import Timeline
from tests.fakes.console_records import STACK
from tests.fakes.fake_agent import SECRET, FakeDesk, make_fake_agent
from tests.fixtures.agents import AgentUnderTest
from tests.fixtures.served import served
from tests.fixtures.stacks import NAME

READS: dict[str, type[object]] = {
    "/status": AgentStatus,
    "/checklist": ChecklistAnswer,
    "/timeline": Timeline,
    "/coverage": CoverageAnswer,
    "/settings": SettingsAnswer,
    "/backups": BackupsAnswer,
    "/releases": ReleasesAnswer,
    "/rehearsals": RehearsalsAnswer,
    "/changes": ChangesAnswer,
    "/proofs": ProofsAnswer,
    "/journal": JournalAnswer,
    "/jobs": JobsAnswer,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One of the two, and the name of the stack it works for."""

    client: httpx.Client
    stack: str

    def newest(self) -> str:
        return parse(BackupsAnswer, self.client.get("/backups").content, file="").backups[0].id

    def order(self, verb: str, **wanted: object) -> Job:
        answer = self.client.post("/jobs", json={"verb": verb, "who": "ada (console)", **wanted})
        assert answer.status_code == 202, answer.text
        return parse(Job, answer.content, file="")

    def follow(self, job_id: str, *, until: frozenset[JobState]) -> Job:
        with connect_sse(self.client, "GET", f"/jobs/{job_id}/events") as source:
            for event in source.iter_sse():
                found = parse(JobEvent, event.data, file="").job
                if found.state in until | ENDED:
                    return found
        raise AssertionError("the stream ended before the job did")

    def refusal(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        answer = self.client.request(method, path, json=body)
        return answer.status_code, parse(ErrorAnswer, answer.content, file="").error.code


@pytest.fixture(params=["the real agent", "its stand-in"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    if request.param == "the real agent":
        agent: AgentUnderTest = request.getfixturevalue("agent")
        yield Side(client=agent.client, stack=NAME)
        return
    with (
        served(make_fake_agent(FakeDesk())) as address,
        httpx.Client(
            base_url=address, headers={"Authorization": f"Bearer {SECRET}"}, timeout=30, trust_env=False
        ) as client,
    ):
        yield Side(client=client, stack=STACK)


def test_each_look_is_answered_with_its_record(side: Side) -> None:
    for path, kind in READS.items():
        answer = side.client.get(path)
        assert answer.status_code == 200, answer.text
        assert isinstance(parse(kind, answer.content, file=path), kind)
    assert isinstance(parse(BackupAnswer, side.client.get(f"/backups/{side.newest()}").content, file=""), BackupAnswer)
    assert side.client.get("/token-epoch").json().keys() == {"format", "epoch"}
    assert side.client.get("/health").json() == {"format": 1, "agent": "live"}
    assert side.client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_a_backup_is_pinned_let_go_and_handed_out(side: Side) -> None:
    newest = side.newest()

    for method, pinned in (("PUT", True), ("DELETE", False)):
        answer = side.client.request(method, f"/backups/{newest}/pin")
        assert parse(PinAnswer, answer.content, file="") == PinAnswer(backup_id=newest, pinned=pinned)
    out = side.client.get(f"/backups/{newest}/export")
    assert out.headers["content-type"] == "application/x-tar"
    assert len(out.content) % 512 == 0


def test_what_nobody_may_ask_for_is_refused_in_the_same_words(side: Side) -> None:
    asked = (
        ("GET", "/backups/no-such-backup", None),
        ("GET", "/bases/no-such-backup", None),
        ("GET", "/backups/..%2f..%2fetc", None),
        ("GET", "/jobs/no-such-job", None),
        ("POST", "/jobs/no-such-job/cancel", None),
        ("POST", "/jobs", {"verb": "format-the-disk", "who": "x"}),
        ("POST", "/jobs", {"verb": "backup", "who": "x", "unknown": 1}),
        ("POST", "/jobs", {"verb": "backup"}),
        ("GET", "/journal?limit=0", None),
        ("GET", "/rehearsals/no-such-rehearsal", None),
        ("GET", "/rollback-cost?data=maybe", None),
        ("GET", "/nowhere", None),
        ("PATCH", "/backups", None),
        ("POST", "/console-tokens/redeem", {"token": "not one"}),
    )

    assert [side.refusal(*one) for one in asked] == [
        (404, "unknown-backup"),
        (404, "unknown-backup"),
        (404, "unknown-address"),
        (404, "unknown-job"),
        (404, "unknown-job"),
        (422, "malformed-request"),
        (422, "malformed-request"),
        (422, "malformed-request"),
        (422, "malformed-request"),
        (404, "unknown-address"),
        (422, "malformed-request"),
        (404, "unknown-address"),
        (405, "method-not-allowed"),
        (403, "console-token-refused"),
    ]


def test_a_rescue_kit_is_a_page_and_a_text_about_this_stack(side: Side) -> None:
    kit = parse(RescueKit, side.client.post("/rescue-kits").content, file="")

    assert kit.stack == side.stack
    assert kit.page.startswith("<!DOCTYPE html>")
    assert kit.text.rstrip() in html.unescape(kit.page)


def test_nobody_is_answered_without_the_secret(side: Side) -> None:
    for path in READS:
        answer = httpx.get(str(side.client.base_url) + path, headers={"Authorization": "Bearer x"}, trust_env=False)
        assert answer.status_code == 401
        assert parse(ErrorAnswer, answer.content, file="").error.code == "agent-secret-refused"


def test_a_plan_of_a_restore_names_the_backup_and_starts_nothing(side: Side) -> None:
    before = len(parse(JobsAnswer, side.client.get("/jobs").content, file="").jobs)
    answer = side.client.post("/plans", json={"verb": "restore", "who": "ada", "backup_id": side.newest()})

    assert parse(Plan, answer.content, file="").params["backup_id"] == side.newest()
    assert len(parse(JobsAnswer, side.client.get("/jobs").content, file="").jobs) == before


@pytest.mark.parametrize(("typed", "state"), [(True, JobState.DONE), (False, JobState.DECLINED)])
def test_a_restore_asks_and_ends_as_it_was_answered(side: Side, *, typed: bool, state: JobState) -> None:
    asking = side.follow(side.order("restore").id, until=frozenset({JobState.ASKING}))
    assert asking.state is JobState.ASKING
    assert asking.question is not None
    assert asking.plan is not None
    assert asking.plan.stack == side.stack

    names = [side.stack if typed else "another"] * max(1, asking.question.confirmations)
    side.client.post(f"/jobs/{asking.id}/answer", json={"confirmed": names}).raise_for_status()

    assert side.follow(asking.id, until=ENDED).state is state
    assert side.refusal("POST", f"/jobs/{asking.id}/answer", {"confirmed": names}) == (409, "job-not-asking")
    assert side.refusal("POST", f"/jobs/{asking.id}/cancel") == (409, "job-over")
