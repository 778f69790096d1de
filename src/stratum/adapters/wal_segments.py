"""WAL files of one cluster in the archive: checked, compressed and filed as they close, and found again."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from stratum.adapters import durable
from stratum.adapters.seal import SUFFIX as AGE
from stratum.adapters.seal import UNSEALED, Seal
from stratum.adapters.sealed_zstd import pack_file
from stratum.adapters.zstd import DAMAGED, open_compressed
from stratum.core.errors import StratumError
from stratum.core.wal import (
    SEGMENT_BYTES,
    SegmentName,
    StoredSegment,
    TimelineHistory,
    parse_history,
    parse_history_name,
    parse_segment_name,
)

SUFFIX, PARTIAL = ".zst", ".partial"
SUMS = "SHA256SUMS"
_LOCK = ".lock"
_SEGMENT_SIZE = "segment-bytes"
"""There only where segments do not have PostgreSQL's own size: nothing but a segment's content says it."""
_CHUNK = 1 << 20
_TAIL = 1 << 16
_SMALLEST = 1 << 20

_LONG_HEADER = struct.Struct("=HHIQI4xQII")
"""xlp_magic, xlp_info, xlp_tli, xlp_pageaddr, xlp_rem_len, xlp_sysid, xlp_seg_size, xlp_xlog_blcksz: what the first
page of each segment begins with (src/include/access/xlog_internal.h of PostgreSQL 14 to 18)."""
_LONG_HEADER_FLAG = 0x0002


def read_header(stream: IO[bytes]) -> tuple[int, int, str, int] | None:
    """Timeline, address, system identifier and segment size that a segment's first page names; None for no header."""
    head = stream.read(_LONG_HEADER.size)
    if len(head) < _LONG_HEADER.size:
        return None
    _, info, timeline, address, _, identifier, segment_bytes, _ = _LONG_HEADER.unpack(head)
    return (timeline, address, str(identifier), segment_bytes) if info & _LONG_HEADER_FLAG else None


def header_problem(plain: Path, name: SegmentName, *, system_identifier: str) -> str | None:
    """Why a file is not the segment its name says; None where it is.

    A segment in which a timeline begins may carry the older one's number on its first page.
    """
    segment_bytes = plain.stat().st_size
    with plain.open("rb") as stream:
        found = read_header(stream)
    if found is None:
        return "its first page has no header"
    timeline, address, identifier, said_bytes = found
    if identifier != system_identifier:
        return f"it is of the cluster {identifier}"
    if said_bytes != segment_bytes:
        return f"it has {segment_bytes} bytes instead of {said_bytes}"
    if address != name.number * said_bytes or timeline > name.timeline:
        return "its first page belongs to another place in the WAL"
    return None


