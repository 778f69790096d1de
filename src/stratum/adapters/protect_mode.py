"""Writes `[protect] mode` into stratum.toml: one line changes, everything else stays as its owner wrote it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from stratum.adapters import durable
from stratum.core.errors import StratumError
from stratum.core.receiving import ProtectMode

_SECTION = re.compile(r"^[ \t]*\[protect\][ \t]*(#.*)?$", re.MULTILINE)
_NEXT = re.compile(r"^[ \t]*\[", re.MULTILINE)
_MODE = re.compile(r"^([ \t]*mode[ \t]*=[ \t]*)(\"[^\"\n]*\"|'[^'\n]*')", re.MULTILINE)


def write_mode(file: Path, mode: ProtectMode) -> None:
    """Replace the file in one step. Raises `mode-not-written` where that would change anything else."""
    text = file.read_text(encoding="utf-8")
    changed = render_mode(text, mode)
    before, after = _parse(text, file, mode), _parse(changed, file, mode)
    wanted = before | {"protect": before.get("protect", {}) | {"mode": mode.value}}
    if after != wanted:
        raise StratumError("mode-not-written", file=file, mode=mode, problem="[protect] is written in an uncommon way")
    try:
        durable.write_file(file, changed, mode=file.stat().st_mode & 0o777)
    except OSError as error:
        raise StratumError("mode-not-written", file=file, mode=mode, problem=str(error)) from None


def render_mode(text: str, mode: ProtectMode) -> str:
    """The file's text with this mode, in the place where it stands or would stand."""
    section = _SECTION.search(text)
    if section is None:
        return f'{text.rstrip()}\n\n[protect]\nmode = "{mode}"\n'
    following = _NEXT.search(text, section.end())
    end = following.start() if following else len(text)
    inside, count = _MODE.subn(rf'\g<1>"{mode}"', text[section.end() : end], count=1)
    return text[: section.end()] + (inside if count else f'\nmode = "{mode}"{inside}') + text[end:]


def _parse(text: str, file: Path, mode: ProtectMode) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StratumError("mode-not-written", file=file, mode=mode, problem=str(error)) from None
