"""Compressed files of the archive, sealed or not, by one way in and one way out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stratum.adapters.seal import SUFFIX, Seal
from stratum.adapters.zstd import compress_file, open_compressed, pieces

ZSTD = ".zst"


def pack_file(source: Path, target: Path, seal: Seal) -> tuple[Path, str]:
    """Write `source` compressed, and sealed where the archive is; the file's place and its SHA-256.

    A sealed one is named `target` with `.age`. It is whole or not there, and has the source's time.
    """
    if not seal.seals:
        return target, compress_file(source, target)
    sealed = target.with_name(f"{target.name}{SUFFIX}")
    with source.open("rb") as plain, seal.sealing(sealed) as out:
        for piece in pieces(plain):
            out.write(piece)
    status = source.stat()
    os.utime(sealed, ns=(status.st_mtime_ns, status.st_mtime_ns))
    return sealed, out.facts.sha256


@contextmanager
def open_packed(file: Path, seal: Seal) -> Iterator[IO[bytes]]:
    """Read what a compressed file holds; for a damaged one reading raises one of `zstd.DAMAGED`, or a sealed one's."""
    with seal.opened(file) as raw, open_compressed(raw) as stream:
        yield stream


def find_packed(folder: Path, name: str) -> Path:
    """`name` in `folder`, or its sealed form where that is what is there."""
    sealed = folder / f"{name}{SUFFIX}"
    return sealed if sealed.exists() and not (folder / name).exists() else folder / name
