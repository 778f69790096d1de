"""The pages name only commands the command line has, and link only to what is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from stratum.cli.main import app
from tests.architecture.sources import ROOT

_Misused: type[Exception] = typer.BadParameter.__bases__[0]
"""What the command line raises for words it does not take; typer gives it no public name."""

_STRATUM = typer.main.get_command(app)
_PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _typed(text: str) -> Iterator[str]:
    """Every call of stratum in shell, cron, systemd and terminal blocks."""
    for language, block in _FENCE.findall(text):
        for line in block.splitlines():
            typed = line.removeprefix("$ ") if language == "text" else line
            if language != "text" or line.startswith("$ "):
                yield from _calls(typed)


def _mentioned(text: str) -> Iterator[str]:
    """Every call of stratum between backquotes in the prose."""
    for quoted in re.findall(r"`(stratum [^`\n]+)`", _FENCE.sub("", text)):
        yield from _calls(quoted)


def _calls(line: str) -> Iterator[str]:
    for part in re.split(r"&&|\|\||[|;>]", line.partition(" #")[0]):
        if found := re.search(r"(?:^|[\s/=])(stratum(?: .*)?)$", part.strip()):
            yield found[1]


def _on_pages(find: Callable[[str], Iterator[str]]) -> list[tuple[str, str]]:
    named = ((page.relative_to(ROOT).as_posix(), page.read_text("utf-8")) for page in _PAGES)
    return sorted({(name, call) for name, text in named for call in find(text)})


@pytest.mark.parametrize(("page", "call"), _on_pages(_typed))
def test_a_command_to_type_is_one_the_command_line_takes(page: str, call: str) -> None:
    if _is_synopsis(call):
        return
    try:
        _parse(shlex.split(call)[1:])
    except _Misused as refusal:
        pytest.fail(f"{page}: `{call}`: {refusal}")


@pytest.mark.parametrize(("page", "call"), _on_pages(_mentioned))
def test_a_command_in_a_sentence_is_one_the_command_line_takes(page: str, call: str) -> None:
    """A sentence may leave out what has to be filled in."""
    if call.startswith("stratum {"):
        return  # an error's template: which verb it is stands in the error
    try:
        _parse(shlex.split(re.sub(r"\{\w+\}", "filled", call))[1:])
    except _Misused as refusal:
        if "issing" not in str(refusal):
            pytest.fail(f"{page}: `{call}`: {refusal}")


def _is_synopsis(call: str) -> bool:
    """A usage line of the reference, which is written from the code."""
    return "OPTIONS]" in call


def _parse(words: list[str]) -> None:
    """Let each level of the command line take its words, and run nothing."""
    command, name = _STRATUM, "stratum"
    while hasattr(command, "commands"):
        if not words or words[0].startswith("-"):
            return
        name, words = words[0], words[1:]
        assert name in command.commands, f"there is no verb {name}"
        command = command.commands[name]
    command.make_context(name, words, resilient_parsing=False)


def test_the_pages_are_full_of_commands() -> None:
    assert len({call for _, call in _on_pages(_typed)}) > 30


@pytest.mark.parametrize("page", _PAGES, ids=[page.relative_to(ROOT).as_posix() for page in _PAGES])
def test_a_link_leads_somewhere(page: Path) -> None:
    dead = [link for link in _LINK.findall(page.read_text("utf-8")) if not _leads_somewhere(page, link)]

    assert dead == []


def _leads_somewhere(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return True
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    return target.exists() and (not anchor or anchor in _anchors(target))


@cache
def _anchors(page: Path) -> set[str]:
    """The headings of a page, as they are linked to."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
