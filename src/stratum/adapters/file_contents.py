"""What a directory or a tar holds, in a number that is the same for both and in whatever order they are read."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stratum.core.file_sets import FileContents

_CHUNK = 1 << 20
_MODULUS = 1 << 256
_PERMISSIONS = 0o777
"""Of a mode: only root may bring back the other bits of a stranger's file."""


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    kind: str
    """As `find -type` says it."""
    mode: int = 0
    bytes: int = 0
    content: str = ""
    """SHA-256 of a file's content, or where a link leads to."""


def contents_of_directory(place: Path, *, leaving_out: str = "") -> FileContents:
    """Read everything below a directory but the entries at its top whose names begin with `leaving_out`."""
    return _summed(_walk(place, "", leaving_out))


def contents_of_tar(stream: IO[bytes]) -> FileContents:
    """Read a tar to its end as it streams by. Raises ValueError for one that is damaged or holds hard links."""
    return _summed(_members(stream))


def _walk(folder: Path, below: str, leaving_out: str) -> Iterator[_Entry]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if leaving_out and entry.name.startswith(leaving_out):
                continue
            path, found = below + entry.name, entry.stat(follow_symlinks=False)
            mode = found.st_mode & _PERMISSIONS
            if entry.is_symlink():
                yield _Entry(path, "l", content=os.readlink(entry.path))  # noqa: PTH115 - a Path would write it in another way
            elif stat.S_ISREG(found.st_mode):
                with Path(entry.path).open("rb") as content:
                    yield _file(path, mode, content)
            elif stat.S_ISDIR(found.st_mode):
                yield _Entry(path, "d", mode)
                yield from _walk(Path(entry.path), f"{path}/", "")
            elif not stat.S_ISSOCK(found.st_mode):  # tar leaves sockets out: nobody serves behind a stored one
                yield _Entry(path, _KINDS[stat.S_IFMT(found.st_mode)], mode)


_KINDS = {stat.S_IFIFO: "p", stat.S_IFCHR: "c", stat.S_IFBLK: "b"}
_MEMBER_KINDS = {tarfile.DIRTYPE: "d", tarfile.FIFOTYPE: "p", tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b"}


def _members(stream: IO[bytes]) -> Iterator[_Entry]:
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # else it remembers every one of millions
                if (entry := _member(tar, member)) is not None:
                    yield entry
    except tarfile.TarError as error:
        raise ValueError(str(error)) from None


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> _Entry | None:
    path, mode = member.name.removeprefix("./"), member.mode & _PERMISSIONS
    if path == ".":
        return None
    if member.issym():
        return _Entry(path, "l", content=member.linkname)
    if member.isreg():
        content = tar.extractfile(member)
        if content is None:
            raise ValueError(f"{path} has no content")
        with content:
            return _file(path, mode, content)
    if member.type not in _MEMBER_KINDS:
        raise ValueError(f"{path} is of a kind that is not known: {member.type!r}")
    return _Entry(path, _MEMBER_KINDS[member.type], mode)


def _file(path: str, mode: int, content: IO[bytes]) -> _Entry:
    digest, seen = hashlib.sha256(), 0
    while piece := content.read(_CHUNK):
        digest.update(piece)
        seen += len(piece)
    return _Entry(path, "f", mode, seen, digest.hexdigest())


def _summed(entries: Iterator[_Entry]) -> FileContents:
    """Each entry's own hash goes into a sum, which does not depend on their order and needs no memory of them."""
    count = size = total = 0
    for entry in entries:
        line = json.dumps([entry.path, entry.kind, entry.mode, entry.bytes, entry.content])
        total = (total + int.from_bytes(hashlib.sha256(line.encode()).digest())) % _MODULUS
        count, size = count + 1, size + entry.bytes
    return FileContents(entries=count, bytes=size, digest=f"{total:064x}")
