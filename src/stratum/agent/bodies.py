"""Reads what requests carry, strictly: unknown fields and values of another type are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from json import loads
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request

from stratum.core.errors import StratumError
from stratum.core.job import JobRequest

MOST_SHOWN = 1000
_SHOWN = 100
_NAME_BYTES, _WHO_LENGTH, _TOKEN_LENGTH, _MOST_CONFIRMED = 63, 200, 200, 10
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,99}")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class JobAnswer:
    """What a person typed: the stack's name, as often as the question wants it."""

    confirmed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenToRedeem:
    """A one-time token of `stratum console-token`."""

    token: str


async def read_request(request: Request) -> JobRequest:
    """What is asked for, with every value in its bounds. Raises `malformed-request`."""
    found = await _read(request, JobRequest)
    if not 0 < len(found.who) <= _WHO_LENGTH or not found.who.isprintable():
        raise malformed("who", f"it must be 1 to {_WHO_LENGTH} visible characters")
    if found.backup_id is not None:
        checked_id(found.backup_id)
    for field in ("database", "into"):
        name = getattr(found, field)
        if name is not None and (not 0 < len(name.encode(errors="replace")) <= _NAME_BYTES or "\0" in name):
            raise malformed(field, f"a database's name has 1 to {_NAME_BYTES} bytes and no NUL")
    if found.at is not None and found.at.tzinfo is None:
        raise malformed("at", "a time needs its zone, such as 2026-03-02T10:00+01:00")
    if found.at is not None and found.backup_id is not None:
        raise malformed("at", "it cannot go with backup_id")
    return found


async def read_answer(request: Request) -> JobAnswer:
    """What was typed. Raises `malformed-request`."""
    found = await _read(request, JobAnswer)
    if len(found.confirmed) > _MOST_CONFIRMED:
        raise malformed("confirmed", f"no question wants more than {_MOST_CONFIRMED}")
    return found


async def read_token(request: Request) -> str:
    """The token to use up. Raises `malformed-request`."""
    found = await _read(request, TokenToRedeem)
    if not 0 < len(found.token) <= _TOKEN_LENGTH:
        raise malformed("token", f"a token has 1 to {_TOKEN_LENGTH} characters")
    return found.token


def read_limit(request: Request) -> int:
    """How many are wanted, newest first. Raises `malformed-request`."""
    text = request.query_params.get("limit", str(_SHOWN))
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 0 < int(text) <= MOST_SHOWN:
        raise malformed("limit", f"it must be a number from 1 to {MOST_SHOWN}")
    return int(text)


def read_flag(request: Request, name: str) -> bool:
    """A query parameter that is `true` or `false`; false where it is missing. Raises `malformed-request`."""
    text = request.query_params.get(name, "false")
    if text not in {"true", "false"}:
        raise malformed(name, "it must be true or false")
    return text == "true"


def checked_id(backup_id: str) -> str:
    """A backup's id is one plain word; whatever else is asked for is no backup. Raises `unknown-backup`."""
    if not _ID.fullmatch(backup_id):
        raise StratumError("unknown-backup", backup=ascii(backup_id[:100]))
    return backup_id


def malformed(where: str, problem: str) -> StratumError:
    """The request is not understood, and why."""
    return StratumError("malformed-request", where=where, problem=problem)


async def _read(request: Request, kind: type[T]) -> T:
    body = await request.body()
    try:
        plain = loads(body)
    except (ValueError, RecursionError):
        raise malformed("body", "it is not JSON") from None
    if not isinstance(plain, dict):
        raise malformed("body", "it is not a JSON object")
    for name in plain.keys() - {field.name for field in fields(kind)}:  # type: ignore[arg-type]  # records all
        raise malformed(ascii(name[:100]), "there is no such field")
    try:
        return TypeAdapter(kind).validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise malformed(where[:100], first["msg"]) from None
