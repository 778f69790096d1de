"""Unpacks a base backup into an empty directory, and compares every file of it with its own manifest."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from stratum.adapters.postgresql_tools import Installation
from stratum.adapters.process import RunAs, run_tool, tool_environment
from stratum.adapters.seal import Seal
from stratum.adapters.sealed_zstd import find_packed, open_packed
from stratum.adapters.tar_unpack import settling, unpack
from stratum.core.base_backup import BaseManifest
from stratum.core.errors import StratumError
from stratum.core.proof import Check, Verdict

_SECONDS = 24 * 3600.0
_MAP = "tablespace_map"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpacking:
    """What is unpacked, and where to."""

    base: BaseManifest
    stored: Path
    """The base backup's directory in the archive."""
    seal: Seal
    installation: Installation
    run_as: RunAs | None
    new: Path
    """The empty data directory."""
    tablespaces: Path | None
    """Where each tablespace gets a directory of its own; None where there is no room for any."""
    workspace: Path


def run_unpacking(work: Unpacking) -> Check:
    """Unpack, and compare before any WAL is replayed. Raises `recovery-failed`.

    Tablespaces never go to where they were: the cluster they were copied from may live there.
    (https://www.postgresql.org/docs/current/app-pgverifybackup.html)
    """
    from stratum.adapters.zstd import DAMAGED

    places = _make_places(work)
    try:
        _unpack(work, "base", work.new)
        for oid, place in places.items():
            _unpack(work, str(oid), place)
            link = work.new / "pg_tblspc" / str(oid)
            link.unlink(missing_ok=True)
            link.symlink_to(place)
    except (OSError, *DAMAGED) as error:
        raise StratumError("recovery-failed", problem=f"base backup {work.base.id} is damaged: {error}") from None
    _verify(work, tuple(places.values()))
    if places:
        # The server makes the links anew from this file when it starts, with the places of before in it.
        text = "".join(f"{oid} {_escaped(place)}\n" for oid, place in places.items())
        (work.new / _MAP).write_text(text, encoding="utf-8")
    return Check(name="files", verdict=Verdict.PROVEN, reason="every file is as its manifest says")


def refuse_younger_tablespaces(base: BaseManifest, living: Path, kept: Iterable[Path] = ()) -> None:
    """Raises `recovery-failed` where replay could write into a tablespace of another data directory.

    WAL says where a tablespace was made, and replay makes it there again: one that is younger than the base backup
    would be that of the living cluster. Those that are kept may be of another history than the base backup: there a
    link counts that is younger than it.
    """
    known = {str(tablespace.oid) for tablespace in base.tablespaces}
    since = base.started_at.timestamp()
    younger = [
        *_strange_links(living, known),
        *(link for data in kept for link in _strange_links(data, known) if link.lstat().st_mtime >= since),
    ]
    if younger:
        raise StratumError(
            "recovery-failed",
            problem=f"the tablespace at {younger[0].readlink()} was made after base backup {base.id}, and replaying "
            "that would write into it; moments after the next base backup can be recovered",
        )


def _strange_links(data: Path, known: Container[str]) -> list[Path]:
    links = data / "pg_tblspc"
    found = sorted(links.iterdir()) if links.is_dir() else []
    return [link for link in found if link.is_symlink() and link.name not in known]


def _make_places(work: Unpacking) -> dict[int, Path]:
    """An empty directory for each, by OID."""
    if work.base.tablespaces and work.tablespaces is None:
        raise StratumError("recovery-failed", problem="the cluster has tablespaces, and a volume has no room for them")
    found: dict[int, Path] = {}
    for tablespace in work.base.tablespaces if work.tablespaces is not None else ():
        place = found[tablespace.oid] = work.tablespaces / str(tablespace.oid)  # type: ignore[operator]  # told apart above
        for folder in (place.parent.parent, place.parent, place):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if work.run_as is not None:
                os.chown(folder, work.run_as.uid, work.run_as.gid)
    return found


def _unpack(work: Unpacking, name: str, into: Path) -> None:
    with open_packed(find_packed(work.stored, f"{name}.tar.zst"), work.seal) as packed:
        unpack(packed, into, run_as=work.run_as, log=work.workspace / "log")


def _verify(work: Unpacking, places: tuple[Path, ...]) -> None:
    manifest = work.workspace / "backup_manifest"
    work.seal.open_into(find_packed(work.stored, manifest.name), manifest)
    argv = (work.installation.program("pg_verifybackup"), "--quiet", "--no-parse-wal",
            f"--manifest-path={manifest}", str(work.new))  # fmt: skip
    try:
        with ExitStack() as settled:
            for tree in (work.new, *places):
                settled.enter_context(settling(tree))
            done = run_tool(argv, timeout_seconds=_SECONDS, env=tool_environment(), accept=(0, 1))
    except OSError as error:
        raise StratumError("recovery-failed", problem=f"the disk does not take it: {error}") from None
    if done.exit_code != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[0]
        raise StratumError("recovery-failed", problem=f"base backup {work.base.id} is damaged: {said}")


def _escaped(place: Path) -> str:
    return str(place).replace("\\", "\\\\").replace("\n", "\\\n")
