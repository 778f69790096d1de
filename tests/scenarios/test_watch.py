"""The watch on a real stack: the canary, the older copy it unmasks, alarms that reach somebody, and the page."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser

import pytest

from stratum.adapters.clock import SystemClock
from stratum.adapters.messages import speak_error, speaking
from stratum.agent import canary as canary_module
from stratum.agent.alarms import AlarmKeeper
from stratum.agent.schedule import Scheduler
from stratum.agent.status_page import StatusFile, render_status_page
from stratum.agent.watch import Watch
from stratum.agent.watch_files import WatchFiles
from stratum.core.backup import BackupKind
from stratum.core.errors import ExitCode, StratumError
from stratum.core.job import Job, JobRequest, JobState, JobVerb
from stratum.core.receiving import ProtectMode
from stratum.core.stack import BackupPolicy, DrillPolicy, ProtectPolicy
from stratum.engine.accept_identity import accept_identity
from stratum.engine.report_status import report_status
from stratum.ports import Ports
from stratum.wiring import open_canary, open_notifier, open_watched
from tests.fakes.settable_clock import SettableClock
from tests.fixtures.receivers import Receiver, a_receiver
from tests.fixtures.stacks import StackUnderTest, wait_until


@contextmanager
def _watching(stack: StackUnderTest, asked: list[JobRequest]) -> Iterator[Watch]:
    watch = Watch(directory=stack.directory, submit=lambda request: _taken(request, asked))
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def _taken(request: JobRequest, asked: list[JobRequest]) -> Job:
    asked.append(request)
    return Job(id="j1", request=request, state=JobState.QUEUED, queued_at=_now())


def _now() -> datetime:
    return SystemClock().now()


def _canary(stack: StackUnderTest) -> canary_module.Canary:
    ports = stack.ports()
    return canary_module.Canary(open_canary(stack.directory), ports.archive, ports.clock)


def test_an_older_copy_is_recognised_although_no_backup_was_taken_since(stack: StackUnderTest) -> None:
    stack.stop()
    shutil.copytree(stack.data, stack.directory / "copy")
    recorded = stack.ports().archive.recorded_identity()
    stack.ports().runtime.start()
    stack.execute("CREATE TABLE newer AS SELECT generate_series(1, 10000) AS id")
    canary = _canary(stack)
    canary.beat()
    canary.close()
    stack.kill()
    assert stack.ports().archive.recorded_identity() == recorded, "nothing but seen.json can tell"
    shutil.rmtree(stack.data)
    subprocess.run(("cp", "-a", str(stack.directory / "copy"), str(stack.data)), check=True)
    _own_like(stack)

    with pytest.raises(StratumError) as refused:
        stack.up()

    assert refused.value.code == "cluster-older"


def _own_like(stack: StackUnderTest) -> None:
    """Copied as root, the files are root's: they go to whoever owns the directory around them."""
    owner = stack.data.parent.stat()
    subprocess.run(("chown", "-R", f"{owner.st_uid}:{owner.st_gid}", str(stack.data)), check=True)


def test_whoever_accepts_the_older_copy_is_not_refused_again(stack: StackUnderTest) -> None:
    ports = stack.ports()
    recorded = ports.archive.recorded_identity()
    assert recorded is not None
    canary = _canary(stack)
    canary.beat()
    canary.close()
    seen = ports.archive.seen()
    assert seen is not None
    ports.archive.record_seen(replace(seen, flushed_lsn=seen.flushed_lsn + (1 << 40)))
    with pytest.raises(StratumError):
        stack.backup()

    accept_identity(stack.ports())

    assert stack.backup()


def test_what_was_seen_of_another_cluster_or_timeline_does_not_count(stack: StackUnderTest) -> None:
    canary = _canary(stack)
    canary.beat()
    canary.close()
    archive = stack.ports().archive
    seen = archive.seen()
    assert seen is not None
    for other in (
        replace(seen, system_identifier="7", flushed_lsn=1 << 60),
        replace(seen, timeline=seen.timeline + 1, flushed_lsn=1 << 60),
    ):
        archive.record_seen(other)
        assert stack.backup()


def test_the_canary_stands_in_no_guarded_database_and_its_role_may_do_nothing_else(stack: StackUnderTest) -> None:
    canary = _canary(stack)
    canary.beat()
    canary.beat()
    canary.close()

    assert stack.scalar("SELECT beat FROM stratum.canary", database="postgres") == 2
    assert stack.scalar("SELECT count(*) FROM pg_namespace WHERE nspname = 'stratum'") == 0
    role = "SELECT has_table_privilege('stratum_backup', 'stratum.canary', {}), rolsuper FROM pg_roles"
    for right, allowed in (("'UPDATE'", True), ("'INSERT'", False), ("'DELETE'", False), ("'TRUNCATE'", False)):
        query = f"{role.format(right)} WHERE rolname = 'stratum_backup'"
        assert stack.rows(query, database="postgres") == [(allowed, False)]


