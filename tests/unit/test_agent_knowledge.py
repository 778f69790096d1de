"""What the agent remembers, writes down and shows: nothing stale, nothing torn, nothing secret."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from stratum.adapters.export_tar import stream_backup
from stratum.agent.job_book import KEPT, JobBook
from stratum.agent.job_records import JobRecords
from stratum.agent.remembering import Remembered, look_at
from stratum.agent.settings_shown import show_settings
from stratum.config import load_settings
from stratum.core.errors import StratumError
from stratum.core.job import Job, JobRequest, JobState, JobVerb
from stratum.core.stack import Secret
from stratum.wiring import init_stack
from tests.fakes.console_records import manifest
from tests.fakes.settable_clock import SettableClock

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "archive.json").write_text("{}")
    return tmp_path


def _job(number: int = 1, state: JobState = JobState.QUEUED) -> Job:
    request = JobRequest(verb=JobVerb.BACKUP, who="ada (console)")
    return Job(id=f"j{number}", request=request, state=state, queued_at=NOW + timedelta(seconds=number))


def test_what_was_read_is_read_again_once_a_file_changed_came_or_went(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("1")
    reads: list[int] = []
    remembered = Remembered(lambda: reads.append(1), lambda: look_at(tmp_path, "*.jsonl"))
    came = tmp_path / "b.jsonl"
    for change in (None, partial((tmp_path / "a.jsonl").write_text, "22"), came.touch, came.unlink):
        if change is not None:
            change()
        remembered()
        remembered()

    assert len(reads) == 4


def test_an_archive_that_is_gone_is_asked_each_time(tmp_path: Path) -> None:
    def read() -> None:
        raise StratumError("archive-missing", path=tmp_path)

    remembered = Remembered(read, lambda: look_at(tmp_path / "gone", "*"))
    for _ in range(2):
        with pytest.raises(StratumError, match="archive"):
            remembered()


def test_the_last_line_of_a_job_counts_and_a_torn_one_does_not(archive: Path) -> None:
    records = JobRecords(archive)
    records.append(_job())
    records.append(replace(_job(), state=JobState.DONE))
    file = next((archive / "jobs").iterdir())
    with file.open("a") as stream:
        stream.write('{"format": 1, "id": "j1", "sta')

    assert records.read(newest=10) == (replace(_job(), state=JobState.DONE),)
    records.append(_job(2))
    assert [job.id for job in records.read(newest=10)] == ["j1", "j2"]


def test_no_record_is_left_where_the_archives_disk_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StratumError) as refused:
        JobRecords(tmp_path).append(_job())

    assert refused.value.code == "archive-missing"
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_cannot_be_written_down_is_not_begun_and_one_that_runs_goes_on(archive: Path) -> None:
    book = JobBook(JobRecords(archive), SettableClock(NOW))
    book.add(_job())
    (archive / "archive.json").unlink()

    with pytest.raises(StratumError):
        book.add(_job(2))
    changed = book.change("j1", lambda job: replace(job, state=JobState.RUNNING))

    assert changed.state is JobState.RUNNING
    assert [job.id for job in book.newest(10)] == ["j1"]


def test_whoever_listens_is_woken_by_a_change_and_by_nothing_else(archive: Path) -> None:
    book = JobBook(JobRecords(archive), SettableClock(NOW))
    book.add(_job())
    woken: list[int] = []
    with book.hear_of("j1", lambda: woken.append(book.event("j1").number)):
        book.change("j1", lambda job: job)
        book.change("j1", lambda job: replace(job, state=JobState.RUNNING))
    book.change("j1", lambda job: replace(job, state=JobState.DONE))

    assert woken == [2]


def test_only_the_newest_ended_jobs_are_held_in_memory(archive: Path) -> None:
    book = JobBook(JobRecords(archive), SettableClock(NOW))
    for number in range(KEPT + 5):
        book.add(_job(number, JobState.DONE))

    assert len(book.newest(10_000)) == KEPT
    assert book.newest(1)[0].id == f"j{KEPT + 4}"


def test_the_settings_are_shown_without_the_addresses_that_may_hold_a_token(tmp_path: Path) -> None:
    init_stack(tmp_path, name="shop", archive="archive", console=False)
    settings = load_settings(tmp_path)
    notify = replace(settings.notify, urls=("slack://secret-token", "$ALERTS"), heartbeat_url="https://ping/secret")

    shown = {one.name: one.value for one in show_settings(replace(settings, notify=notify)).settings}

    assert shown["[notify] urls"] == '["slack://…", "$ALERTS"]'
    assert shown["[notify] heartbeat_url"] == '"https://…"'
    assert shown["[restore] undo_window"] == '"3d"'
    assert shown["[stack] name"] == '"shop"'
    assert "secret" not in str(shown)
    assert not any(value and value in str(shown) for name, value in settings.environment.items() if "PASSWORD" in name)


@dataclass(frozen=True, kw_only=True)
class _Copy:
    name: str
    url: str
    key: Secret


def test_a_table_of_settings_is_shown_without_a_password_in_an_address(tmp_path: Path) -> None:
    init_stack(tmp_path, name="shop", archive="archive", console=False)
    settings = load_settings(tmp_path)
    copies = (_Copy(name="far", url="s3://me:hush@host/bucket?key=hush", key=Secret("hush")),)
    odd = replace(settings, check=replace(settings.check, accept=copies))  # type: ignore[arg-type]  # any table will do
    shown = {one.name: one.value for one in show_settings(odd).settings}

    assert shown["[check] accept"] == '[{ name = "far", url = "s3://host/bucket", key = "…" }]'


def test_an_export_unpacks_to_the_backup_with_its_instructions(tmp_path: Path) -> None:
    taken = manifest(days_ago=1, number=7)
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "toc.dat").write_bytes(b"x" * 700_001)
    (tmp_path / "manifest.json").write_bytes(b"")

    with tarfile.open(fileobj=io.BytesIO(b"".join(stream_backup(tmp_path, taken)))) as found:
        files = {entry.name: entry.size for entry in found}

    assert files == {
        f"{taken.id}/RESTORE.md": files[f"{taken.id}/RESTORE.md"],
        f"{taken.id}/db/toc.dat": 700_001,
        f"{taken.id}/manifest.json": 0,
    }
    assert files[f"{taken.id}/RESTORE.md"] > 0