class ClusterWal:
    """`wal/<system_identifier>` of an archive."""

    def __init__(self, path: Path, system_identifier: str, seal: Seal = UNSEALED) -> None:
        self.path = path
        self._seal = seal
        self._system_identifier = system_identifier

    def segment_bytes(self) -> int:
        """As the newest received file says, or the note; PostgreSQL's default where there is neither.

        What a file says and not how long it is: on a full disk a new one stays shorter than its segment.
        """
        for folder in sorted(self.path.glob("receiving-*"), reverse=True):
            for name in _names(folder):
                said = _said_bytes(folder / name) if _is_segment(name.removesuffix(PARTIAL)) else None
                if said is not None:
                    return said
        with suppress(FileNotFoundError):
            return int((self.path / _SEGMENT_SIZE).read_text(encoding="ascii"))
        return SEGMENT_BYTES

    def file_closed(self, receiving: Path, *, now: datetime) -> tuple[StoredSegment, ...]:
        """File every complete segment of a receiving directory; the newest plain one stays there besides.

        Raises `wal-damaged` for a file that is not what its name says, and files nothing from it on.
        """
        closed = sorted(name for name in _names(receiving) if _is_segment(name))
        filed = tuple(self._file(receiving / name, now=now) for name in closed if not self._is_filed(name))
        for name in closed[:-1]:
            # pg_receivewal takes its start from the newest complete segment of its directory.
            (receiving / name).unlink()
        return filed

    def keep_partial(self, receiving: Path, *, now: datetime) -> None:
        """Keep the last bytes that an incarnation received, whose segment never closed."""
        for name in _names(receiving):
            if name.endswith(PARTIAL) and _is_segment(name.removesuffix(PARTIAL)) and has_begun(receiving / name):
                self._file(receiving / name, now=now)

    def store_history(self, timeline: int, text: str) -> None:
        """Keep what a timeline continues; it never changes, so one that is there stays."""
        parse_history(timeline, text)
        self.path.mkdir(mode=0o750, parents=True, exist_ok=True)
        file = self.path / f"{timeline:08X}.history"
        if not file.exists():
            durable.write_file(file, text)

    def histories(self) -> tuple[TimelineHistory, ...]:
        """Of every timeline that continues another. A damaged file raises `archive-unreadable`."""
        found = []
        for path in sorted(self.path.glob("*.history")):
            timeline = parse_history_name(path.name)
            if timeline is None:
                continue
            try:
                found.append(parse_history(timeline, path.read_text(encoding="utf-8")))
            except ValueError as error:
                raise StratumError("archive-unreadable", file=path.name, problem=error) from None
        return tuple(found)

    def segments(self) -> Iterator[StoredSegment]:
        """All stored ones, then those in receiving directories that are not filed yet, then partial ones."""
        size = self.segment_bytes()
        stored = {(s.segment, s.partial): s for folder in self._timelines() for s in _stored(folder, size)}
        for folder in sorted(self.path.glob("receiving-*")):
            for name in _names(folder):
                found = _received(folder / name, size)
                if found is not None:
                    stored.setdefault((found.segment, found.partial), found)
        # Numbers are compared faster than records, and there may be many thousands.
        yield from sorted(stored.values(), key=lambda s: (s.partial, s.segment.timeline, s.segment.number))

    def remove(self, before: SegmentName) -> int:
        """Remove filed segments with a lower number, on every timeline; the bytes that frees."""
        freed, size = 0, self.segment_bytes()
        for folder in self._timelines():
            going = {name for name in _names(folder) if _is_older(name, before, size)}
            if not going:
                continue
            # Their lines first: a cut between the two leaves files that count for nothing and go the next time.
            with self._writing_sums():
                kept = [line for line in _sum_lines(folder) if line.split("  ", 1)[-1] not in going]
                durable.write_file(folder / SUMS, "".join(f"{line}\n" for line in kept))
            for name in going:
                freed += (folder / name).stat().st_size
                (folder / name).unlink()
        return freed

    def stored_files(self) -> Iterator[tuple[Path, str]]:
        """Every stored file with the SHA-256 it had when it was written."""
        for folder in self._timelines():
            for line in _sum_lines(folder):
                sha256, _, name = line.partition("  ")
                yield folder / name, sha256

    @contextmanager
    def _writing_sums(self) -> Iterator[None]:
        """The receiver adds a line while retention, another process, writes the file anew without old ones."""
        handle = durable.open_shared(self.path / _LOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _timelines(self) -> list[Path]:
        if not self.path.is_dir():
            return []
        return sorted(path for path in self.path.iterdir() if len(path.name) == 8 and path.is_dir())

    def _is_filed(self, name: str) -> bool:
        """Whether it is there with its line: without one, its filing was cut, and it is filed anew."""
        filed = self.path / name[:8] / f"{name}{SUFFIX}"
        return any(file.exists() and _has_line(file) for file in (filed, filed.with_name(f"{filed.name}{AGE}")))

    def _file(self, plain: Path, *, now: datetime) -> StoredSegment:
        name = plain.name.removesuffix(PARTIAL)
        segment = parse_segment_name(name, plain.stat().st_size)
        if segment is None:
            raise StratumError("wal-damaged", file=plain.name, problem="its name and its size do not fit")
        problem = header_problem(plain, segment, system_identifier=self._system_identifier)
        if problem is not None:
            raise StratumError("wal-damaged", file=plain.name, problem=problem)
        folder = self.path / name[:8]
        if not folder.exists():
            folder.mkdir(mode=0o750)
            durable.sync_directory(self.path)
        if plain.stat().st_size != SEGMENT_BYTES:
            durable.write_file(self.path / _SEGMENT_SIZE, f"{plain.stat().st_size}\n")
        target, sha256 = pack_file(plain, folder / f"{plain.name}{SUFFIX}", self._seal)
        with self._writing_sums():
            durable.append_line(folder / SUMS, f"{sha256}  {target.name}")
        return StoredSegment(
            segment=segment,
            bytes=target.stat().st_size,
            sha256=sha256,
            closed_at=now,
            partial=plain.name.endswith(PARTIAL),
        )


def _is_segment(name: str) -> bool:
    """Whether it is the name of a WAL file of any size; the smaller, the more names there are."""
    return parse_segment_name(name, _SMALLEST) is not None


def _said_bytes(file: Path) -> int | None:
    """The segment size in a file's first page, where it has one."""
    with suppress(FileNotFoundError), file.open("rb") as stream:
        header = read_header(stream)
        return header[3] if header is not None and header[3] >= _SMALLEST else None
    return None


def has_begun(partial: Path) -> bool:
    """Whether anything was received into it: pg_receivewal fills a new one with zeros first, as far as there is room.

    Until then it counts for nothing: a server that recovers refuses one that is shorter than its segment.
    """
    with suppress(FileNotFoundError), partial.open("rb") as stream:
        return any(stream.read(_LONG_HEADER.size))
    return False


def drop_cut_padding(receiving: Path) -> None:
    """Remove a partial file of zeros that is shorter than its segment, as a full disk or a kill leaves it.

    pg_receivewal never starts where such a file lies (`open_walfile` in src/bin/pg_basebackup/receivelog.c); nothing
    was received into it.
    """
    names = _names(receiving)
    whole = {(receiving / name).stat().st_size for name in names if _is_segment(name)} or {SEGMENT_BYTES}
    for partial in (receiving / name for name in names if name.endswith(PARTIAL)):
        if partial.stat().st_size not in {0, *whole} and not has_begun(partial):
            partial.unlink()


def sha256_of(file: Path) -> str:
    """Of the file as it lies there."""
    found = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def check_stored(file: Path, sha256: str) -> str | None:
    """Why a stored file is not what was written; None where it is."""
    try:
        if sha256_of(file) != sha256:
            return f"{file.name} has changed content"
        if file.suffix == AGE:
            return None
        with open_compressed(file) as stream:
            while stream.read(_CHUNK):
                pass
    except FileNotFoundError:
        return f"{file.name} is missing"
    except (OSError, *DAMAGED) as error:
        return f"{file.name} cannot be read: {error}"
    return None


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(path.name for path in folder.iterdir())
    return []


def _sum_lines(folder: Path) -> list[str]:
    """One line a stored file; the last one of a name counts, and a torn one is passed over."""
    with suppress(FileNotFoundError):
        lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
        return list({line.split("  ", 1)[-1]: line for line in lines if len(line) > 66}.values())
    return []


def _has_line(file: Path) -> bool:
    """Whether its SHA-256 is written down; a new one is looked for at the end, which is all that is read then."""
    sums, line = file.with_name(SUMS), f"  {file.name}\n".encode()
    with suppress(FileNotFoundError), sums.open("rb") as stream:
        stream.seek(max(0, sums.stat().st_size - _TAIL))
        return line in stream.read() or line in sums.read_bytes()
    return False


def _is_older(name: str, before: SegmentName, segment_bytes: int) -> bool:
    """Whether a stored file, whole or partial, is of a segment with a lower number."""
    segment = parse_segment_name(name[:24], segment_bytes)
    return segment is not None and name[24:] != "" and segment.number < before.number


def _stored(folder: Path, segment_bytes: int) -> Iterator[StoredSegment]:
    sums = {line.split("  ", 1)[1]: line[:64] for line in _sum_lines(folder)}
    with os.scandir(folder) as entries:
        for entry in entries:
            plain = entry.name.removesuffix(AGE).removesuffix(SUFFIX)
            segment = parse_segment_name(plain.removesuffix(PARTIAL), segment_bytes)
            # Without its line a file is one whose filing was cut: the receiving directory still has it.
            if segment is None or entry.name not in sums or plain == entry.name:
                continue
            status = entry.stat()
            yield StoredSegment(
                segment=segment,
                bytes=status.st_size,
                sha256=sums[entry.name],
                closed_at=datetime.fromtimestamp(status.st_mtime, UTC),
                partial=plain.endswith(PARTIAL),
            )


def _received(file: Path, segment_bytes: int) -> StoredSegment | None:
    """A plain file of a receiving directory: complete ones wait to be filed, the partial one is being written."""
    segment = parse_segment_name(file.name.removesuffix(PARTIAL), segment_bytes)
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    partial = file.name.endswith(PARTIAL)
    if segment is None or not status.st_size or (partial and not has_begun(file)):
        return None
    return StoredSegment(
        segment=segment,
        bytes=status.st_size,
        sha256="",
        closed_at=datetime.fromtimestamp(status.st_mtime, UTC),
        partial=partial,
    )
