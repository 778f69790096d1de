"""The stack's own files in the archive: settings, secrets and certificates, sealed, and kept anew on every change.

They are what no backup of a database holds, and without them nobody can sign in to what was restored. They hold
passwords, so an archive that is not sealed does not get them.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.seal import SUFFIX, Seal
from stratum.core.errors import StratumError

FOLDER = "stack"
_PATTERNS = (
    "stratum.toml",
    ".env",
    ".env.example",
    ".gitignore",
    "Makefile",
    "*compose*.y*ml",
    "docker/**/*",
    "monitoring/*",
    "certificates/*",
)
_LEFT_OUT = ("docker/stratum/", "docker/.")
"""What is staged anew from the installed package."""
_MOST_BYTES = 1 << 20
_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{16}\.tar\.age")
_CERTIFICATES = ("NGINX_CERT_PATH", "NGINX_KEY_PATH")


def keep_stack_files(
    archive: Path, directory: Path, *, environment: Mapping[str, str], seal: Seal, now: datetime
) -> Path | None:
    """Seal the files of a stack into its archive, if they changed since; None where nothing was written.

    Nothing is written to an archive that is not sealed.
    """
    if not seal.seals:
        return None
    content = _render(directory, environment)
    digest = hashlib.sha256(content).hexdigest()[:16]
    folder = archive / FOLDER
    newest = newest_kept(path.name for path in folder.glob("*")) if folder.is_dir() else None
    if newest is not None and f"-{digest}." in newest:
        return None
    with durable.archive_errors(archive):
        if not (archive / "archive.json").is_file():
            return None
        folder.mkdir(mode=0o750, exist_ok=True)
        target = folder / f"{now:%Y%m%dT%H%M%SZ}-{digest}.tar{SUFFIX}"
        seal.seal_into(io.BytesIO(content), target, name=target.name)
        durable.sync_directory(folder)
    return target


def newest_kept(names: Iterator[str]) -> str | None:
    """The newest of the stack's files among these names."""
    return max((name for name in names if _NAME.fullmatch(name)), default=None)


def lay_down_kept(sealed: Path, directory: Path, *, seal: Seal) -> tuple[Path, ...]:
    """Unpack the stack's files where none are. Raises `stack-exists`, before it writes anything, and the seal's own."""
    for name in ("stratum.toml", ".env"):
        if (directory / name).exists():
            raise StratumError("stack-exists", directory=directory, file=name)
    with seal.opened(sealed) as stream:
        content = stream.read()
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            plain = tar.extractfile(member)
            target = (directory / member.name).resolve()
            if plain is None or not target.is_relative_to(directory.resolve()):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch(mode=0o600)
            target.write_bytes(plain.read())
            target.chmod(member.mode & 0o777)
            written.append(target)
    return tuple(written)


def _render(directory: Path, environment: Mapping[str, str]) -> bytes:
    """The same files make the same bytes, whenever they were written."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, file in sorted(_members(directory, environment).items()):
            content = file.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), file.stat().st_mode & 0o777
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _members(directory: Path, environment: Mapping[str, str]) -> dict[str, Path]:
    found = [path for pattern in _PATTERNS for path in directory.glob(pattern)]
    found += [directory / environment[name] for name in _CERTIFICATES if environment.get(name)]
    inside = {}
    for path in found:
        file = Path(directory, path)
        if not file.is_file() or not file.resolve().is_relative_to(directory.resolve()):
            continue
        name = str(file.resolve().relative_to(directory.resolve()))
        if not name.startswith(_LEFT_OUT) and file.stat().st_size <= _MOST_BYTES:
            inside[name] = file
    return inside
