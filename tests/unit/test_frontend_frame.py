"""The console's frame: who gets in, which forms count, what a browser is told, and what a failure looks like."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from stratum.core.errors import StratumError
from stratum.frontend.app import create_app
from stratum.frontend.assets import read_assets
from stratum.frontend.csrf import is_same_origin, is_token, make_token, read_signed, sign
from stratum.frontend.language import choose_language
from stratum.frontend.settings import FrontendSettings, parse_settings
from stratum.frontend.shell import local_path
from tests.fakes.console_answers import calm_world
from tests.fakes.fake_backend import CONSOLE_TOKEN, FIRST_RUN_TOKEN, PASSWORD, FakeBackend, make_fake_backend

_SETTINGS = FrontendSettings(host="127.0.0.1", port=3000, api_url="http://api/api/v1", secret="of-the-tests")  # noqa: S106  of the tests alone
_HOST = "http://console"


@asynccontextmanager
async def console(
    fake: FakeBackend | None = None, transport: httpx.AsyncBaseTransport | None = None, base: str = _HOST
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without script before the console, and a stand-in for the backend behind it."""
    behind = transport or httpx.ASGITransport(app=make_fake_backend(fake or FakeBackend(calm_world())))
    front = httpx.ASGITransport(app=create_app(_SETTINGS, behind), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=front, base_url=base) as client:
        yield client


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario()

    asyncio.run(whole())


async def csrf(client: httpx.AsyncClient, path: str = "/sign-in") -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', (await client.get(path)).text)
    assert found
    return found[1]


async def sign_in(client: httpx.AsyncClient, name: str = "ada", **more: str) -> httpx.Response:
    fields = {"csrf": await csrf(client), "name": name, "password": PASSWORD} | more
    return await client.post("/sign-in", data=fields)


def test_a_page_needs_a_sign_in_and_is_shown_after_it() -> None:
    async def scenario() -> None:
        async with console() as client:
            asked = await client.get("/users?x=1")
            assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in?next=%2Fusers%3Fx%3D1")
            entered = await sign_in(client, next="/users")
            assert (entered.status_code, entered.headers["location"]) == (303, "/users")
            assert "otto" in (await client.get("/users")).text

    run(scenario)


def test_tokens_live_in_cookies_that_no_script_reads_and_are_secure_over_https() -> None:
    async def scenario() -> None:
        async with console(base="https://console") as client:
            cookies = (await sign_in(client)).headers.get_list("set-cookie")
            assert {cookie.partition("=")[0] for cookie in cookies} >= {"stratum_access", "stratum_refresh"}
            for cookie in cookies:
                assert "; HttpOnly" in cookie
                assert "; Secure" in cookie
                assert re.search("; SameSite=(Lax|Strict)", cookie)

    run(scenario)


def test_twenty_requests_with_one_expired_token_refresh_it_once() -> None:
    async def scenario() -> None:
        fake = FakeBackend(calm_world())
        async with console(fake) as client:
            await sign_in(client)
            fake.expire_access_tokens()
            old = dict(client.cookies)
            answers = await asyncio.gather(*(client.get("/users") for _ in range(20)))
            assert {answer.status_code for answer in answers} == {200}
            assert fake.refreshes == 1
            late = await client.get("/users", headers={"cookie": "; ".join(f"{k}={v}" for k, v in old.items())})
            assert (late.status_code, fake.refreshes) == (200, 1)

    run(scenario)


def test_a_session_that_ended_leads_to_the_sign_in_and_leaves_no_cookie() -> None:
    async def scenario() -> None:
        fake = FakeBackend(calm_world())
        async with console(fake) as client:
            await sign_in(client)
            fake.expire_access_tokens()
            fake.refresh.clear()
            answer = await client.get("/users")
            assert answer.headers["location"] == "/sign-in?next=%2Fusers"
            assert not {"stratum_access", "stratum_refresh", "stratum_user"} & set(client.cookies)

    run(scenario)


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, ""),
        ({}, "0" * 32 + "." + "0" * 64),
        ({"sec-fetch-site": "cross-site"}, None),
        ({"sec-fetch-site": "same-site"}, None),
        ({"origin": "http://elsewhere"}, None),
        ({"origin": "null"}, None),
        ({"origin": "http://["}, None),
        ({"content-type": "text/plain"}, None),
    ],
)
def test_a_form_of_another_site_or_session_is_refused(headers: dict[str, str], token: str | None) -> None:
    async def scenario() -> None:
        fake = FakeBackend(calm_world())
        async with console(fake) as client:
            await sign_in(client)
            right = await csrf(client, "/users")
            sent = right if token is None else token
            answer = await client.post("/sessions/end-all", data={"csrf": sent}, headers=headers)
            assert answer.status_code == 403
            assert "form-not-ours" in answer.text

    run(scenario)


def test_a_form_made_before_the_sign_in_does_not_count_after_it() -> None:
    async def scenario() -> None:
        async with console() as client:
            before = await csrf(client)
            await sign_in(client)
            assert (await client.post("/sign-out", data={"csrf": before})).status_code == 403

    run(scenario)


