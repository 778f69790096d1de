"""A verb, an option, a setting, an error or an exit code that the reference does not name fails the build."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from functools import cache
from typing import TypeAlias

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from stratum.cli.main import app
from stratum.cli.reference import differences
from stratum.config import SECTIONS
from stratum.core.checklist import LINES
from stratum.core.errors import EXIT_MEANING, KINDS, ErrorKind, ExitCode
from tests.architecture.sources import ROOT

Command: TypeAlias = TyperCommand | TyperGroup

_REFERENCE = ROOT / "docs" / "reference"


def _verbs(command: object, name: str = "stratum") -> Iterator[tuple[str, Command]]:
    """Each verb with its whole name, `stratum backups list` for one."""
    assert isinstance(command, TyperCommand | TyperGroup)
    yield name, command
    if isinstance(command, TyperGroup):
        for part, below in sorted(command.commands.items()):
            yield from _verbs(below, f"{name} {part}")


_VERBS = dict(_verbs(typer.main.get_command(app)))
_SETTINGS = [(section, field.name) for section, kind in SECTIONS.items() for field in dataclasses.fields(kind)]


def test_the_reference_and_the_schemas_say_what_the_code_says() -> None:
    """`make docs` mends it."""
    assert differences(ROOT) == ()


@pytest.mark.parametrize("verb", _VERBS)
def test_a_verb_has_its_section_with_every_option_and_argument(verb: str) -> None:
    section = _section("cli.md", verb)

    for parameter in _VERBS[verb].params:
        spellings = [*parameter.opts, *parameter.secondary_opts] if parameter.param_type_name == "option" else []
        assert [flag for flag in spellings if f"`{flag}" not in section] == []
        if parameter.param_type_name == "argument":
            assert (parameter.metavar or parameter.name.upper()) in section


@pytest.mark.parametrize("verb", _VERBS)
def test_a_verb_says_in_its_help_what_it_does(verb: str) -> None:
    assert (_VERBS[verb].help or "").strip()


@pytest.mark.parametrize(("section", "key"), _SETTINGS)
def test_a_setting_stands_in_its_section(section: str, key: str) -> None:
    assert f"`{key}`" in _section("settings.md", f"[{section}]")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_error_stands_with_its_exit_code_and_its_three_sentences(kind: ErrorKind) -> None:
    section = _section("errors.md", kind.code)

    assert re.search(rf"\b{kind.exit.value}\b", section)
    for text in (kind.message, kind.data, kind.next):
        assert _plain(text) in _plain(section)


@pytest.mark.parametrize("code", ExitCode)
def test_an_exit_code_stands_with_its_meaning(code: ExitCode) -> None:
    page = _page("errors.md")

    assert re.search(rf"^\| *`?{code.value}`? *\|.*{re.escape(EXIT_MEANING[code])}", page, re.MULTILINE)


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_checklist_stands_with_its_remedy(line: str) -> None:
    assert _plain(LINES[line].fix) in _plain(_section("checklist.md", line))


def _section(page: str, title: str) -> str:
    """The text below the heading that names this, up to the next heading."""
    heading = re.search(rf"^(#+) `?{re.escape(title)}`?\s*$", _page(page), re.MULTILINE)
    assert heading is not None, f"docs/reference/{page} has no heading {title}"
    return re.split(r"^#+ ", _page(page)[heading.end() :], maxsplit=1, flags=re.MULTILINE)[0]


def _plain(text: str) -> str:
    """Without the marks and breaks that a page may add."""
    return re.sub(r"[\s`*\\|]+", " ", text).strip()


@cache
def _page(name: str) -> str:
    return (_REFERENCE / name).read_text(encoding="utf-8")
