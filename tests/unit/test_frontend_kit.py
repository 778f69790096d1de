"""The rescue kit goes to an administrator who gives the password again, as a file, and to nobody else."""

from __future__ import annotations

import httpx

from tests.fakes import console_coverage
from tests.fakes.console_answers import calm_world
from tests.fakes.fake_backend import PASSWORD, FakeBackend
from tests.fixtures.console_visits import press, visit


def test_an_administrator_gets_the_kit_as_a_file_that_no_cache_keeps() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await press(client, "/protection/kit", password=PASSWORD)
        made = console_coverage.rescue_kit()
        assert answer.text == made.page
        assert answer.headers["content-disposition"] == (
            f'attachment; filename="rescue-kit-shop-{made.made_at:%Y-%m-%d}.html"'
        )
        assert answer.headers["cache-control"] == "no-store"

    visit(FakeBackend(calm_world()), scenario)


def test_a_wrong_password_gets_no_kit_and_is_told_why() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await press(client, "/protection/kit", password="wrong")  # noqa: S106  of the tests alone
        assert answer.status_code == 401
        assert "attachment" not in str(answer.headers)
        assert 'role="alert"' in answer.text
        assert 'action="/protection/kit"' in answer.text

    visit(FakeBackend(calm_world()), scenario)


def test_an_operator_is_neither_offered_a_kit_nor_given_one() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        assert "/protection/kit" not in (await client.get("/protection")).text
        assert (await press(client, "/protection/kit", password=PASSWORD)).status_code == 403

    visit(FakeBackend(calm_world()), scenario, name="otto")
