"""Writes the commands that were found into the text of a new stratum.toml."""

from __future__ import annotations

import json
from collections.abc import Sequence

from stratum.adapters.stack_templates import NO_COMMANDS
from stratum.core.adopted_tools import FoundCommands


def set_commands(toml: str, found: FoundCommands) -> str:
    """The text with `[commands]` filled in; as it was where nothing was found."""
    if not found.service:
        return toml
    lines = [f"service = {json.dumps(found.service, ensure_ascii=False)}"]
    lines.append(f"migrate = {_array(found.migrate)}" + (f"   # {found.tool}" if found.tool else ""))
    lines += ["seed = []", f"health = {_array(found.health)}"]
    return toml.replace(NO_COMMANDS, "\n".join(lines))


def _array(words: Sequence[str]) -> str:
    """A TOML array; a string is written as JSON writes one (https://toml.io/en/v1.0.0#string)."""
    return json.dumps(list(words), ensure_ascii=False).replace("\x7f", "\\u007f")
