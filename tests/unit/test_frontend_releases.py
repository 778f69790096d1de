"""The pages of releases: they renew themselves while a change is at work, and say the cost before the command."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from tests.fakes.console_answers import World, calm_world, empty_world, troubled_world
from tests.fakes.fake_backend import FakeBackend
from tests.fixtures.console_visits import read, visit


@pytest.mark.parametrize(("world", "renews"), [(troubled_world(), True), (calm_world(), False)])
def test_the_page_of_releases_renews_itself_as_long_as_a_change_has_not_ended(world: World, *, renews: bool) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        page = (await client.get("/releases")).text
        assert ('hx-trigger="every 3s"' in page) is renews
        assert ('http-equiv="refresh"' in page) is renews

    visit(FakeBackend(world), scenario)


def test_a_rehearsal_that_nobody_made_is_an_unknown_page() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.get("/rehearsals/2026-11-20T08-00-00Z-none")
        assert answer.status_code == 404
        assert "<h1" in answer.text

    visit(FakeBackend(calm_world()), scenario)


def test_nothing_is_counted_before_somebody_asks_and_the_cost_stands_above_the_command() -> None:
    fake = FakeBackend(calm_world())

    async def scenario(client: httpx.AsyncClient) -> None:
        assert 'href="/rollback-cost"' in (await client.get("/releases")).text
        assert ("GET", "/api/v1/rollback-cost") not in fake.requests
        page = await read(client, "/rollback-cost")
        assert "4,376 rows more, 2 fewer" in page
        assert "public.users.id: bigint now, integer then" in page
        assert page.index("public.invoices") < page.index("stratum rollback 2026-11-01T06-00-00Z-r1 ")
        assert "stratum rollback 2026-11-01T06-00-00Z-r1 --data" in await read(client, "/rollback-cost?with=data")

    visit(fake, scenario)


def test_a_rollback_that_the_host_refuses_is_said_with_its_reasons_and_offers_no_command_for_the_code_alone() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        page = await read(client, "/rollback-cost")
        assert "public.users.<b>email</b>: the column is gone" in page
        assert "public.users.tenant: has to be filled" in page
        assert "stratum rollback" not in page
        assert "stratum rollback 2026-10-20T06-00-00Z-r0 --data" in await read(client, "/rollback-cost?with=data")

    visit(FakeBackend(troubled_world()), scenario)


def test_where_no_copy_is_there_to_compare_with_the_page_claims_nothing() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        page = await read(client, "/rollback-cost")
        assert "No row is compared" in page
        assert "shop: migrations at 0001 then, 0002 now" in page
        assert "works on today’s schema: nothing it knew is gone" not in page

    visit(FakeBackend(replace(calm_world(), copies_kept=False)), scenario)


@pytest.mark.parametrize(("language", "words"), [("en", "no update is recorded"), ("fr", "aucune mise à jour")])
def test_without_a_release_to_go_back_to_the_page_says_so(language: str, words: str) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.get("/rollback-cost")
        assert answer.status_code == 409
        assert words in answer.text

    visit(FakeBackend(empty_world()), scenario, language=language)


def test_who_only_looks_is_sent_to_the_host_as_counting_holds_the_lock() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        page = (await client.get("/releases")).text
        assert "/rollback-cost" not in page
        assert "stratum rollback --dry-run" in page
        assert (await client.get("/rollback-cost")).status_code == 403

    visit(FakeBackend(calm_world()), scenario, name="vera")