def test_an_oversized_form_is_refused_in_three_parts() -> None:
    async def scenario() -> None:
        async with console() as client:
            answer = await client.post("/sign-in", data={"csrf": "x", "name": "a" * (1024 * 1024)})
            assert answer.status_code == 413
            assert all(part in answer.text for part in ("form-too-large", "<dt>", "1 MiB"))

    run(scenario)


def test_every_answer_has_the_headers_that_keep_scripts_and_frames_out() -> None:
    async def scenario() -> None:
        async with console() as client:
            for path in ("/sign-in", "/nowhere", "/health"):
                headers = (await client.get(path)).headers
                policy = headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert headers["x-content-type-options"] == "nosniff"
                assert headers["cache-control"] == "no-store"

    run(scenario)


def test_no_page_of_the_frame_has_script_or_style_inside() -> None:
    async def scenario() -> None:
        async with console() as client:
            await sign_in(client)
            for path in ("/users", "/sessions", "/password", "/console-token", "/nowhere"):
                text = (await client.get(path)).text
                assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text), path

    run(scenario)


class _Down(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)


class _Garbage(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(500, text="Traceback (most recent call last): secret", request=request)


@pytest.mark.parametrize("transport", [_Down(), _Garbage()])
@pytest.mark.parametrize(("language", "words"), [("en", "does not answer"), ("fr", "ne répond pas")])
def test_a_backend_that_is_away_or_broken_is_said_in_three_parts(
    transport: httpx.AsyncBaseTransport, language: str, words: str
) -> None:
    async def scenario() -> None:
        async with console(transport=transport) as client:
            client.headers["accept-language"] = language
            answer = await sign_in(client)
            assert answer.status_code in {502, 503}
            assert words in answer.text
            assert answer.text.count("<dt>") == 2
            assert "Traceback" not in answer.text

    run(scenario)


def test_what_htmx_asks_for_gets_the_failure_as_a_piece() -> None:
    async def scenario() -> None:
        async with console() as client:
            await sign_in(client, name="vera")
            answer = await client.get("/users", headers={"hx-request": "true"})
            assert "role-too-low" in answer.text
            assert "<html" not in answer.text
            client.cookies.clear()
            sent_on = await client.get("/users", headers={"hx-request": "true"})
            assert sent_on.headers["hx-redirect"] == "/sign-in?next=%2Fusers"

    run(scenario)


def test_a_wrong_password_keeps_the_name_and_shows_no_password() -> None:
    async def scenario() -> None:
        async with console() as client:
            answer = await sign_in(client, password="not-the-password")  # noqa: S106  of the tests alone
            assert answer.status_code == 401
            assert 'value="ada"' in answer.text
            assert "not-the-password" not in answer.text

    run(scenario)


def test_a_console_without_users_begins_with_the_first_run() -> None:
    async def scenario() -> None:
        fake = FakeBackend(calm_world(), first_run=True)
        async with console(fake) as client:
            assert (await client.get("/sign-in")).headers["location"] == "/first-run"
            text = (await client.get("/first-run")).text
            assert "stratum logs backend" in text
            fields = {"csrf": await csrf(client, "/first-run"), "name": "ada", "password": PASSWORD}
            assert (await client.post("/first-run", data=fields | {"token": "wrong"})).status_code == 403
            done = await client.post("/first-run", data=fields | {"token": FIRST_RUN_TOKEN})
            assert done.headers["location"] == "/"
            assert (await client.get("/users")).status_code == 200

    run(scenario)


def test_a_console_token_signs_in_to_read_only_and_says_so() -> None:
    async def scenario() -> None:
        async with console() as client:
            fields = {"csrf": await csrf(client, "/console-token"), "token": f" {CONSOLE_TOKEN} "}
            assert (await client.post("/console-token", data=fields)).status_code == 303
            assert "Read only." in (await client.get("/sessions")).text

    run(scenario)


def test_users_are_added_changed_locked_and_removed_by_forms() -> None:
    async def scenario() -> None:
        fake = FakeBackend(calm_world())
        async with console(fake) as client:
            await sign_in(client)
            token = await csrf(client, "/users")
            await client.post("/users", data={"csrf": token, "name": "nina", "password": PASSWORD, "role": "viewer"})
            nina = fake.users[-1]
            await client.post(f"/users/{nina['id']}", data={"csrf": token, "role": "operator"})
            await client.post(f"/users/{nina['id']}", data={"csrf": token, "disabled": "yes"})
            assert (nina["name"], nina["role"], nina["disabled"]) == ("nina", "operator", True)
            again = {"csrf": token, "name": "nina", "password": PASSWORD, "role": "viewer"}
            refused = await client.post("/users", data=again)
            assert "user-exists" in refused.text
            await client.post(f"/users/{nina['id']}/remove", data={"csrf": token})
            assert nina not in fake.users

    run(scenario)


def test_the_reader_chooses_language_and_light_and_comes_back_to_the_page() -> None:
    async def scenario() -> None:
        async with console() as client:
            fields = {"csrf": await csrf(client), "next": "/console-token", "language": "fr", "theme": "dark"}
            assert (await client.post("/preferences", data=fields)).headers["location"] == "/console-token"
            text = (await client.get("/console-token")).text
            assert '<html lang="fr" data-theme="dark">' in text
            assert "Se connecter" in text

    run(scenario)


def test_markup_in_a_field_stays_text() -> None:
    async def scenario() -> None:
        async with console() as client:
            answer = await sign_in(client, name="<script>alert(1)</script>")
            assert "<script>alert" not in answer.text
            assert "&lt;script&gt;" in answer.text

    run(scenario)


@pytest.mark.parametrize(
    "path", ["/users/..%2f..%2fstatus", "/users/%2e%2e", "/sessions/%00/end", f"/users/{'a' * 3000}"]
)
def test_a_path_trick_reaches_no_api(path: str) -> None:
    async def scenario() -> None:
        fake = FakeBackend(calm_world())
        async with console(fake) as client:
            await sign_in(client)
            token = await csrf(client, "/users")
            asked = list(fake.requests)
            answer = await client.post(path, data={"csrf": token})
            assert answer.status_code in {404, 405}
            assert "no-such-page" in answer.text
            assert fake.requests == asked

    run(scenario)


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "", "x", "/a\nb"])
def test_nothing_sends_the_browser_away_from_the_console(target: str) -> None:
    assert local_path(target) == "/"


