"""Every query has a name, a description and a use, and takes its fragments literally."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import stratum
from stratum.adapters import queries
from stratum.adapters.queries import load_queries, query

_SOURCES = Path(stratum.__file__).parent


@pytest.mark.parametrize("name", load_queries())
def test_a_query_says_what_it_answers(name: str) -> None:
    found = load_queries()[name]
    assert len(found.description.split()) > 1
    assert found.text
    assert not found.text.endswith(";")


def test_no_query_is_left_over() -> None:
    text = "".join(file.read_text() for file in _SOURCES.rglob("*.py"))
    families = tuple(re.findall(r'f"(\w+_)\{', text))
    assert [name for name in load_queries() if f'"{name}"' not in text and not name.startswith(families)] == []


def test_a_fragment_is_put_in_as_it_is() -> None:
    text = query("count_rows", relation=b'public."{relation} \\1 100% \xff"')
    assert text.endswith(b'FROM ONLY public."{relation} \\1 100% \xff"')


@pytest.mark.parametrize("fragments", [{}, {"relation": b"t", "other": b"u"}])
def test_a_forgotten_or_unknown_fragment_is_refused(fragments: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="count_rows takes"):
        query("count_rows", **fragments)


def test_two_queries_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doubled = tmp_path / "queries.sql"
    doubled.write_text("-- name: one\n-- Says one.\nSELECT 1;\n\n-- name: one\n-- Says two.\nSELECT 2;\n")
    monkeypatch.setattr(queries, "_SOURCE", doubled)
    with pytest.raises(ValueError, match="two queries called one"):
        load_queries.__wrapped__()


def test_the_comments_around_a_query_are_not_sent_to_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "queries.sql"
    file.write_text(
        "-- preface\n\n-- name: one\n-- Says\n-- one.\nSELECT 1,\n    -- inner\n    2;\n\n-- =====\n-- Next\n"
    )
    monkeypatch.setattr(queries, "_SOURCE", file)
    (found,) = load_queries.__wrapped__().values()
    assert (found.description, found.text) == ("Says one.", "SELECT 1,\n    -- inner\n    2")
