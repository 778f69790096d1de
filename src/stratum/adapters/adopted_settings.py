"""What a PostgreSQL service of a Compose project is told: settings on its command line, and values out of files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

_SETTING = re.compile(r"(?:-c\s*|--)([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
_LINE = re.compile(r"^\s*([a-z_]\w*)\s*(?:=|\s)\s*('(?:[^']|'')*'|[^\s#]+)", re.MULTILINE | re.IGNORECASE)


def told_settings(spec: Mapping[str, Any]) -> dict[str, str]:
    """Settings of the service's command and of the configuration file it names, as far as that lies on this machine.

    The command line counts over the file. (https://www.postgresql.org/docs/current/config-setting.html)
    """
    told = dict(_on_the_command_line(spec))
    file = told.get("config_file", "")
    text = _text_behind(file, spec) if file else ""
    return dict(_in_the_file(text)) | told


def _on_the_command_line(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    words = [str(word) for part in ("entrypoint", "command") for word in spec.get(part) or ()]
    for before, word in zip(["", *words], words, strict=False):
        found = _SETTING.fullmatch(f"-c {word}" if before == "-c" else word)
        if found:
            yield found[1].lower().replace("-", "_"), found[2]


def _in_the_file(text: str) -> Iterator[tuple[str, str]]:
    for name, value in _LINE.findall(text):
        yield name.lower(), value.strip("'").replace("''", "'")


def from_file(name: str, environment: Mapping[str, str], spec: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The value of a variable, or what the file `NAME_FILE` names holds; empty where neither can be read.

    (https://github.com/docker-library/docs/blob/master/postgres/content.md, Docker Secrets)
    """
    if environment.get(name):
        return environment[name]
    target = environment.get(f"{name}_FILE", "")
    if not target:
        return ""
    for mount in spec.get("secrets") or ():
        inside = mount.get("target") or mount["source"]
        path = inside if inside.startswith("/") else f"/run/secrets/{inside}"
        file = (config.get("secrets") or {}).get(mount["source"], {}).get("file")
        if path == target and file:
            return _text(Path(file)).rstrip("\n")
    return _text_behind(target, spec).rstrip("\n")


def _text_behind(inside: str, spec: Mapping[str, Any]) -> str:
    """A file of the container that is a bind mount's, or lies in one."""
    wanted = PurePosixPath(inside)
    for mount in spec.get("volumes") or ():
        if mount["type"] == "bind" and wanted.is_relative_to(mount["target"]):
            return _text(Path(mount["source"]) / wanted.relative_to(mount["target"]))
    return ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