def test_static_files_are_kept_for_good_under_an_address_of_their_content() -> None:
    async def scenario() -> None:
        async with console() as client:
            answer = await client.get(read_assets().address("app.css"))
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["content-encoding"] == "gzip"
            assert (await client.get("/static/another/app.css")).headers["cache-control"] == "no-store"
            assert (await client.get("/static/x/..%2f..%2fapp.py")).status_code == 404

    run(scenario)


def test_all_static_files_of_a_page_weigh_less_than_150_kb() -> None:
    shown = ("vendor/pico.min.css", "app.css", "pages.css", "vendor/htmx.min.js", "vendor/sse.min.js", "app.js",
             "icon.svg", "timeline.js", "vendor/uPlot.iife.min.js", "vendor/uPlot.min.css")  # fmt: skip
    assert sum(len(read_assets().files[name].packed) for name in shown) < 150_000


def test_a_token_counts_for_its_own_session_and_secret_only() -> None:
    token = make_token("secret", "session")
    assert is_token(token, "secret", "session")
    assert make_token("secret", "session") != token
    assert not is_token(token, "secret", "another")
    assert not is_token(token, "another", "session")
    assert not is_token(make_token("secret", ""), "secret", "")


def test_a_signed_text_that_was_changed_is_none() -> None:
    signed = sign("secret", "viewer")
    assert read_signed("secret", signed) == "viewer"
    assert read_signed("secret", signed.replace("viewer", "administrator")) is None
    assert read_signed("another", signed) is None


def test_the_browsers_own_word_decides_before_the_origin() -> None:
    assert is_same_origin({"sec-fetch-site": "same-origin", "origin": "null"})
    assert is_same_origin({"origin": "http://console", "host": "console"})
    assert not is_same_origin({"sec-fetch-site": "cross-site", "origin": "http://console", "host": "console"})
    assert not is_same_origin({"origin": "null"})


@pytest.mark.parametrize(
    ("cookie", "accept", "chosen"),
    [
        (None, "", "en"),
        (None, "fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        (None, "en;q=0.5, fr;q=0.9", "fr"),
        (None, "de, *;q=0.1", "en"),
        (None, "fr;q=0", "en"),
        (None, "fr;q=oops, en", "en"),
        ("en", "fr", "en"),
        ("xx", "fr", "fr"),
    ],
)
def test_the_readers_choice_comes_before_the_browsers_wish(cookie: str | None, accept: str, chosen: str) -> None:
    assert choose_language(cookie, accept) == chosen


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, "missing-secret"),
        ({"FRONTEND_SECRET": "s", "PORT": "70000"}, "invalid-setting"),
        ({"FRONTEND_SECRET": "s", "API_URL": "ftp://x"}, "invalid-setting"),
        ({"FRONTEND_SECRET": "s", "TRUSTED_PROXIES": "*"}, "invalid-setting"),
    ],
)
def test_an_environment_that_cannot_be_used_is_refused(environment: dict[str, str], code: str) -> None:
    with pytest.raises(StratumError) as refused:
        parse_settings(environment)
    assert refused.value.code == code


def test_the_address_of_the_api_may_come_under_its_other_name_and_the_secret_is_never_shown() -> None:
    settings = parse_settings({"FRONTEND_SECRET": "hidden", "NEXT_PUBLIC_API_URL": "http://api:4001/api/v1/"})
    assert settings.api_url == "http://api:4001/api/v1"
    assert "hidden" not in repr(settings)
