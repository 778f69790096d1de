"""Reads a stored base backup as it lies in the archive: every file of it, and every file within its tars."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from stratum.adapters.base_copy import MANIFEST
from stratum.adapters.seal import UNSEALED, Seal
from stratum.adapters.sealed_zstd import find_packed, open_packed
from stratum.adapters.wal_segments import sha256_of
from stratum.adapters.zstd import DAMAGED
from stratum.core.base_backup import BaseManifest
from stratum.core.errors import StratumError
from stratum.core.proof import Check, Verdict, could_not_verify, listed

_CHUNK = 1 << 20
_UNLISTED = {MANIFEST, "tablespace_map", "standby.signal", "recovery.signal", "postgresql.auto.conf"}
_WAL = "pg_wal/"


def check_base(manifest: BaseManifest, path: Path, seal: Seal = UNSEALED) -> tuple[Check, ...]:
    """Compare the stored files with the record, then the members of the tars with `backup_manifest`.

    `pg_verifybackup` reads tars from 18 on only; this reads them as they stream by, and needs no room.
    (https://www.postgresql.org/docs/current/app-pgverifybackup.html)
    """
    wrong = [problem for file in manifest.files if (problem := _differs(path / file.path, file.bytes, file.sha256))]
    if wrong:
        return (Check(name="stored-files", verdict=Verdict.FAILED, reason=listed(wrong)),)
    stored = Check(name="stored-files", verdict=Verdict.PROVEN, reason=f"{len(manifest.files)} files, SHA-256 equal")
    try:
        return stored, _check_members(path, seal)
    except StratumError as error:
        if error.code == "sealed-damaged":
            return stored, Check(name="tar-members", verdict=Verdict.FAILED, reason=error.message)
        return stored, could_not_verify("tar-members", error.message)


def _differs(file: Path, bytes_: int, sha256: str) -> str | None:
    if not file.is_file():
        return f"{file.name} is missing"
    if file.stat().st_size != bytes_:
        return f"{file.name} has {file.stat().st_size} bytes instead of {bytes_}"
    return None if sha256_of(file) == sha256 else f"{file.name} has changed content"


def _check_members(path: Path, seal: Seal) -> Check:
    with seal.opened(find_packed(path, MANIFEST)) as stream:
        listing = json.load(stream)
    wanted = {
        entry["Path"]: (int(entry["Size"]), str(entry["Checksum"])) for entry in listing["Files"] if "Path" in entry
    }
    try:
        found = dict(_members(path, seal))
    except (OSError, tarfile.TarError, *DAMAGED) as error:
        return Check(name="tar-members", verdict=Verdict.FAILED, reason=f"a tar cannot be read to its end: {error}")
    wrong = [name for name, facts in wanted.items() if found.get(name) != facts]
    more = [name for name in found if name not in wanted and name not in _UNLISTED and not name.startswith(_WAL)]
    if wrong or more:
        said = [f"{name} is missing or has changed" for name in wrong] + [f"{name} does not belong" for name in more]
        return Check(name="tar-members", verdict=Verdict.FAILED, reason=listed(said))
    return Check(
        name="tar-members", verdict=Verdict.PROVEN, reason=f"{len(wanted)} files as backup_manifest lists them"
    )


def _members(path: Path, seal: Seal) -> Iterator[tuple[str, tuple[int, str]]]:
    """Each file within the tars, by its path in the data directory, with its size and SHA-256."""
    for tar in sorted(path.glob("*.tar.zst*")):
        oid = tar.name.partition(".")[0]
        below = "" if oid == "base" else f"pg_tblspc/{oid}/"
        with open_packed(tar, seal) as stream, tarfile.open(fileobj=stream, mode="r|") as members:
            for member in members:
                content = members.extractfile(member) if member.isreg() else None
                if content is not None:
                    yield f"{below}{member.name.removeprefix('./')}", _digest(content)


def _digest(content: IO[bytes]) -> tuple[int, str]:
    found, size = hashlib.sha256(), 0
    while chunk := content.read(_CHUNK):
        found.update(chunk)
        size += len(chunk)
    return size, found.hexdigest()
