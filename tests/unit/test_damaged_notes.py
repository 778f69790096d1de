"""Damaged notes of the agent keep nothing from starting; what a newer Stratum wrote is still refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratum.adapters.archive import DirectoryArchive
from stratum.agent.job_records import JobRecords
from stratum.agent.watch_files import WatchFiles
from stratum.core.alarm import AlarmBook
from stratum.core.errors import StratumError
from stratum.core.job import Job, JobRequest, JobState, JobVerb
from tests.fixtures.manifests import NOW

_DAMAGED = ["", "\0\0\0", "{", '{"format": 1}', "[]"]


def _archive(tmp_path: Path) -> DirectoryArchive:
    found = DirectoryArchive(tmp_path / "archive", stack="led", data_directory=lambda: tmp_path, declared_domain=None)
    found.initialise("led")
    return found


@pytest.mark.parametrize("text", _DAMAGED)
def test_a_damaged_note_of_how_far_the_cluster_came_counts_as_none(tmp_path: Path, text: str) -> None:
    archive = _archive(tmp_path)
    (tmp_path / "archive" / "seen.json").write_text(text)

    assert archive.seen() is None


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_damaged_alarms_are_begun_anew_and_said(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "alarms.json").write_text(text)

    assert WatchFiles(tmp_path).read("alarms", AlarmBook()) == AlarmBook()
    assert "watch/alarms.json" in caplog.text


def test_a_line_that_is_no_job_is_passed_over_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "archive.json").write_text("{}")
    records = JobRecords(tmp_path)
    request = JobRequest(verb=JobVerb.BACKUP, who="t")
    records.append(Job(id="j1", request=request, state=JobState.DONE, queued_at=NOW))
    with (tmp_path / "jobs" / f"{NOW:%Y-%m}.jsonl").open("a") as file:
        file.write('{"format":1,"id":"x"}\n')
    records.append(Job(id="j2", request=request, state=JobState.DONE, queued_at=NOW))

    assert [job.id for job in records.read(newest=10)] == ["j1", "j2"]
    assert "jobs in the archive" in caplog.text


def test_what_a_newer_stratum_wrote_is_not_taken_for_damaged(tmp_path: Path) -> None:
    archive = _archive(tmp_path)
    newer = '{"format": 99}'
    (tmp_path / "archive" / "seen.json").write_text(newer)
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "alarms.json").write_text(newer)

    with pytest.raises(StratumError) as seen:
        archive.seen()
    with pytest.raises(StratumError) as alarms:
        WatchFiles(tmp_path).read("alarms", AlarmBook())

    assert {seen.value.code, alarms.value.code} == {"archive-too-new"}
