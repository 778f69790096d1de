"""Two schemas are the same when they define the same objects, in whatever order and with whatever comments."""

from __future__ import annotations

from stratum.core.proof import Verdict
from stratum.core.schema import compare_schemas

_TABLE = "--\n-- Name: t; Type: TABLE\n--\n\nCREATE TABLE public.t (\n    id integer\n);\n\n"
_FUNCTION = (
    "--\n-- Name: f(); Type: FUNCTION\n--\n\nCREATE FUNCTION public.f() RETURNS integer\n"
    "    LANGUAGE plpgsql\n    AS $$\nBEGIN\n  PERFORM 1;\n  RETURN 2;\nEND $$;\n\n"
)
_SETTINGS = "SET statement_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\n\\restrict abc\n"


def test_order_settings_and_comments_make_no_difference() -> None:
    check = compare_schemas(dumped=_SETTINGS + _TABLE + _FUNCTION, restored=_FUNCTION + _TABLE + "\\unrestrict abc\n")

    assert check.verdict is Verdict.PROVEN
    assert check.reason == "2 statements equal"


def test_a_missing_object_is_named() -> None:
    check = compare_schemas(dumped=_TABLE + _FUNCTION, restored=_TABLE)

    assert check.verdict is Verdict.FAILED
    assert check.reason == "missing: CREATE FUNCTION public.f() RETURNS integer"


def test_an_object_too_many_is_named() -> None:
    check = compare_schemas(dumped=_TABLE, restored=_TABLE + _FUNCTION)

    assert check.verdict is Verdict.FAILED
    assert check.reason == "added: CREATE FUNCTION public.f() RETURNS integer"


def test_one_changed_line_within_a_function_is_a_difference() -> None:
    check = compare_schemas(dumped=_FUNCTION, restored=_FUNCTION.replace("RETURN 2", "RETURN 3"))

    assert check.verdict is Verdict.FAILED
    assert "missing: " in check.reason
    assert "added: " in check.reason


def test_an_object_defined_twice_is_not_the_same_as_once() -> None:
    assert compare_schemas(dumped=_TABLE, restored=_TABLE * 2).verdict is Verdict.FAILED
