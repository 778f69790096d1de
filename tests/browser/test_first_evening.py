"""The first evening with a new stack, in a real browser on a real database, without having read any documentation."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.fixtures.browsers import ReaderMaker, keep_screenshot, violations
from tests.fixtures.consoles import PASSWORD, ConsoleStack
from tests.fixtures.stacks import NAME

_PATIENCE_MS = 90_000


def test_somebody_new_backs_up_proves_loses_restores_and_undoes(
    console_stack: ConsoleStack, open_browser: ReaderMaker
) -> None:
    stack, reader = console_stack.stack, open_browser(console_stack.frontend)
    orders = stack.scalar("SELECT count(*) FROM orders")
    page = reader.open("/")
    _sign_up(page, console_stack.first_run_token())
    expect(page.locator("h1")).to_contain_text("there is no backup")

    _press(page, "Take a backup now")
    _sees_the_job_end(page, "The backup is there.")
    _press_on_home(page, "Drill the newest backup")
    _sees_the_job_end(page, "the same came back")
    page.get_by_role("link", name="Home").click()
    expect(page.locator("h1")).to_contain_text(re.compile(r"Getting back takes about .+ Last proven"))
    keep_screenshot(page, "evening-home")

    stack.execute("DELETE FROM orders")
    _restore(page)
    _answer(page, sees="orders")
    _sees_the_job_end(page, "The data is back.")
    keep_screenshot(page, "evening-restored")
    assert stack.scalar("SELECT count(*) FROM orders") == orders

    _press(page, "Undo this restore")
    _answer(page, sees="nothing was written since")
    _sees_the_job_end(page, "The restore was undone")
    assert stack.scalar("SELECT count(*) FROM orders") == 0
    assert reader.complaints == []


def _sign_up(page: Page, token: str) -> None:
    expect(page.locator("h1")).to_have_text("Welcome")
    page.get_by_label("One-time token").fill(token)
    page.get_by_label("Your name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create the account").click()


def _press(page: Page, button: str) -> None:
    page.get_by_role("button", name=button).click()


def _press_on_home(page: Page, button: str) -> None:
    page.get_by_role("link", name="Home").click()
    _press(page, button)


def _sees_the_job_end(page: Page, words: str) -> None:
    """The page tells it by itself: nothing is loaded again."""
    expect(page.get_by_text(words)).to_be_visible(timeout=_PATIENCE_MS)


def _restore(page: Page) -> None:
    """From the first page to the plan in two clicks; the third begins it."""
    page.get_by_role("link", name="Restore…").click()
    _press(page, "Show the plan")
    expect(page.locator("h1")).to_have_text("Plan of the restore")
    keep_screenshot(page, "evening-plan")
    assert violations(page) == []
    _press(page, "Start: build it beside")


def _answer(page: Page, *, sees: str) -> None:
    """Sees what would change, types what is asked for, and says yes."""
    expect(page.get_by_role("heading", name="Your answer is needed")).to_be_visible(timeout=_PATIENCE_MS)
    keep_screenshot(page, "evening-question")
    assert violations(page) == []
    expect(page.locator(".difference")).to_contain_text(sees)
    page.get_by_label("Type the stack’s name").fill(NAME)
    page.get_by_label("Your password").fill(PASSWORD)
    _press(page, "Do it now")
