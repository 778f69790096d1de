"""What is built is what was written: the wheel holds every file the program reads, and nothing else."""

from __future__ import annotations

import gettext
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import stratum
from tests.architecture.sources import ROOT

_CATALOGUE = "stratum/locale/fr/LC_MESSAGES/stratum.mo"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built from the checkout by the locked builder."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as opened:
        yield opened


def test_the_wheel_carries_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "src"
    written = {file.relative_to(package).as_posix() for file in _files_of(package / "stratum")}

    assert {"stratum/py.typed", _CATALOGUE} <= written
    assert written - set(wheel.namelist()) == set()


def test_the_wheel_carries_nothing_else(wheel: zipfile.ZipFile) -> None:
    strangers = [name for name in wheel.namelist() if not name.startswith(("stratum/", "stratum-"))]

    assert strangers == []


def test_the_wheel_carries_the_reference_stack_as_it_stands_in_the_checkout(wheel: zipfile.ZipFile) -> None:
    staged = ROOT / "docker" / "stratum"
    stood = [ROOT / "compose.yaml", ROOT / ".env.example", *(ROOT / "docker").rglob("*")]
    files = [path for path in stood if path.is_file() and staged not in path.parents]

    shipped = {path: wheel.read(f"stratum/stack/{path.relative_to(ROOT).as_posix()}") for path in files}

    assert len(files) > 10
    assert [path for path in files if shipped[path] != path.read_bytes()] == []


def test_a_stack_is_laid_down_from_the_wheel_as_from_a_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "installed")
    program = "from stratum.cli.main import main; main()"
    options = ("--runtime", "compose", "--name", "shop", "--archive", str(tmp_path / "archive"))

    subprocess.run(
        (sys.executable, "-P", "-c", program, "init", *options, str(tmp_path / "shop")),
        env={"PYTHONPATH": str(tmp_path / "installed"), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        timeout=120,
    )

    shop = tmp_path / "shop"
    assert (shop / "compose.yaml").read_bytes() == (ROOT / "compose.yaml").read_bytes()
    assert (shop / "docker" / "stratum" / "package" / "container.py").is_file()
    assert (shop / "docker" / "stratum" / "requirements.txt").read_bytes() == (
        ROOT / "requirements" / "images.txt"
    ).read_bytes()
    assert not (shop / "docker" / "stratum" / "package" / "stack").exists()
    assert (shop / ".env").stat().st_mode & 0o777 == 0o600


def test_the_catalogue_in_the_wheel_is_french(wheel: zipfile.ZipFile) -> None:
    catalogue = gettext.GNUTranslations(io.BytesIO(wheel.read(_CATALOGUE)))

    assert catalogue.info()["language"] == "fr"
    assert (catalogue.charset() or "").lower() == "utf-8"


def test_the_wheel_has_the_version_the_program_says(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))

    assert f"\nVersion: {stratum.__version__}\n" in wheel.read(metadata).decode()


def _files_of(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts
        if file.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in parts):
            yield file