def test_the_canary_comes_back_after_the_server_was_away(stack: StackUnderTest) -> None:
    with _watching(stack, []) as watch:
        wait_until(lambda: watch.state().canary_at is not None)
        stack.kill()
        before = watch.state().canary_at
        stack.up()
        wait_until(lambda: watch.state().canary_at != before)


def test_the_page_can_be_read_without_anything_else(stack: StackUnderTest) -> None:
    with _watching(stack, []) as watch:
        wait_until(lambda: json.loads(_text(stack, "status.json")).get("looked_at") is not None)
        metrics = watch.metrics_text().decode()
    page = _text(stack, "status.html")
    found = json.loads(_text(stack, "status.json"))

    assert _Loads.of(page) == []
    assert found["status"]["protection"]["sentence"].split(".")[0] in page
    assert {alarm["name"] for alarm in found["alarms"]} >= {"backup-proven", "notifications"}
    assert all(f"<strong>{alarm['name']}</strong>" in page for alarm in found["alarms"])
    assert 'stratum_alarm{name="notifications"} 1.0' in metrics
    assert stack.ports().archive.foreign() == ()


def _text(stack: StackUnderTest, name: str) -> str:
    file = stack.archive / name
    return file.read_text(encoding="utf-8") if file.exists() else "{}"


class _Loads(HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "iframe", "img"} or any(name in {"src", "href"} for name, _ in attrs):
            self.found.append(tag)

    @classmethod
    def of(cls, page: str) -> list[str]:
        parser = cls()
        parser.feed(page)
        return parser.found


def test_an_alarm_and_its_end_reach_somebody_once_and_a_restart_repeats_nothing(stack: StackUnderTest) -> None:
    with a_receiver() as receiver:
        _tell_to(stack, receiver)
        first = _keeper(stack)
        first.observe(next_backup_at=None)
        first.tell()
        told = len(receiver.messages)
        restarted = _keeper(stack)
        restarted.observe(next_backup_at=None)
        restarted.tell()
        assert len(receiver.messages) == told

        stack.drill()
        restarted.observe(next_backup_at=None)
        restarted.tell()

    titles = [message["title"] for message in receiver.messages]
    assert "led: alarm: backup-proven" in titles
    assert titles[told:] == ["led: recovered: backup-proven"]
    assert "\ndata: " in receiver.messages[0]["message"]
    assert "\nnext: " in receiver.messages[0]["message"]


def test_an_archive_that_is_gone_is_told_of_although_nothing_can_be_noted_in_it(stack: StackUnderTest) -> None:
    with a_receiver() as receiver:
        _tell_to(stack, receiver)
        keeper = _keeper(stack)
        away = stack.archive.rename(stack.archive.with_name("away"))
        keeper.observe(next_backup_at=None)
        keeper.tell()
        with pytest.raises(StratumError) as refused:
            keeper.save()
        away.rename(stack.archive)
        keeper.save()

    assert "led: alarm: archive" in [message["title"] for message in receiver.messages]
    assert refused.value.code == "archive-missing"
    assert _keeper(stack).book == keeper.book, "and it is noted once the archive is back"


def test_a_failed_backup_is_red_until_one_succeeds_and_then_the_heartbeat_beats(stack: StackUnderTest) -> None:
    with a_receiver() as receiver:
        _tell_to(stack, receiver)
        keeper = _keeper(stack)
        failed = _ended(JobVerb.BACKUP, StratumError("not-running", detail="stopped"))
        keeper.job_ended(failed)
        keeper.tell()
        assert [alarm.condition.name for alarm in keeper.book.red] == ["backup-failed"]

        keeper.job_ended(replace(_ended(JobVerb.BACKUP, None), state=JobState.TAKEN_BACK_AFTER_RESTART))
        keeper.tell()
        assert [alarm.condition.name for alarm in keeper.book.red] == ["backup-failed"]

        keeper.job_ended(replace(_ended(JobVerb.BACKUP, None), state=JobState.FINISHED_AFTER_RESTART))
        keeper.tell()

    assert keeper.book.red == ()
    assert [m["title"] for m in receiver.messages] == ["led: alarm: backup-failed", "led: recovered: backup-failed"]
    assert receiver.paths.count("/heartbeat") == 1


def _ended(verb: JobVerb, error: StratumError | None) -> Job:
    now = _now()
    return Job(
        id="j",
        request=JobRequest(verb=verb, who="schedule"),
        state=JobState.FAILED if error else JobState.DONE,
        queued_at=now,
        started_at=now,
        ended_at=now,
        error=speak_error(error) if error else None,
    )


