"""Turns the frozen records of `core` into JSON and back, strictly."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from stratum.core.errors import StratumError

T = TypeVar("T")


def to_json(record: object) -> str:
    """One line of JSON; times are ISO 8601 with zone, durations ISO 8601."""
    return _adapter(type(record)).dump_json(record).decode()


def to_dict(record: object) -> dict[str, Any]:
    """The record as plain JSON-ready values."""
    plain: dict[str, Any] = _adapter(type(record)).dump_python(record, mode="json")
    return plain


def parse(kind: type[T], text: str | bytes, *, file: str, newest_format: int = 1) -> T:
    """Read a record written by `to_json`.

    Raises `archive-too-new` for a higher format number and `archive-unreadable` for anything else that is
    not such a record; unknown fields of the same format are passed over, so that an older Stratum can read
    what a newer one of the same format wrote.
    """
    try:
        plain = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StratumError("archive-unreadable", file=file, problem=f"not JSON: {error}") from None
    return parse_plain(kind, plain, file=file, newest_format=newest_format)


def parse_plain(kind: type[T], plain: object, *, file: str, newest_format: int = 1) -> T:
    """The same for what was JSON and is plain values by now."""
    try:
        found = plain.get("format", 1) if isinstance(plain, dict) else 1
        if isinstance(found, int) and found > newest_format:
            raise StratumError("archive-too-new", file=file, found=found, known=newest_format)
        return _adapter(kind).validate_python(plain)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StratumError("archive-unreadable", file=file, problem=f"{where}: {first['msg']}") from None


def json_schema(kind: type[Any]) -> dict[str, Any]:
    """The JSON Schema of what `to_json` writes for this kind of record."""
    return _adapter(kind).json_schema(mode="serialization")


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}
"""One for each kind of record: building one takes milliseconds, and a journal has thousands of lines."""
