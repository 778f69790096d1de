"""Looks at the files that a project's services are built from: names, and the short texts that are asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stratum.core.adopted_tools import ServiceSource

_PASSED_OVER = frozenset(
    {".git", "node_modules", ".venv", "venv", "__pycache__", "dist", "build", "target", ".next", "vendor", ".stratum"}
)
_FILES, _DEPTH, _LONGEST = 4000, 7, 200_000
_TEXTS = frozenset(
    {".py", ".js", ".ts", ".mjs", ".cjs", ".rb", ".go", ".php", ".java", ".kt", ".cs", ".rs", ".ex", ".toml"}
)


def observe_sources(config: Mapping[str, Any], *, database: str) -> tuple[ServiceSource, ...]:
    """All services but the database, with their build contexts as far as those lie on this machine."""
    return tuple(
        _observe(name, spec, database) for name, spec in config["services"].items() if name not in {database, "backup"}
    )


def _observe(name: str, spec: Mapping[str, Any], database: str) -> ServiceSource:
    build = spec.get("build") or {}
    context = Path(build.get("context", "")) if build else None
    files = frozenset(_listed(context)) if context is not None and context.is_dir() else frozenset()
    values = " ".join(str(value) for value in (spec.get("environment") or {}).values())
    return ServiceSource(
        service=name,
        image="" if build else spec.get("image", ""),
        command=tuple(map(str, spec.get("command") or ())),
        healthcheck=_healthcheck(spec.get("healthcheck") or {}),
        ports=tuple(int(port["target"]) for port in spec.get("ports") or () if port.get("protocol", "tcp") == "tcp"),
        reaches_database=re.search(rf"(?:@|^|\s){re.escape(database)}(?:[:/\s]|$)", values) is not None,
        files=files,
        dockerfile=_dockerfile(build, context),
        read=_reader(context, files),
    )


def _healthcheck(found: Mapping[str, Any]) -> tuple[str, ...]:
    test = found.get("test") or ()
    words = ("CMD-SHELL", test) if isinstance(test, str) else tuple(map(str, test))
    return () if found.get("disable") or words[:1] == ("NONE",) else words


def _listed(context: Path) -> Iterator[str]:
    """Names below a directory, the nearest first; links are not followed, and no more than some thousands looked at."""
    count = 0
    for folder, inner, names in os.walk(context):
        here = Path(folder).relative_to(context)
        inner[:] = sorted(n for n in inner if n not in _PASSED_OVER) if len(here.parts) < _DEPTH else []
        for name in sorted(names):
            yield (here / name).as_posix()
            count += 1
            if count >= _FILES:
                return


def _dockerfile(build: Mapping[str, Any], context: Path | None) -> str:
    if inline := build.get("dockerfile_inline"):
        return str(inline)
    return _text(context / build.get("dockerfile", "Dockerfile")) if context is not None else ""


def _reader(context: Path | None, files: frozenset[str]) -> Callable[[str], str]:
    def read(name: str) -> str:
        path = Path(name)
        if context is None or name not in files or path.suffix not in _TEXTS:
            return ""
        return _text(context / path)

    return read


def _text(file: Path) -> str:
    """The beginning of a file; what cannot be read says nothing."""
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_LONGEST)
    except OSError:
        return ""
