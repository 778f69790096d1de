"""What the pages show is what the engine says: the same stack is asked through the browser and the command line."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import Page, expect

from stratum.adapters.records import parse
from stratum.core.backup import Manifest
from tests.fixtures.browsers import ReaderMaker
from tests.fixtures.consoles import PASSWORD, ConsoleStack

_AMOUNT = re.compile(r"\d[\d.,]* ?(?:ms|s|min|h|d)\b")


def test_the_pages_show_the_engines_own_numbers(console_stack: ConsoleStack, open_browser: ReaderMaker) -> None:
    token = console_stack.sign_up()
    assert console_stack.run_job("/backups", token=token)["state"] == "done"
    newest = _said(console_stack, "backups", "list")["backups"][0]
    assert console_stack.run_job(f"/backups/{newest['id']}/drill", token=token)["verdict"] == "proven"
    reader = open_browser(console_stack.frontend)
    _sign_in(reader.open("/sign-in"))

    home = reader.open("/").locator("h1").inner_text()
    assert _AMOUNT.sub("…", home) == _AMOUNT.sub("…", _said(console_stack, "status")["protection"]["sentence"])

    newest = _said(console_stack, "backups", "list")["backups"][0]
    row = reader.open("/backups").locator("tbody tr").first
    expect(row).to_contain_text(newest["id"])
    expect(row).to_contain_text(f"{newest['rows']:,}")
    expect(row).to_contain_text("proven")

    manifest = _said(console_stack, "backups", "show", newest["id"])["manifest"]
    detail = reader.open(f"/backups/{newest['id']}")
    named = detail.locator("tbody tr").filter(has=detail.locator("th .id")).all()
    rows = {row.locator("th .id").text_content(): row.text_content() or "" for row in named}
    databases = parse(Manifest, json.dumps(manifest), file="").databases
    tables = [table for database in databases for table in database.facts.tables]
    assert len(tables) > 3
    for table in tables:
        assert f"{table.rows:,}" in rows[table.qualified]

    lines = {line["name"]: line for line in _said(console_stack, "check")["lines"]}
    checklist = reader.open("/checklist")
    assert len(lines) == checklist.locator(".checklist > li").count()
    for name in ("backup-proven", "checksums", "off-the-disk"):
        words = _AMOUNT.sub("…", lines[name]["statement"])
        assert words in _AMOUNT.sub("…", checklist.locator(f"#{name}").inner_text())


def _said(console: ConsoleStack, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(console.stack.cli(*words, "--json").stdout)
    return found


def _sign_in(page: Page) -> None:
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("nav.main-nav")).to_be_visible()
