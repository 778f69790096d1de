"""The rows of a dump are counted as they stream by, however they are cut, and compared with its manifest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.adapters.copy_counter import CopyCounter
from stratum.core.dump_contents import compare_contents
from stratum.core.proof import Verdict
from tests.fixtures.manifests import a_table

_CONTENTS = ("TABLE public account app", "TABLE DATA public account app", "TABLE DATA public a b app")
_TABLES = (a_table("account", rows=3), a_table("a b", rows=0))


def _script(tables: list[list[bytes]]) -> bytes:
    blocks = (b"COPY public.t (id, note) FROM stdin;\n" + b"".join(rows) + b"\\.\n\n\n" for rows in tables)
    return b"--\n-- PostgreSQL database dump\n--\n\nSET x = 0;\n\n" + b"--\n\n".join(blocks)


_values = st.binary(max_size=12).map(lambda value: value.replace(b"\\", b"\\\\").replace(b"\n", b"\\n") + b"\n")


@given(st.lists(st.lists(_values, max_size=5), max_size=4), st.integers(1, 40))
def test_rows_are_counted_whatever_they_hold_and_however_the_stream_is_cut(
    tables: list[list[bytes]], size: int
) -> None:
    script, counter = _script(tables), CopyCounter()

    for start in range(0, len(script), size):
        counter.take(script[start : start + size])

    assert counter.rows == [len(rows) for rows in tables]
    assert counter.is_complete


@given(st.lists(_values, max_size=5), st.integers(0, 200))
def test_a_stream_that_ends_within_a_table_is_never_complete(rows: list[bytes], left: int) -> None:
    script = _script([rows])
    begin, end = script.index(b"stdin;\n") + len(b"stdin;\n"), len(script) - len(b"\n\n\n")
    counter = CopyCounter()

    counter.take(script[: min(begin + left, end)])

    assert not counter.is_complete
    assert counter.rows == []


def test_a_dump_that_holds_what_the_manifest_says_passes() -> None:
    check = compare_contents(_TABLES, _CONTENTS, (3, 0))

    assert (check.verdict, check.reason) == (Verdict.PROVEN, "data of 2 tables present, 3 rows")


@pytest.mark.parametrize(
    ("contents", "rows", "reason"),
    [
        (_CONTENTS, (2, 0), "public.account: 3 rows expected, 2 in the dump"),
        (_CONTENTS, (3,), "2 tables have data, and 1 of them were read to their end"),
        (_CONTENTS[:2], (3,), "no data in the dump for public.a b"),
        ((), (), "no data in the dump for public.a b, public.account"),
    ],
)
def test_a_dump_that_holds_anything_else_fails(contents: tuple[str, ...], rows: tuple[int, ...], reason: str) -> None:
    check = compare_contents(_TABLES, contents, rows)

    assert (check.verdict, check.reason) == (Verdict.FAILED, reason)


def test_a_table_whose_name_begins_like_anothers_is_not_mistaken_for_it() -> None:
    tables = (a_table("a", rows=5), a_table("a b", rows=2))
    contents = ("TABLE DATA public a app", "TABLE DATA public a b app")

    assert compare_contents(tables, contents, (5, 2)).verdict is Verdict.PROVEN
    assert compare_contents(tables, contents, (4, 2)).verdict is Verdict.FAILED


def test_a_name_with_a_line_break_is_found_as_it_is_listed() -> None:
    assert compare_contents((a_table("a\nb", rows=1),), ("TABLE DATA public a b app",), (1,)).verdict is Verdict.PROVEN