def _tell_to(stack: StackUnderTest, receiver: Receiver) -> None:
    file = stack.directory / "stratum.toml"
    text = file.read_text(encoding="utf-8")
    address = f"127.0.0.1:{receiver.port}"
    text = text.replace("\nurls = []", f'\nurls = ["json://{address}"]')
    text = text.replace('\nheartbeat_url = ""', f'\nheartbeat_url = "http://{address}/heartbeat"')
    file.write_text(text, encoding="utf-8")


def _keeper(stack: StackUnderTest) -> AlarmKeeper:
    return AlarmKeeper(
        ports=open_watched(stack.directory),
        files=WatchFiles(stack.archive),
        notifier=open_notifier(stack.directory),
    )


def _scheduler(stack: StackUnderTest, clock: SettableClock, asked: list[JobRequest]) -> Scheduler:
    ports: Ports = stack.ports()
    policy = replace(
        ports.stack,
        backup=BackupPolicy(schedule="0 1 * * *", timezone="Europe/Paris"),
        drill=DrillPolicy(schedule=""),
    )
    ports = replace(ports, stack=policy, clock=clock)
    return Scheduler(ports=ports, files=WatchFiles(stack.archive), submit=lambda request: _taken(request, asked))


def test_missed_backups_are_caught_up_once_whatever_becomes_of_them(stopped_stack: StackUnderTest) -> None:
    taken = stopped_stack.ports().archive.manifests()[-1].taken_at
    clock, asked = SettableClock(taken + timedelta(days=5)), list[JobRequest]()

    for _ in range(3):
        _scheduler(stopped_stack, clock, asked).ask_for_due()
    assert [request.verb for request in asked] == [JobVerb.BACKUP]

    later = SettableClock(taken + timedelta(days=6, minutes=1))
    _scheduler(stopped_stack, later, asked).ask_for_due()
    assert len(asked) == 2


def test_base_backups_come_by_their_own_schedule_and_never_where_dumps_are_enough(
    stopped_stack: StackUnderTest,
) -> None:
    taken = stopped_stack.ports().archive.manifests()[-1].taken_at
    asked: list[JobRequest] = []
    daily = ProtectPolicy(mode=ProtectMode.STREAMING, schedule="30 2 * * *")

    def look(protect: ProtectPolicy, *, days: int) -> None:
        scheduler = _scheduler(stopped_stack, SettableClock(taken + timedelta(days=days)), asked)
        ports = replace(scheduler.ports, stack=replace(scheduler.ports.stack, protect=protect, backup=BackupPolicy()))
        replace(scheduler, ports=ports).ask_for_due()

    look(replace(daily, mode=ProtectMode.DUMPS), days=1)
    look(replace(daily, mode=ProtectMode.DUMPS), days=3)
    assert asked == []
    for days in (4, 5, 5):
        look(daily, days=days)
    assert [(request.verb, request.kind) for request in asked] == [(JobVerb.BACKUP, BackupKind.BASE)]


def test_retention_follows_a_scheduled_backup_and_no_other(stopped_stack: StackUnderTest) -> None:
    asked: list[JobRequest] = []
    scheduler = _scheduler(stopped_stack, SettableClock(_now()), asked)
    by_hand = _ended(JobVerb.BACKUP, None)

    scheduler.after(replace(by_hand, request=replace(by_hand.request, who="ada (console)")))
    scheduler.after(_ended(JobVerb.BACKUP, StratumError("not-running", detail="")))
    assert asked == []

    scheduler.after(by_hand)
    assert [request.verb for request in asked] == [JobVerb.PRUNE]

    scheduler.after(replace(by_hand, state=JobState.FINISHED_AFTER_RESTART))
    assert [request.verb for request in asked] == [JobVerb.PRUNE, JobVerb.PRUNE]


def test_notify_says_for_each_address_whether_it_was_told(stopped_stack: StackUnderTest) -> None:
    assert stopped_stack.cli("notify", "--test").returncode == ExitCode.USAGE
    with a_receiver() as receiver:
        _tell_to(stopped_stack, receiver)
        assert stopped_stack.cli("notify", "--test").stdout == "delivered: address 1 (json)\n"
        receiver.answer = 500
        refused = stopped_stack.cli("notify", "--test", "--json")

    assert refused.returncode == ExitCode.FAILED
    assert json.loads(refused.stdout)["all_delivered"] is False


def test_the_page_is_french_for_a_french_agent(stack: StackUnderTest) -> None:
    ports = stack.ports()
    found = StatusFile(
        written_at=ports.clock.now(),
        status=report_status(ports),
        canary_at=None,
        next_backup_at=None,
        next_drill_at=None,
        looked_at=None,
        alarms=(),
    )
    with speaking(("fr",)):
        page = render_status_page(found)

    assert '<html lang="fr">' in page
    assert "Si ce disque mourait maintenant" in page
