"""Reads what [archive] of stratum.toml says of sealing and copies: recipients, and a table for each copy."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from stratum.core.copies import DOMAINS, CopyPolicy

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")
_MOST_DAYS = 36500
_PLACE = re.compile(r"file:///.+|s3://[^/]+(/.*)?")
"""A directory of this machine, or a bucket with an optional prefix."""


def parse_copies(value: object) -> tuple[CopyPolicy, ...]:
    """The copies a settings file names. Raises ValueError, which says what is wrong with which of them."""
    if not isinstance(value, list):
        raise ValueError("each copy is a table of its own: [[archive.copies]]")
    found = tuple(_copy(entry, number) for number, entry in enumerate(value, 1))
    names = [copy.name for copy in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two copies are called {twice[0]!r}")
    return found


def recipients_problem(value: object) -> str | None:
    """Why a setting names no age recipients; None where it does, by their form: their check sums are read later."""
    wrong = [one for one in value if not _RECIPIENT.fullmatch(str(one))] if isinstance(value, tuple) else [value]
    if not wrong:
        return None
    if str(wrong[0]).upper().startswith("AGE-SECRET-KEY-"):
        return "a private key stands where its recipient belongs: make a new key, and let `age-keygen -y` print that"
    return f"{wrong[0]!r} is no age recipient such as age1…"


def _copy(entry: Any, number: int) -> CopyPolicy:  # noqa: ANN401 - whatever TOML holds
    known = {field.name: field for field in dataclasses.fields(CopyPolicy)}
    unknown = sorted(set(entry) - set(known)) if isinstance(entry, dict) else ["it"]
    if unknown:
        raise ValueError(f"copy {number}: {unknown[0]!r} is not known; it may be {', '.join(known)}")
    for name, value in entry.items():
        wanted = int if known[name].type == "int" else str
        if type(value) is not wanted:
            raise ValueError(f"copy {number}: {name} has to be {'a number' if wanted is int else 'a text'}")
    if not {"name", "url"} <= set(entry):
        raise ValueError(f"copy {number}: name and url have to be set")
    copy = CopyPolicy(**entry)
    if problem := _problem(copy):
        raise ValueError(f"copy {copy.name!r}: {problem}")
    return copy


def _problem(copy: CopyPolicy) -> str | None:
    if not _NAME.fullmatch(copy.name):
        return "use 1 to 41 small letters, digits, - and _ for its name, beginning with a letter or digit"
    if not _PLACE.fullmatch(copy.url):
        return f"{copy.url!r} is neither s3://bucket/prefix nor file:///path"
    if copy.secret_key and not copy.secret_key.startswith("$"):
        return "secret_key names a variable of .env, such as $COPY_SECRET_KEY; a secret does not stand in this file"
    if copy.failure_domain not in DOMAINS:
        return f"failure_domain is {copy.failure_domain!r} and may be {', '.join(DOMAINS)}"
    if not all(0 <= days <= _MOST_DAYS for days in (copy.keep_days, copy.object_lock_days)):
        return f"keep_days and object_lock_days are between 0 and {_MOST_DAYS}"
    return None
