"""The buttons of the data pages: they start what was shown, and a question is answered only as it should be."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import httpx

from stratum.adapters.messages import speak_error, speaking
from stratum.core.answers import SpokenError
from stratum.core.errors import StratumError
from stratum.core.job import JobState, JobVerb
from stratum.frontend.speech import respeak
from tests.fakes.console_answers import calm_world
from tests.fakes.console_records import NOW, STACK, job
from tests.fakes.fake_backend import PASSWORD, FakeBackend
from tests.fixtures.console_visits import plain, press, read, visit, words


def test_an_operator_is_offered_a_backup_a_drill_and_a_restore_on_the_first_page() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        page = (await client.get("/")).text
        assert {'action="/backups"', 'action="/drill"', 'href="/restore"'} <= set(re.findall(r'\w+="/\w+"', page))

    visit(FakeBackend(calm_world()), scenario, name="otto")


def test_each_button_of_a_backup_does_what_it_says() -> None:
    fake = FakeBackend(calm_world())
    newest = fake.world.manifests[-1].id

    async def scenario(client: httpx.AsyncClient) -> None:
        for verb in ("verify", "drill"):
            answer = await press(client, f"/backups/{newest}/{verb}")
            assert answer.headers["location"] == f"/jobs/job-{verb}-running"
        assert (await press(client, "/drill")).headers["location"] == "/jobs/job-drill-running"
        assert (await press(client, "/backups")).headers["location"] == "/jobs/job-backup-running"
        await press(client, f"/backups/{newest}/pin")
        assert newest in fake.world.pinned
        await press(client, f"/backups/{newest}/unpin")
        assert newest not in fake.world.pinned
        exported = await client.get(f"/backups/{newest}/export")
        assert exported.content == b"tar"
        assert f'filename="{newest}.tar"' in exported.headers["content-disposition"]

    visit(fake, scenario)


def test_the_restore_that_is_started_is_the_one_that_was_shown() -> None:
    """A backup taken between the two does not change what is brought back."""
    fake = FakeBackend(calm_world())
    shown_id = fake.world.backups().backups[0].id

    async def scenario(client: httpx.AsyncClient) -> None:
        page = (await client.get("/restore/plan?target=newest&where=place&into=ignored")).text
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.split('action="/restore"')[1]))
        assert (await client.post("/restore", data=fields)).headers["location"] == "/jobs/job-restore-asking"
        assert fake.bodies[-1] == {"backup_id": shown_id}

    visit(fake, scenario)


def test_a_restore_beside_carries_its_new_name_to_the_end() -> None:
    fake = FakeBackend(calm_world())
    older = fake.world.manifests[3].id

    async def scenario(client: httpx.AsyncClient) -> None:
        page = (await client.get(f"/restore/plan?target=backup&backup={older}&where=into&into=copy")).text
        assert fake.bodies[-1] == {"backup_id": older, "into": "copy"}
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.split('action="/restore"')[1]))
        await client.post("/restore", data=fields)
        assert fake.bodies[-1] == {"backup_id": older, "into": "copy"}

    visit(fake, scenario)


def test_a_time_is_passed_on_as_utc_and_one_that_is_none_is_asked_for_again() -> None:
    fake = FakeBackend(calm_world())
    wanted = NOW - timedelta(days=2)

    async def scenario(client: httpx.AsyncClient) -> None:
        await client.get("/restore/plan", params={"target": "time", "at": f"{wanted:%Y-%m-%d %H:%M:%S}"})
        assert fake.bodies[-1] == {"at": wanted.isoformat()}
        unread = await client.get("/restore/plan?target=time&at=yesterday-ish")
        assert unread.status_code == 400
        assert "“yesterday-ish” is not a time that can be read." in words(unread.text)

    visit(fake, scenario)


def test_a_wrong_password_leaves_the_question_to_be_answered_again() -> None:
    asking = job(JobVerb.RESTORE, JobState.ASKING)
    fake = FakeBackend(replace(calm_world(), jobs=(asking,)))

    async def scenario(client: httpx.AsyncClient) -> None:
        refused = await press(client, f"/jobs/{asking.id}/answer", password="wrong", confirm=STACK)  # noqa: S106  of the tests alone
        assert refused.status_code == 401
        assert 'role="alert"' in refused.text
        assert 'name="confirm"' in refused.text
        await press(client, f"/jobs/{asking.id}/answer", password=PASSWORD, confirm=STACK)
        assert fake.jobs[asking.id].state is JobState.DONE

    visit(fake, scenario)


def test_no_means_no() -> None:
    asking = job(JobVerb.RESTORE, JobState.ASKING)
    fake = FakeBackend(replace(calm_world(), jobs=(asking,)))

    async def scenario(client: httpx.AsyncClient) -> None:
        await press(client, f"/jobs/{asking.id}/decline")
        assert fake.jobs[asking.id].state is JobState.DECLINED
        assert 'name="confirm"' not in (await client.get(f"/jobs/{asking.id}")).text

    visit(fake, scenario)


def test_the_question_shows_what_would_change_and_until_when_it_waits() -> None:
    asking = job(JobVerb.RESTORE, JobState.ASKING)
    assert asking.question

    async def scenario(client: httpx.AsyncClient) -> None:
        page = await read(client, f"/jobs/{asking.id}")
        assert asking.question
        assert all(plain(line) in page for line in asking.question.lines)
        assert "the names are swapped back" in page
        assert f"{asking.question.answer_by:%H:%M} UTC" in page

    visit(FakeBackend(replace(calm_world(), jobs=(asking,))), scenario)


def test_a_job_renews_itself_and_its_question_is_sent_only_when_it_comes_or_goes() -> None:
    running = job(JobVerb.BACKUP, JobState.RUNNING)

    async def scenario(client: httpx.AsyncClient) -> None:
        page = (await client.get(f"/jobs/{running.id}")).text
        assert f'sse-connect="/jobs/{running.id}/events"' in page
        told = (await client.get(f"/jobs/{running.id}/events")).text
        names = re.findall(r"^event: (\w+)$", told, flags=re.MULTILINE)
        assert names == ["job", "question", "job", "ended"]
        assert "<progress" in told

    visit(FakeBackend(replace(calm_world(), jobs=(running,))), scenario)


def test_a_job_that_failed_says_it_in_three_parts() -> None:
    failed = job(JobVerb.RESTORE, JobState.FAILED)
    assert failed.error

    async def scenario(client: httpx.AsyncClient) -> None:
        page = await read(client, f"/jobs/{failed.id}")
        assert failed.error
        assert all(part in page for part in (failed.error.message, failed.error.data, failed.error.next))

    visit(FakeBackend(replace(calm_world(), jobs=(failed,))), scenario)


def test_a_restore_that_is_done_can_be_undone_with_one_button() -> None:
    done = job(JobVerb.RESTORE, JobState.DONE)

    async def scenario(client: httpx.AsyncClient) -> None:
        assert 'action="/restore/undo"' in (await client.get(f"/jobs/{done.id}")).text
        assert (await press(client, "/restore/undo")).headers["location"] == "/jobs/job-undo-restore-asking"

    visit(FakeBackend(replace(calm_world(), jobs=(done,))), scenario)


def test_a_job_s_error_is_said_in_the_reader_s_language_whatever_the_agent_s_was() -> None:
    spoken = speak_error(StratumError("no-backup-yet"))
    failed = replace(job(JobVerb.RESTORE, JobState.FAILED), error=spoken)

    async def scenario(client: httpx.AsyncClient) -> None:
        page = await read(client, f"/jobs/{failed.id}")
        with speaking(["fr"]):
            french = speak_error(StratumError("no-backup-yet"))
        assert french.message != spoken.message
        assert all(plain(part) in page for part in (french.message, french.data, french.next))

    visit(FakeBackend(replace(calm_world(), jobs=(failed,))), scenario, language="fr")


def test_an_error_that_only_another_release_knows_is_shown_as_it_was_written_down() -> None:
    unknown = SpokenError(code="of-the-future", message="a", data="b", next="c", details={})
    lacking = replace(unknown, code="unknown-backup")
    assert respeak(unknown, "fr") == unknown
    assert respeak(lacking, "fr") == lacking
