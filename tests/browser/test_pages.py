"""Each page in a real Chromium: readable by everybody, at any width, in both themes and languages, without a complaint.

The backend is the stand-in, so that every state a page can show is there: calm, in trouble, and with nothing in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from stratum.frontend.app import create_app
from stratum.frontend.settings import FrontendSettings
from tests.fakes.console_answers import calm_world, empty_world, troubled_world
from tests.fakes.fake_backend import PASSWORD, FakeBackend, make_fake_backend
from tests.fixtures.browsers import Reader, ReaderMaker, keep_screenshot, overflows, violations
from tests.fixtures.served import served

WORLDS = {"calm": calm_world, "troubled": troubled_world, "empty": empty_world}
COST = "/rollback-cost"
REHEARSAL = "/rehearsals/2026-11-20T08-00-00Z-b2"
PAGES = (
    "/",
    "/timeline",
    "/protection",
    "/backups",
    "/restore?at=2026-01-05T10:00:00Z",
    "/checklist",
    "/releases",
    REHEARSAL,
    COST,
    "/jobs",
    "/audit",
    "/fears",
    "/users",
    "/sessions",
    "/password",
)
OUTSIDE = ("/sign-in", "/console-token", "/nowhere")


@pytest.fixture(scope="module")
def consoles() -> Iterator[dict[str, str]]:
    """A frontend for each world, by its name."""
    with ExitStack() as running:
        addresses: dict[str, str] = {}
        for name, world in WORLDS.items():
            api = running.enter_context(served(make_fake_backend(FakeBackend(world()))))
            settings = FrontendSettings(host="127.0.0.1", port=0, api_url=f"{api}/api/v1", secret="of-the-tests")  # noqa: S106  of no server
            addresses[name] = running.enter_context(served(create_app(settings)))
        yield addresses


def sign_in(reader: Reader) -> Page:
    page = reader.open("/sign-in")
    page.get_by_label("Name").or_(page.get_by_label("Nom")).fill("ada")
    page.locator("input[type=password]").fill(PASSWORD)
    page.locator("main form button[type=submit]").click()
    expect(page.locator("nav.main-nav")).to_be_visible()
    return page


@pytest.mark.parametrize(
    ("world", "theme"),
    [(world, "light") for world in WORLDS]
    + [("troubled", "dark")]
    + [pytest.param(world, "dark", marks=pytest.mark.torture) for world in WORLDS if world != "troubled"],
)
def test_no_page_keeps_anybody_out(consoles: dict[str, str], open_browser: ReaderMaker, world: str, theme: str) -> None:
    reader = open_browser(consoles[world], color_scheme=theme, viewport={"width": 1280, "height": 800})
    outside = [found for path in OUTSIDE for found in _look(reader, path, f"{world}-{theme}")]
    sign_in(reader)

    there = [path for path in PAGES if path not in {REHEARSAL, COST} or WORLDS[world]().rehearsals]
    inside = [found for path in there for found in _look(reader, path, f"{world}-{theme}")]

    assert outside + inside == []


def _look(reader: Reader, path: str, name: str) -> list[str]:
    page = reader.open(path, expected=404 if path == "/nowhere" else 200)
    keep_screenshot(page, f"{path}-{name}")
    found = [f"{path}: {one}" for one in violations(page)]
    page.close()
    return found


@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
@pytest.mark.parametrize("width", [360, 3840])
def test_every_page_fits_into_its_window(
    consoles: dict[str, str], open_browser: ReaderMaker, width: int, language: str
) -> None:
    reader = open_browser(consoles["troubled"], viewport={"width": width, "height": 800}, locale=language)
    sign_in(reader)

    wide = []
    for path in PAGES:
        page = reader.open(path)
        keep_screenshot(page, f"{path}-{width}-{language}")
        wide += [path] if overflows(page) else []
        page.close()

    assert wide == []


def test_the_browser_complains_about_nothing(consoles: dict[str, str], open_browser: ReaderMaker) -> None:
    """No script or style that the content security policy refuses, nothing missing, no fault in a script."""
    reader = open_browser(consoles["calm"])
    sign_in(reader)
    for path in PAGES:
        reader.open(path).wait_for_load_state("networkidle")

    assert reader.complaints == []


def test_the_menu_and_every_button_are_reached_with_the_keyboard_alone(
    consoles: dict[str, str], open_browser: ReaderMaker
) -> None:
    reader = open_browser(consoles["calm"])
    sign_in(reader)
    page = reader.open("/")
    wanted = page.locator("a[href]:visible, button:visible, summary:visible, input:visible:not([type=hidden])").count()

    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(e => [...document.querySelectorAll('*')].indexOf(e))(document.activeElement)"))

    assert len(reached) >= wanted


def test_the_pages_work_without_a_script(consoles: dict[str, str], open_browser: ReaderMaker) -> None:
    reader = open_browser(consoles["calm"], java_script_enabled=False)
    page = sign_in(reader)

    page.get_by_role("link", name="Backups").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Backups")
    page.get_by_role("button", name="Take a backup now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Backup")


def test_a_click_on_the_picture_picks_that_second_in_the_reader_s_own_time(
    consoles: dict[str, str], open_browser: ReaderMaker
) -> None:
    reader = open_browser(consoles["calm"], timezone_id="Asia/Tokyo", viewport={"width": 1280, "height": 800})
    sign_in(reader)
    page = reader.open("/timeline")
    page.locator("[data-reach=exact] rect").last.click(position={"x": 40, "y": 10})

    expect(page.locator(".reached")).to_contain_text("exact")
    field = page.get_by_label("Date and time, to the second")
    picked = datetime.fromisoformat(field.get_attribute("data-at") or "")
    assert field.input_value() == f"{picked.astimezone(ZoneInfo('Asia/Tokyo')):%Y-%m-%dT%H:%M:%S}"
    page.get_by_role("button", name="Show the plan").click()
    expect(page.get_by_text("Exactly this second is brought back").locator("time")).to_have_attribute(
        "datetime", f"{picked:%Y-%m-%dT%H:%M:%SZ}"
    )


def test_a_second_is_picked_with_the_keyboard_and_without_a_script(
    consoles: dict[str, str], open_browser: ReaderMaker
) -> None:
    reader = open_browser(consoles["calm"], java_script_enabled=False)
    sign_in(reader)
    page = reader.open("/timeline")
    field = page.get_by_label("Date and time, to the second")
    field.focus()
    page.keyboard.type("05052026103007A")  # day and month alike, and AM where hours are counted to twelve
    page.get_by_label("Time zone").select_option("Europe/Paris")
    page.get_by_role("button", name="See what this second reaches").click()

    expect(page.get_by_label("Date and time, to the second")).to_have_value("2026-05-05T10:30:07")
    expect(page.locator(".reached time").first).to_have_attribute("datetime", "2026-05-05T08:30:07Z")
    expect(page.locator(".reached")).to_contain_text("Nothing brings this second back")


def test_times_are_shown_where_the_reader_is_and_in_utc_on_hover(
    consoles: dict[str, str], open_browser: ReaderMaker
) -> None:
    reader = open_browser(consoles["calm"], timezone_id="Asia/Tokyo")
    sign_in(reader)
    shown = reader.open("/backups").locator("time").first

    title = shown.get_attribute("title") or ""
    assert "UTC" in title
    assert (shown.text_content() or "") not in title


def test_the_theme_and_the_language_are_kept(consoles: dict[str, str], open_browser: ReaderMaker) -> None:
    reader = open_browser(consoles["calm"], color_scheme="light")
    page = sign_in(reader)

    page.get_by_role("button", name="dark").click()
    page.get_by_role("button", name="Français").click()

    again = reader.open("/checklist")
    assert again.locator("html").get_attribute("data-theme") == "dark"
    assert again.locator("html").get_attribute("lang") == "fr"
