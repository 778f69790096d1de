"""Where copies of an archive stand: a directory, or a bucket of an S3-compatible store."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, Protocol
from urllib.parse import urlsplit

from stratum.adapters import durable
from stratum.core.copies import CopyPolicy
from stratum.core.errors import StratumError

_CHUNK = 1 << 20
_WHOLE_BELOW = 16 << 20
"""Larger files go in parts. A store that can refuse to overwrite does so for files that go whole."""
_PART, _MOST_PARTS = 8 << 20, 9000
"""A store takes 10,000 parts of a file (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html)."""


class AlreadyThereError(Exception):
    """Something stands under that name, and it was not overwritten."""


class Place(Protocol):
    """A tree of files elsewhere, by paths relative to it. Every method raises `copy-away` when it cannot be reached."""

    def sizes(self, below: str = "") -> dict[str, int]:
        """Every file, with its size in bytes."""

    def put(self, path: str, source: Path, *, replace: bool) -> None:
        """Store a file as a whole or not at all. Raises `AlreadyThereError` where it may not replace."""

    def pieces(self, path: str) -> Iterator[bytes] | None:
        """The content of a file; None where there is none."""

    def remove(self, path: str) -> None: ...


def open_place(policy: CopyPolicy, environment: Mapping[str, str]) -> Place:
    """The place a copy stands at; connects to nothing. Raises `missing-secret`."""
    parts = urlsplit(policy.url)
    if parts.scheme == "file":
        return DirectoryPlace(policy.name, Path(parts.path))
    return S3Place(policy, key=_named(policy.access_key, environment), secret=_named(policy.secret_key, environment))


def _named(value: str, environment: Mapping[str, str]) -> str:
    if not value.startswith("$"):
        return value
    found = environment.get(value[1:], "")
    if not found:
        raise StratumError("missing-secret", file=".env", name=value[1:])
    return found


class DirectoryPlace:
    """A directory that has to be there already: a mount that is away must not become a directory beside it."""

    def __init__(self, name: str, root: Path) -> None:
        self._name = name
        self._root = root

    def sizes(self, below: str = "") -> dict[str, int]:
        with self._reached():
            found = (Path(folder, name) for folder, _, names in os.walk(self._root / below) for name in names)
            return {str(p.relative_to(self._root)): p.stat().st_size for p in found if not p.name.startswith(".")}

    def put(self, path: str, source: Path, *, replace: bool) -> None:
        with self._reached():
            target = self._root / path
            if target.exists() and not replace:
                raise AlreadyThereError(path)
            target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            aside = target.with_name(f".{target.name}.new")
            with source.open("rb") as plain, aside.open("wb") as out:
                os.fchmod(out.fileno(), 0o640)
                durable.belong(out.fileno(), self._root)
                shutil.copyfileobj(plain, out, _CHUNK)
                out.flush()
                os.fsync(out.fileno())
            aside.replace(target)
            durable.sync_directory(target.parent)

    def pieces(self, path: str) -> Iterator[bytes] | None:
        with self._reached():
            if not (self._root / path).is_file():
                return None
            return _read(self._root / path, self._reached)

    def remove(self, path: str) -> None:
        with self._reached():
            (self._root / path).unlink(missing_ok=True)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        if not self._root.is_dir():
            raise StratumError("copy-away", copy=self._name, problem=f"there is no directory {self._root}")
        try:
            yield
        except OSError as error:
            raise StratumError("copy-away", copy=self._name, problem=error.strerror or error) from None


def _read(file: Path, reached: Callable[[], Any]) -> Iterator[bytes]:
    with reached(), file.open("rb") as stream:
        # What was just written is read from the disk where the kernel lets go of its own copy.
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while chunk := stream.read(_CHUNK):
            yield chunk


class S3Place:
    """A bucket, or what lies below a prefix of one; requests are tried again for a while by the library itself."""

    def __init__(self, policy: CopyPolicy, *, key: str, secret: str) -> None:
        self._policy = policy
        self._credentials: Any = {"access_key_id": key, "secret_access_key": secret} if key else {}
        self._opened: Any = None

    def sizes(self, below: str = "") -> dict[str, int]:
        import obstore

        with self._reached():
            batches = obstore.list(self._store(), prefix=below or None)
            return {str(found["path"]): int(found["size"]) for batch in batches for found in batch}

    def put(self, path: str, source: Path, *, replace: bool) -> None:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._reached(), source.open("rb") as stream:
            size = source.stat().st_size
            is_small = size < _WHOLE_BELOW
            if not is_small and not replace and self._is_there(path):
                raise AlreadyThereError(path)
            try:
                # Only what goes whole can be refused by the store itself.
                mode: Literal["create", "overwrite"] = "create" if is_small and not replace else "overwrite"
                part = max(_PART, size // _MOST_PARTS)
                obstore.put(
                    self._store(),
                    path,
                    stream,
                    mode=mode,
                    use_multipart=not is_small,
                    chunk_size=part,
                    max_concurrency=2,
                )
            except AlreadyExistsError:
                raise AlreadyThereError(path) from None

    def pieces(self, path: str) -> Iterator[bytes] | None:
        import obstore

        with self._reached():
            try:
                found = obstore.get(self._store(), path)
            except FileNotFoundError:
                return None
        return self._pieces(found)

    def remove(self, path: str) -> None:
        import obstore

        with self._reached():
            obstore.delete(self._store(), path)

    def _pieces(self, found: Any) -> Iterator[bytes]:  # noqa: ANN401 - the library's answer
        with self._reached():
            for chunk in found.stream(min_chunk_size=_CHUNK):
                yield bytes(chunk)

    def _is_there(self, path: str) -> bool:
        import obstore

        try:
            obstore.head(self._store(), path)
        except FileNotFoundError:
            return False
        return True

    def _store(self) -> Any:  # noqa: ANN401 - the library is loaded when it is needed
        from datetime import timedelta

        from obstore.store import S3Store

        if self._opened is None:
            parts = urlsplit(self._policy.url)
            endpoint = self._policy.endpoint
            options: Any = {"timeout": timedelta(minutes=10), "connect_timeout": timedelta(seconds=10)}
            if endpoint.startswith("http://"):
                options["allow_http"] = True
            self._opened = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                region=self._policy.region,
                # The store compares what arrives with it, and refuses what does not match.
                checksum_algorithm="SHA256",
                client_options=options,
                retry_config={"max_retries": 5, "retry_timeout": timedelta(minutes=2)},
                config=self._credentials | ({"endpoint": endpoint} if endpoint else {}),
            )
        return self._opened

    @contextmanager
    def _reached(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (OSError, BaseError) as error:
            said = str(error).strip().splitlines()[0][:300]
            raise StratumError("copy-away", copy=self._policy.name, problem=said) from None


def sha256_at(place: Place, path: str) -> tuple[int, str] | None:
    """Size and SHA-256 of what a place holds, read from there; None where it holds nothing of that name."""
    pieces = place.pieces(path)
    if pieces is None:
        return None
    found, size = hashlib.sha256(), 0
    for piece in pieces:
        found.update(piece)
        size += len(piece)
    return size, found.hexdigest()


def fetch_into(place: Place, path: str, out: IO[bytes]) -> tuple[int, str] | None:
    """Write what a place holds to `out`; its size and SHA-256, or None where there is nothing."""
    pieces = place.pieces(path)
    if pieces is None:
        return None
    found, size = hashlib.sha256(), 0
    for piece in pieces:
        found.update(piece)
        size += len(piece)
        out.write(piece)
    return size, found.hexdigest()
