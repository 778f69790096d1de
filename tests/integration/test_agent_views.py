"""What the agent shows of a real stack, in good times, without the database and without the archive."""

from __future__ import annotations

import io
import socket
import subprocess
import tarfile
from pathlib import Path

import pytest

from stratum.agent.alarms import AlarmKeeper
from stratum.agent.watch_files import WatchFiles
from stratum.core.errors import ExitCode, StratumError
from stratum.wiring import open_notifier, open_watched
from tests.fixtures.agents import AgentUnderTest, make_agent
from tests.fixtures.stacks import StackUnderTest, wait_until

_READS = (
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
    "/token-epoch",
)


def test_everything_that_can_be_read_is_answered(agent: AgentUnderTest) -> None:
    assert {path: agent.read(path)["format"] for path in _READS} == dict.fromkeys(_READS, 1)
    status = agent.read("/status")
    assert status["status"]["database"] == "running"
    assert status["status"]["backups"] == 1
    assert status["job"] is None
    assert agent.ask("GET", "/metrics").text.startswith("# HELP")


def test_a_rescue_kit_says_how_and_where_and_holds_no_secret(agent: AgentUnderTest) -> None:
    text = agent.ask("POST", "/rescue-kits").json()["text"]

    env = (agent.stack.directory / ".env").read_text().splitlines()
    secrets = [line.partition("=")[2] for line in env if "PASSWORD=" in line or "SECRET=" in line]
    assert secrets
    assert not any(secret in text for secret in secrets)
    assert str(agent.stack.directory / "archive") in text
    assert "pg_restore" in text


def test_the_running_job_is_named_by_the_status(agent: AgentUnderTest) -> None:
    asking = agent.run_until("restore", {"asking"})

    assert agent.read("/status")["job"] == asking["id"]
    agent.ask("POST", f"/jobs/{asking['id']}/decline")
    assert agent.follow(asking["id"])[-1]["job"]["state"] == "declined"


def test_a_backup_is_shown_pinned_and_exported_whole(agent: AgentUnderTest, tmp_path: Path) -> None:
    backup_id = agent.read("/backups")["backups"][0]["id"]

    assert agent.ask("PUT", f"/backups/{backup_id}/pin").json()["pinned"] is True
    assert agent.read(f"/backups/{backup_id}")["pinned"] is True
    assert agent.ask("DELETE", f"/backups/{backup_id}/pin").json()["pinned"] is False

    exported = agent.ask("GET", f"/backups/{backup_id}/export")
    assert exported.headers["content-type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(exported.content)) as found:
        found.extractall(tmp_path, filter="data")
    checked = subprocess.run(("sha256sum", "--check", "--quiet", "SHA256SUMS"), cwd=tmp_path / backup_id, check=False)
    assert checked.returncode == 0
    assert (tmp_path / backup_id / "RESTORE.md").read_text().startswith("# Restoring by hand")


def test_a_pin_waits_for_nobody_and_says_who_holds_the_lock(agent: AgentUnderTest) -> None:
    backup_id = agent.read("/backups")["backups"][0]["id"]
    with agent.stack.ports().lock.hold(why="a plan of the command line"):
        refused = agent.ask("PUT", f"/backups/{backup_id}/pin")

    assert (refused.status_code, refused.json()["error"]["code"]) == (423, "locked")


def test_a_backup_of_the_command_line_is_seen_at_once(agent: AgentUnderTest) -> None:
    taken = agent.stack.backup()

    assert agent.read("/backups")["backups"][0]["id"] == taken
    assert agent.read("/journal?limit=1")["entries"][0]["kind"] == "plan-ended"


def test_without_the_database_the_archive_is_still_shown_and_a_backup_says_what_is_wrong(
    agent: AgentUnderTest,
) -> None:
    agent.stack.kill()
    wait_until(lambda: bool(agent.read("/status")["status"]["database"] != "running"))

    assert {path: agent.ask("GET", path).status_code for path in _READS} == dict.fromkeys(_READS, 200)
    assert agent.read("/backups")["backups"]
    failed = agent.run("backup")
    assert (failed["state"], failed["error"]["code"]) == ("failed", "not-running")
    refused = agent.ask("POST", "/plans", {"verb": "backup", "who": "ada"})
    assert refused.json()["error"]["code"] == "not-running"


def test_without_the_archive_every_answer_says_so_and_nothing_is_left_in_its_place(agent: AgentUnderTest) -> None:
    aside = agent.stack.archive.rename(agent.stack.archive.with_name("unplugged"))
    agent.stack.archive.mkdir()
    try:
        wait_until(lambda: agent.ask("GET", "/status").status_code == 500)
        for path in ("/status", "/backups", "/timeline"):
            assert agent.ask("GET", path).json()["error"]["code"] == "archive-missing", path
        refused = agent.ask("POST", "/jobs", {"verb": "backup", "who": "ada"})
        assert refused.json()["error"]["code"] == "archive-missing"
        assert agent.read("/health")["agent"] == "live"
        assert list(agent.stack.archive.iterdir()) == []
    finally:
        agent.stack.archive.rmdir()
        aside.rename(agent.stack.archive)

    wait_until(lambda: agent.ask("GET", "/status").status_code == 200)
    assert agent.run("backup")["state"] == "done"


def test_an_agent_without_a_secret_does_not_start(stopped_stack: StackUnderTest) -> None:
    made = make_agent(stopped_stack)
    made.secret_file.write_text("short")

    ended = _run_to_its_end(made)

    assert ended.returncode == ExitCode.FAILED
    assert "agent-start-failed" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_agent_whose_port_is_taken_says_so(stopped_stack: StackUnderTest) -> None:
    made = make_agent(stopped_stack)

    with socket.create_server(("127.0.0.1", made.port)):
        ended = _run_to_its_end(made)

    assert ended.returncode == ExitCode.FAILED
    assert "agent-start-failed" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_agent_of_a_stack_is_refused_on_any_port(agent: AgentUnderTest) -> None:
    """Two receivers on one slot once lost commits that had been acknowledged."""
    ended = _run_to_its_end(make_agent(agent.stack))

    assert ended.returncode == ExitCode.REFUSED
    assert "Traceback" not in ended.stderr
    assert agent.is_live()


def _run_to_its_end(agent: AgentUnderTest) -> subprocess.CompletedProcess[str]:
    return subprocess.run(agent.argv, env=agent.environment(), capture_output=True, text=True, timeout=60, check=False)


def test_an_archive_that_went_away_raises_its_alarm_and_nothing_is_written_in_its_place(
    stopped_stack: StackUnderTest,
) -> None:
    """The one accident that the alarms' own file cannot outlive."""
    keeper = AlarmKeeper(
        ports=open_watched(stopped_stack.directory),
        files=WatchFiles(stopped_stack.archive),
        notifier=open_notifier(stopped_stack.directory),
    )
    aside = stopped_stack.archive.rename(stopped_stack.archive.with_name("unplugged"))
    stopped_stack.archive.mkdir()

    keeper.observe(next_backup_at=None)
    with pytest.raises(StratumError) as refused:
        keeper.save()

    assert refused.value.code == "archive-missing"
    assert "archive" in {alarm.condition.name for alarm in keeper.book.red}
    assert list(stopped_stack.archive.iterdir()) == []
    stopped_stack.archive.rmdir()
    aside.rename(stopped_stack.archive)
