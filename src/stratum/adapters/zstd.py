"""Zstandard, as any `zstd` program reads it: standard frames with a checksum of their content."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from stratum.adapters import durable

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

LEVEL = 1
_CHUNK = 1 << 20
OPTIONS: dict[Any, int] = {
    zstd.CompressionParameter.compression_level: LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
}


def compress_file(source: Path, target: Path) -> str:
    """Write `source` compressed, so that `target` is whole or not there; the SHA-256 of what was written.

    The source stays; the target's time is the source's.
    """
    aside = target.with_name(f".{target.name}.new")
    try:
        sha256 = _compress(source, aside)
    except OSError:
        aside.unlink(missing_ok=True)  # on a full disk its bytes are what others need to say so
        raise
    status = source.stat()
    os.utime(aside, ns=(status.st_mtime_ns, status.st_mtime_ns))
    aside.replace(target)
    durable.sync_directory(target.parent)
    return sha256


def _compress(source: Path, target: Path) -> str:
    compressor, found = zstd.ZstdCompressor(options=OPTIONS), hashlib.sha256()
    with source.open("rb") as plain, target.open("wb") as out:
        os.fchmod(out.fileno(), 0o640)
        durable.belong(out.fileno(), target.parent)
        while chunk := plain.read(_CHUNK):
            _write(out, found, compressor.compress(chunk))
        _write(out, found, compressor.flush())
        out.flush()
        os.fsync(out.fileno())
    return found.hexdigest()


def pieces(plain: IO[bytes]) -> Iterator[bytes]:
    """What a stream yields, compressed as `compress_file` does."""
    pressing = compressor()
    while chunk := plain.read(_CHUNK):
        yield pressing.compress(chunk)
    yield pressing.flush()


def compressor() -> zstd.ZstdCompressor:
    """Compresses what is pushed through it, as `compress_file` does."""
    return zstd.ZstdCompressor(options=OPTIONS)


def open_compressed(file: Path | IO[bytes]) -> IO[bytes]:
    """Read what a compressed file holds; reading a damaged or cut one raises one of `DAMAGED`."""
    stream: Any = zstd.ZstdFile(file, "rb")
    return cast("IO[bytes]", stream)


DAMAGED = (zstd.ZstdError, EOFError)


def _write(out: IO[bytes], found: hashlib._Hash, part: bytes) -> None:
    found.update(part)
    out.write(part)
