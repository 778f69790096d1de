"""The page that says what became of the seed names every section of it, and only tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

_PAGE = (ROOT / "docs" / "seed-coverage.md").read_text(encoding="utf-8")
_NAMED = sorted(set(re.findall(r"`([a-z_/]+\.py)::(\w*)`", _PAGE)))
_LAST_SECTION = 19
_ROW = re.compile(r"^\|(?! seed \||---)(.+)\|$", re.MULTILINE)


@pytest.mark.parametrize(("file", "test"), _NAMED)
def test_a_test_that_is_named_exists(file: str, test: str) -> None:
    assert test in _tests_of(ROOT / "tests" / file)


def test_every_section_of_the_seed_stands_there_in_its_order() -> None:
    assert re.findall(r"^## §(\d+) ", _PAGE, re.MULTILINE) == [str(n) for n in range(1, _LAST_SECTION + 1)]


def test_every_row_is_shown_by_a_test_or_says_that_nothing_runs_it() -> None:
    three_columns = [row for row in _ROW.findall(_PAGE) if row.count(" | ") == 2]

    bare = [row for row in three_columns if "::" not in row and "documented only" not in row]

    assert len(three_columns) > 80
    assert bare == []


@cache
def _tests_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
