"""File sets: directories beside the database, such as uploads, that every dump takes along."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

INSIDE_FILES = "/files"
"""Below this directory the container `backup` sees each set, by its name."""
RESTORE, UNDO_RESTORE = "restore-files", "undo-restore-files"
"""The plans that put other files in a set's place."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSetPolicy:
    """One directory beside the database that every dump takes along. A table `[[files]]` each, in stratum.toml."""

    name: str
    """What `stratum restore --files NAME` calls it."""
    path: str = ""
    """The directory. Not with Compose: there the service `backup` sees it as /files/NAME, read-only, because the
    stack's Compose files mount it there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileContents:
    """What a directory held, told apart by one number."""

    entries: int
    """Files, directories and links below it."""
    bytes: int
    """Of the content of its files."""
    digest: str
    """The sum of the SHA-256 of every entry's path, kind, permissions, size and content, whatever their order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSetFacts:
    """One set of files in a backup."""

    name: str
    path: str
    """A tar compressed with zstd, relative to the backup's directory."""
    contents: FileContents
    """Of the tar, which was read again after it was written."""
    changed: bool
    """Whether something wrote to the directory while it was read."""


def parse_file_sets(value: object, *, is_compose: bool) -> tuple[FileSetPolicy, ...]:
    """The sets a settings file names. Raises ValueError, which says what is wrong with which of them."""
    if not isinstance(value, list):
        raise ValueError("each set of files is a table of its own: [[files]]")
    found = tuple(_file_set(entry, number, is_compose=is_compose) for number, entry in enumerate(value, 1))
    names = [one.name for one in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two sets are called {twice[0]!r}")
    return found


def _file_set(entry: Any, number: int, *, is_compose: bool) -> FileSetPolicy:  # noqa: ANN401 - whatever TOML holds
    known = [field.name for field in dataclasses.fields(FileSetPolicy)]
    unknown = sorted(set(entry) - set(known)) if isinstance(entry, dict) else ["it"]
    if unknown:
        raise ValueError(f"set {number}: {unknown[0]!r} is not known; it may be {', '.join(known)}")
    for key, text in entry.items():
        if not isinstance(text, str):
            raise ValueError(f"set {number}: {key} has to be a text")
    if not _NAME.fullmatch(entry.get("name", "")):
        raise ValueError(f"set {number}: give it a name of 1 to 41 small letters, digits, - and _")
    if is_compose and entry.get("path"):
        place = f"{INSIDE_FILES}/{entry['name']}"
        raise ValueError(f"set {entry['name']!r}: with Compose it has no path; mount it at {place} of `backup`")
    if not is_compose and not entry.get("path"):
        raise ValueError(f"set {entry['name']!r}: path has to be set")
    return FileSetPolicy(**entry)
