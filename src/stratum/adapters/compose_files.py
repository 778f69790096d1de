"""Lays down a Compose stack's files, and stages Stratum's own package for the images that are built from it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import stratum
from stratum.adapters import durable

_PACKAGE = Path(stratum.__file__).parent
BACKUP_DOCKERFILE = "backup.Dockerfile"
_IGNORED = shutil.ignore_patterns("__pycache__", "stack", "*.po")


def stack_sources() -> Path:
    """Where the reference stack's files are: in the installed package, or at the root of a checkout."""
    shipped = _PACKAGE / "stack"
    return shipped if shipped.is_dir() else _PACKAGE.parents[1]


def lay_down_compose_files(directory: Path) -> tuple[Path, ...]:
    """Copy compose.yaml, .env.example and docker/; a file that is there already stays as it is."""
    source = stack_sources()
    wanted = [source / "compose.yaml", source / ".env.example"]
    wanted += [
        path for path in sorted((source / "docker").rglob("*")) if path.is_file() and not _is_staged(path, source)
    ]
    written = []
    for file in wanted:
        target = directory / file.relative_to(source)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            durable.write_file(target, file.read_text(encoding="utf-8"), mode=0o644)
            written.append(target)
    return tuple(written)


def lay_down_backup_image(directory: Path) -> tuple[Path, ...]:
    """Copy what the image of the service `backup` is built from, and nothing else; what is there stays as it is."""
    source = stack_sources() / "docker"
    written = []
    for name in (BACKUP_DOCKERFILE, ".dockerignore"):
        target = directory / "docker" / name
        if (source / name).is_file() and not target.exists():
            target.parent.mkdir(exist_ok=True)
            durable.write_file(target, (source / name).read_text(encoding="utf-8"), mode=0o644)
            written.append(target)
    return tuple(written)


def holds_other_image(directory: Path) -> bool:
    """Whether there is a file in the place of our Dockerfile that is not ours."""
    ours, there = stack_sources() / "docker" / BACKUP_DOCKERFILE, directory / "docker" / BACKUP_DOCKERFILE
    return there.exists() and there.read_bytes() != ours.read_bytes()


def stage_package(directory: Path) -> None:
    """Put the package that runs now into docker/stratum/, so that images hold the very Stratum that builds them."""
    staged, aside = directory / "docker" / "stratum", directory / "docker" / ".stratum.new"
    if aside.exists():
        shutil.rmtree(aside)
    shutil.copytree(_PACKAGE, aside / "package", ignore=_IGNORED)
    _make_alike(aside / "package")
    locks = (stack_sources() / "requirements.txt", stack_sources() / "requirements" / "images.txt")
    shutil.copyfile(next(lock for lock in locks if lock.is_file()), aside / "requirements.txt")
    if staged.exists():
        shutil.rmtree(staged)
    aside.rename(staged)


def _make_alike(package: Path) -> None:
    """The same modes on every machine, so that the same source makes the same layer."""
    for folder, _, names in os.walk(package):
        Path(folder).chmod(0o755)
        for name in names:
            Path(folder, name).chmod(0o644)


def _is_staged(path: Path, source: Path) -> bool:
    return (source / "docker" / "stratum") in path.parents
