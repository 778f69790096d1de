"""The data pages show the API's own numbers, in both languages, and offer only what may be pressed."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from stratum.core.job import JobState, JobVerb
from stratum.core.proof import Verdict
from stratum.frontend.render import render_bytes, render_duration, render_number
from tests.fakes.console_answers import World, calm_world, empty_world, troubled_world
from tests.fakes.console_records import job
from tests.fakes.fake_backend import FakeBackend
from tests.fixtures.console_visits import PAGES, plain, read, visit

_WORLDS = {"calm": calm_world, "troubled": troubled_world, "empty": empty_world}


@pytest.mark.parametrize("world", list(_WORLDS))
@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_page_has_words_for_every_state_of_the_stack(world: str, language: str) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        for path in PAGES:
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert f'<html lang="{language}"' in answer.text

    visit(FakeBackend(_WORLDS[world]()), scenario, language=language)


@pytest.mark.parametrize("world", list(_WORLDS))
def test_the_first_page_says_the_engine_s_own_sentence(world: str) -> None:
    given = _WORLDS[world]()

    async def scenario(client: httpx.AsyncClient) -> None:
        assert given.status()["status"]["protection"]["sentence"] in await read(client, "/")

    visit(FakeBackend(given), scenario)


def test_the_sentence_is_said_in_french_to_a_french_reader() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        page = await read(client, "/")
        assert "Si ce disque mourait maintenant" in page
        assert "If this disk died" not in page

    visit(FakeBackend(calm_world()), scenario, language="fr")


def test_the_numbers_of_the_first_page_are_the_api_s() -> None:
    world = calm_world()
    protection = world.status()["status"]["protection"]

    async def scenario(client: httpx.AsyncClient) -> None:
        page = await read(client, "/")
        assert plain(render_duration(protection["loss_seconds"], language="en")) in page
        assert plain(render_duration(protection["recovery_seconds"], language="en")) in page
        assert f"The newest of {len(world.manifests)} backups" in page

    visit(FakeBackend(world), scenario)


def test_the_list_and_the_detail_show_the_rows_and_bytes_of_each_manifest() -> None:
    world = calm_world()

    async def scenario(client: httpx.AsyncClient) -> None:
        listed = await read(client, "/backups")
        for manifest in world.manifests:
            assert render_number(manifest.rows, language="en") in listed
            assert plain(render_bytes(manifest.bytes, language="en")) in listed
        newest = world.manifests[-1]
        shown = await read(client, f"/backups/{newest.id}")
        for table in newest.databases[0].facts.tables:
            assert f"{table.qualified}{render_number(table.rows, language='en')}" in shown
            assert str(table.digest) in shown

    visit(FakeBackend(world), scenario)


def test_a_base_backup_is_listed_with_the_seconds_it_reaches_and_shown_with_its_files() -> None:
    world = calm_world()
    base = world.bases[0].id

    async def scenario(client: httpx.AsyncClient) -> None:
        page = (await client.get("/backups")).text
        row = next(row for row in page.split("<tr>") if base in row)
        assert "base backup" in row
        assert row.count("any second from") == 2
        assert f"/backups/base/{base}" in row
        shown = await read(client, f"/backups/base/{base}")
        for text in (
            "base.tar.zst",
            "shop_db, stratum_console",
            "2/28 – 2/138",
            plain(render_bytes(940e6, language="en")),
        ):
            assert text in shown
        assert (await client.get("/backups/base/no-such-one")).status_code == 404
        assert (await client.get(f"/restore?backup={base}")).headers["location"] == f"/backups/base/{base}"

    visit(FakeBackend(world), scenario)


def test_a_failed_or_unverified_backup_never_looks_proven() -> None:
    world = troubled_world()

    async def scenario(client: httpx.AsyncClient) -> None:
        page = (await client.get("/backups")).text
        rows = {backup.id: row for row in page.split("<tr>") for backup in world.backups().backups if backup.id in row}
        for backup in world.backups().backups:
            assert ("proven</span>" in rows[backup.id]) == (backup.verdict is Verdict.PROVEN)
        assert "2026-11-20T01-00-00Z-dead" in page

    visit(FakeBackend(world), scenario)


def test_the_checklist_counts_what_the_api_found_and_shows_the_worst_first() -> None:
    world = troubled_world()

    async def scenario(client: httpx.AsyncClient) -> None:
        page = await read(client, "/checklist")
        assert "4 lines are red" in page
        assert "1 line could not be looked at" in page
        assert page.index("env-private") < page.index("clock")
        assert all(line.statement in page and (line.fix or "") in page for line in world.lines)

    visit(FakeBackend(world), scenario)


def test_a_fear_is_answered_with_numbers_of_this_stack() -> None:
    world = calm_world()

    async def scenario(client: httpx.AsyncClient) -> None:
        page = await read(client, "/fears")
        assert f"{len(world.manifests)} of {len(world.backups().backups)} backups are proven" in page
        assert "21 drills and 1 restore was run" in page
        assert "alembic 3f9a1c" in page

    visit(FakeBackend(world), scenario)


@pytest.mark.parametrize("name", ["vera", None])
def test_who_only_reads_is_offered_nothing_to_press(name: str | None) -> None:
    world = replace(calm_world(), jobs=(job(JobVerb.RESTORE, JobState.ASKING),))

    async def scenario(client: httpx.AsyncClient) -> None:
        for path in (*PAGES, f"/backups/{world.manifests[-1].id}", "/jobs/job-restore-asking"):
            page = (await client.get(path)).text
            actions = set(re.findall(r'<form method="post" action="([^"]+)"', page)) | set(re.findall(r"/export", page))
            assert actions <= {"/preferences", "/sign-out"}, path
            assert len(re.findall(r"<form ", page)) == len(re.findall(r'<form method="(?:get|post)" action="', page))
            assert "Show the plan" not in page

    visit(FakeBackend(world), scenario, name=name)


def test_a_console_token_says_on_every_page_that_it_only_reads() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        for path in PAGES:
            assert "signed in with a console token" in await read(client, path)

    visit(FakeBackend(calm_world()), scenario, name=None)


def test_the_timeline_leads_to_a_restore_that_is_filled_in() -> None:
    world = calm_world()

    async def scenario(client: httpx.AsyncClient) -> None:
        links = set(re.findall(r'href="(/restore\?backup=[^"]+)"', (await client.get("/timeline?range=all")).text))
        assert len(links) == len(world.manifests)
        chosen = world.manifests[4].id
        page = (await client.get(f"/restore?backup={chosen}")).text
        assert re.search(r'value="backup" checked', page)
        assert re.search(rf'value="{chosen}" selected', page)

    visit(FakeBackend(world), scenario)


def test_the_legend_adds_up_what_the_spans_say() -> None:
    world = troubled_world()
    reaches = {span.reach: timedelta() for span in world.timeline().spans}
    for span in world.timeline().spans:
        reaches[span.reach] += span.ends - span.begins

    async def scenario(client: httpx.AsyncClient) -> None:
        page = await read(client, "/timeline?range=all")
        for length in reaches.values():
            assert f"({plain(render_duration(length.total_seconds(), language='en'))} shown)" in page

    visit(FakeBackend(world), scenario)


def test_what_the_stack_says_of_itself_is_never_read_as_markup() -> None:
    bad = "<script>alert(1)</script>"
    world = calm_world()
    manifest = world.manifests[-1]
    table = replace(manifest.databases[0].facts.tables[0], name=bad)
    facts = replace(manifest.databases[0].facts, tables=(table,))
    odd = replace(manifest, databases=(replace(manifest.databases[0], facts=facts),))
    failed = replace(job(JobVerb.BACKUP, JobState.FAILED), said=(bad,))
    lines = tuple(replace(line, statement=bad) for line in world.lines)
    fake = FakeBackend(World(manifests=(odd,), proofs=world.proofs, lines=lines, jobs=(failed,)))

    async def scenario(client: httpx.AsyncClient) -> None:
        for path in (*PAGES, f"/backups/{odd.id}", f"/jobs/{failed.id}", f"/restore?backup={bad}&at={bad}"):
            page = (await client.get(path)).text
            assert bad not in page, path

    visit(fake, scenario)


@pytest.mark.parametrize("path", ["/backups/..%2F..%2Fetc", "/jobs/%00", "/backups/a%20b", "/backups/no-such-backup"])
def test_an_id_that_is_none_is_an_unknown_page_in_words(path: str) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.get(path)
        assert answer.status_code == 404
        assert "<h1" in answer.text

    visit(FakeBackend(calm_world()), scenario)
