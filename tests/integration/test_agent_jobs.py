"""The agent on a real stack: jobs are run, followed, answered, taken back, and survive its own death."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stratum.adapters.clock import SystemClock
from stratum.agent.job_book import JobBook
from stratum.agent.job_records import JobRecords
from stratum.agent.reports import ANSWER_WITHIN
from stratum.agent.runner import Runner
from stratum.core.job import Job, JobRequest, JobState, JobVerb
from tests.fixtures.agents import AgentUnderTest
from tests.fixtures.stacks import NAME, StackUnderTest, wait_until


def test_a_backup_is_followed_to_its_end_and_then_listed_drilled_and_in_the_records(agent: AgentUnderTest) -> None:
    events = agent.follow(agent.submit("backup")["id"])

    assert [event["number"] for event in events] == sorted({event["number"] for event in events})
    job = events[-1]["job"]
    assert (job["state"], job["error"]) == ("done", None)
    assert job["plan"]["verb"] == "backup"
    assert job["steps_done"] == [step["name"] for step in job["plan"]["steps"]]
    newest = agent.read("/backups")["backups"][0]
    assert newest["id"] == job["facts"]["backup_id"]
    assert newest["verdict"] is None

    drilled = agent.run("drill")

    assert (drilled["state"], drilled["verdict"]) == ("done", "proven")
    assert agent.read("/backups")["backups"][0]["verdict"] == "proven"
    assert agent.read("/proofs?limit=1")["proofs"][0]["id"] == drilled["facts"]["proof_id"]
    assert [known["id"] for known in agent.read("/jobs")["jobs"]] == [drilled["id"], job["id"]]
    assert {"backup", "drill"} <= {moment["kind"] for moment in agent.read("/timeline")["moments"]}
    entries = agent.read("/journal?limit=3")["entries"]
    assert entries[0]["at"] >= entries[-1]["at"]
    assert entries[0]["who"] == "ada (console)"


def test_a_verification_reads_the_backup_and_says_its_verdict(agent: AgentUnderTest) -> None:
    job = agent.run("verify")

    assert (job["state"], job["verdict"]) == ("done", "proven")
    assert agent.read("/proofs?limit=1")["proofs"][0]["method"] == "verify"


def test_a_restore_changes_nothing_live_until_its_question_is_answered_and_can_be_undone(
    agent: AgentUnderTest,
) -> None:
    stack = agent.stack
    before = _orders(stack)
    stack.execute("DELETE FROM orders")

    asking = agent.run_until("restore", {"asking"})

    assert _orders(stack) == 0
    assert asking["question"]["confirmations"] == 1
    assert any("orders" in line for line in asking["question"]["lines"]), asking["question"]
    answered = agent.ask("POST", f"/jobs/{asking['id']}/answer", {"confirmed": [NAME]})
    assert answered.json()["state"] == "running"
    assert agent.follow(asking["id"])[-1]["job"]["state"] == "done"
    assert _orders(stack) == before

    undoing = agent.run_until("undo-restore", {"asking"})
    agent.ask("POST", f"/jobs/{undoing['id']}/answer", {"confirmed": [NAME]})

    assert agent.follow(undoing["id"])[-1]["job"]["state"] == "done"
    assert _orders(stack) == 0


@pytest.mark.parametrize("confirmed", [["another"], []], ids=["a wrong name", "no name"])
def test_a_job_that_is_answered_with_anything_but_the_stacks_name_is_declined(
    agent: AgentUnderTest, confirmed: list[str]
) -> None:
    databases = agent.stack.databases()
    asking = agent.run_until("restore", {"asking"})

    agent.ask("POST", f"/jobs/{asking['id']}/answer", {"confirmed": confirmed})

    ended = agent.follow(asking["id"])[-1]["job"]
    assert (ended["state"], ended["error"]["code"]) == ("declined", "declined")
    assert agent.stack.databases() == databases
    again = agent.ask("POST", f"/jobs/{asking['id']}/answer", {"confirmed": [NAME]})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "job-not-asking")


def test_a_job_that_is_cancelled_is_taken_back(agent: AgentUnderTest) -> None:
    databases = agent.stack.databases()
    asking = agent.run_until("restore", {"asking"})

    agent.ask("POST", f"/jobs/{asking['id']}/cancel")

    ended = agent.follow(asking["id"])[-1]["job"]
    assert (ended["state"], ended["error"]["code"]) == ("declined", "interrupted")
    assert agent.stack.databases() == databases
    assert agent.ask("POST", f"/jobs/{asking['id']}/cancel").json()["error"]["code"] == "job-over"


def test_a_job_waits_for_a_plan_of_the_command_line_and_says_who_holds_the_lock(agent: AgentUnderTest) -> None:
    ports = agent.stack.ports()
    with ports.lock.hold(why="a plan of the command line"):
        waiting = agent.submit("backup")
        wait_until(lambda: bool(agent.read(f"/jobs/{waiting['id']}")["said"]))
        told = agent.read(f"/jobs/{waiting['id']}")
        assert told["state"] == "queued"
        assert "a plan of the command line" in told["said"][0]

    assert agent.follow(waiting["id"])[-1]["job"]["state"] == "done"


def test_jobs_run_one_after_the_other_and_one_that_waits_can_be_cancelled(agent: AgentUnderTest) -> None:
    with agent.stack.ports().lock.hold(why="a plan of the command line"):
        first, second, third = (agent.submit("backup") for _ in range(3))
        cancelled = agent.ask("POST", f"/jobs/{second['id']}/cancel").json()
        assert cancelled["state"] == "declined"

    assert agent.follow(third["id"])[-1]["job"]["state"] == "done"
    ends = [agent.read(f"/jobs/{job['id']}") for job in (first, second, third)]
    assert [job["state"] for job in ends] == ["done", "declined", "done"]
    assert ends[0]["ended_at"] <= ends[2]["started_at"]


def test_a_job_that_fails_says_why_and_what_it_means_in_the_readers_language(agent: AgentUnderTest) -> None:
    job = agent.run("drill", backup_id="nosuch")

    assert (job["state"], job["error"]["code"]) == ("failed", "unknown-backup")
    french = agent.ask("GET", f"/jobs/{job['id']}", **{"Accept-Language": "fr"}).json()
    assert french["error"]["message"] == "l'archive ne contient aucune sauvegarde nommée nosuch"


def test_more_jobs_than_may_wait_are_refused(agent: AgentUnderTest) -> None:
    with agent.stack.ports().lock.hold(why="a plan of the command line"):
        answers = [agent.ask("POST", "/jobs", {"verb": "backup", "who": "ada"}) for _ in range(52)]
        waiting = [answer.json()["id"] for answer in answers if answer.status_code == 202]
        for job_id in reversed(waiting):
            agent.ask("POST", f"/jobs/{job_id}/cancel")

    assert (answers[-1].status_code, answers[-1].json()["error"]["code"]) == (429, "too-many-jobs")
    assert len(waiting) in {50, 51}


def test_an_agent_killed_while_a_restore_asks_takes_it_back_at_its_next_start(agent: AgentUnderTest) -> None:
    databases = agent.stack.databases()
    asking = agent.run_until("restore", {"asking"})
    waiting = agent.submit("backup")

    agent.kill()
    agent.start()

    settled = agent.follow(asking["id"])[-1]["job"]
    assert settled["state"] == "taken-back-after-restart"
    assert agent.stack.databases() == databases
    assert agent.follow(waiting["id"])[-1]["job"]["state"] == "done"


def test_a_question_lets_go_of_the_stack_when_the_database_goes_down(agent: AgentUnderTest) -> None:
    databases = agent.stack.databases()
    asking = agent.run_until("restore", {"asking"})

    agent.stack.kill()

    ended = agent.follow(asking["id"])[-1]["job"]
    assert (ended["state"], ended["error"]["code"]) == ("failed", "plan-stranded")
    assert agent.stack.cli("up").returncode == 0
    assert agent.stack.databases() == databases


def test_an_agent_killed_in_the_middle_of_a_backup_settles_it_at_its_next_start(agent: AgentUnderTest) -> None:
    agent.stack.execute(
        "CREATE TABLE wide AS SELECT n, repeat(md5(n::text), 20) AS text FROM generate_series(1, 200000) AS n"
    )
    backup = agent.run_until("backup", {"running"})

    agent.kill()
    agent.start()

    assert agent.follow(backup["id"])[-1]["job"]["state"] in {"taken-back-after-restart", "finished-after-restart"}
    assert agent.run("backup")["state"] == "done"


def test_a_job_whose_process_is_killed_is_settled_while_the_agent_goes_on(agent: AgentUnderTest) -> None:
    databases = agent.stack.databases()
    asking = agent.run_until("restore", {"asking"})

    _kill_the_job_process(agent)

    assert agent.follow(asking["id"])[-1]["job"]["state"] == "taken-back-after-restart"
    assert agent.stack.databases() == databases


def test_an_agent_that_is_stopped_takes_back_what_runs_and_keeps_what_waits(agent: AgentUnderTest) -> None:
    databases = agent.stack.databases()
    asking = agent.run_until("restore", {"asking"})
    waiting = agent.submit("backup")

    assert agent.stop() == 0

    assert agent.stack.databases() == databases
    agent.start()
    stopped = agent.read(f"/jobs/{asking['id']}")
    assert (stopped["state"], stopped["error"]["code"]) == ("failed", "interrupted")
    assert agent.follow(waiting["id"])[-1]["job"]["state"] == "done"


def test_the_records_of_jobs_belong_to_the_archive(agent: AgentUnderTest) -> None:
    agent.run("backup")

    assert agent.stack.ports().archive.foreign() == ()
    assert [path.suffix for path in (agent.stack.archive / "jobs").iterdir()] == [".jsonl"]


def test_a_plan_is_shown_without_anything_being_done(agent: AgentUnderTest) -> None:
    databases = agent.stack.databases()

    plan: dict[str, Any] = agent.ask("POST", "/plans", {"verb": "restore", "who": "ada (console)"}).json()

    assert plan["verb"] == "restore"
    assert any(step["asks"] for step in plan["steps"])
    assert agent.stack.databases() == databases
    assert agent.read("/jobs")["jobs"] == []


def _orders(stack: StackUnderTest) -> object:
    return stack.scalar("SELECT count(*) FROM orders")


def _kill_the_job_process(agent: AgentUnderTest) -> None:
    assert agent.process is not None
    threads = Path(f"/proc/{agent.process.pid}/task").glob("*/children")
    children = [int(pid) for thread in threads for pid in thread.read_text().split()]
    assert len(children) == 1
    os.kill(children[0], signal.SIGKILL)


def test_a_question_that_nobody_answers_in_time_is_declined(stack: StackUnderTest) -> None:
    clock, ports, ended = _LateClock(), stack.ports(), list[Job]()
    book = JobBook(JobRecords(stack.archive), clock)
    runner = Runner(
        directory=stack.directory,
        book=book,
        journal=ports.journal,
        clock=clock,
        ended=ended.append,
        serves=lambda: True,
    )
    databases = stack.databases()
    runner.start()
    try:
        asking = runner.submit(JobRequest(verb=JobVerb.RESTORE, who="ada (console)"))
        wait_until(lambda: book.job(asking.id).state is JobState.ASKING)

        clock.late = ANSWER_WITHIN

        wait_until(lambda: bool(ended))
    finally:
        runner.stop()

    assert (ended[0].id, ended[0].state) == (asking.id, JobState.DECLINED)
    assert stack.databases() == databases


@dataclass(kw_only=True, slots=True)
class _LateClock:
    """The system's clock, set forward as a test says."""

    late: timedelta = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self.late

    def monotonic(self) -> float:
        return SystemClock().monotonic()
