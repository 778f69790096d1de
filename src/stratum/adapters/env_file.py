"""Edits a .env file as text: one variable's value at a time, every other character as its owner wrote it."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from stratum.adapters import durable

_ASSIGNMENT = re.compile(
    r"""(?P<before>\s*(?:export[^\S\r\n]+)?[^=\#\s]+[^\S\r\n]*=[^\S\r\n]*)
    (?P<value>'(?:\\'|[^'])*'|"(?:\\"|[^"])*"|[^\r\n]*?)
    (?P<after>(?:[^\S\r\n]+\#[^\r\n]*)?[^\S\r\n]*[\r\n]*)""",
    re.VERBOSE,
)
"""One variable as python-dotenv delimits it: a quoted value may go over several lines."""


def read_text(file: Path) -> str:
    """The file with its own ends of lines."""
    return file.read_bytes().decode("utf-8")


def replace_variable(file: Path, name: str, value: str) -> None:
    """Set one variable of a .env file in one step; every other line, comments included, stays as it is.

    `value` is written as it stands: one with `$`, quotes, `#` or spaces in it has to come in quotes.
    """
    write_text(file, replace_variables(read_text(file), {name: value}))


def write_text(file: Path, text: str) -> None:
    """Replace the file in one step, with the rights and the owner it had; a link to it stays one."""
    there, before = file.resolve(), file.stat()
    durable.write_file(there, text, mode=before.st_mode & 0o777)
    after = there.stat()
    if (after.st_uid, after.st_gid) != (before.st_uid, before.st_gid):
        os.chown(there, before.st_uid, before.st_gid)


def replace_variables(text: str, values: Mapping[str, str | None]) -> str:
    """The text with these values, as they are to stand there; None takes the variable out. What is new comes last."""
    left = dict(values)

    def changed(name: str, _: str) -> str | None:
        left.pop(name, None)
        return values[name]

    found = _edited(text, lambda name: name in values, changed)
    joint = "" if not found or found.endswith("\n") else "\n"
    added = "".join(f"{name}={value}\n" for name, value in left.items() if value is not None)
    return found + (joint + added if added else "")


def replace_within(text: str, name: str, old: str, new: str) -> str:
    """The text with `new` in place of `old` inside the value of one variable."""
    return _edited(text, lambda each: each == name, lambda _, value: value.replace(old, new))


def _edited(text: str, wanted: Callable[[str], bool], change: Callable[[str, str], str | None]) -> str:
    """Each assignment of a wanted variable anew. A name that stands twice is changed twice: the last one counts."""
    from dotenv.parser import parse_stream

    kept = []
    # Without newline="" the stream would make one kind of end out of all.
    for binding in parse_stream(io.StringIO(text, newline="")):
        written = binding.original.string
        if binding.key is None or binding.error or not wanted(binding.key):
            kept.append(written)
            continue
        parts = _ASSIGNMENT.fullmatch(written)
        value = change(binding.key, parts["value"] if parts else "")
        if value is None:
            continue
        kept.append(f"{parts['before']}{value}{parts['after']}" if parts else f"{binding.key}={value}\n")
    return "".join(kept)
