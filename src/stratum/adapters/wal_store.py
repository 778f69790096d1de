"""Base backups and WAL in the archive's directory; readable without Stratum, as RESTORE.md says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.base_check import check_base
from stratum.adapters.records import parse, to_json
from stratum.adapters.restore_base_by_hand import NAME, render_base_by_hand
from stratum.adapters.seal import UNSEALED, Seal
from stratum.adapters.wal_segments import ClusterWal, check_stored
from stratum.core.backup import CHECKSUMS, BrokenBackup, render_checksums
from stratum.core.base_backup import BaseManifest
from stratum.core.errors import StratumError
from stratum.core.proof import Check, Verdict
from stratum.core.receiving import ReceiverState
from stratum.core.wal import Incarnation, SegmentName, StoredSegment, WalInventory

_PARTIAL, _REMOVING = ".partial", ".removing"
_INCARNATIONS, _SCRUBBED, _RECEIVER = "incarnations.jsonl", "read-again.json", "receiver.json"


class DirectoryWalStore:
    """`base/` and `wal/` of an archive that is a local directory."""

    def __init__(self, path: Path, *, stack: str, seal: Seal = UNSEALED) -> None:
        self._path = path
        self.seal = seal
        self._stack = stack

    def bases(self) -> tuple[BaseManifest, ...]:
        """All whole base backups of this stack, oldest first."""
        found = (manifest for manifest in self._readable() if isinstance(manifest, BaseManifest))
        return tuple(sorted(found, key=lambda manifest: manifest.finished_at))

    def broken_bases(self) -> tuple[BrokenBackup, ...]:
        return tuple(found for found in self._readable() if isinstance(found, BrokenBackup))

    def base_path(self, base_id: str) -> Path:
        """Raises `unknown-backup`."""
        path = self._bases / _plain_name(base_id)
        if not (path / "manifest.json").is_file():
            raise StratumError("unknown-backup", backup=base_id)
        return path

    def begin_base(self, base_id: str) -> Path:
        """Make the directory a base backup is written aside in, and throw away what an earlier crash left."""
        with durable.archive_errors(self._path):
            self._bases.mkdir(mode=0o750, exist_ok=True)
            for leftover in self._bases.glob(f"*{_REMOVING}"):
                shutil.rmtree(leftover)
            aside = self.partial_base(base_id)
            aside.mkdir(mode=0o750)
        return aside

    def partial_base(self, base_id: str) -> Path:
        """Where a base backup is written until it is whole."""
        return self._bases / f"{_plain_name(base_id)}{_PARTIAL}"

    def publish_base(self, manifest: BaseManifest) -> None:
        """Make a base backup visible: checksums, everything fsynced, the manifest last, then the final name."""
        aside = self.partial_base(manifest.id)
        manifest = self._sealed(manifest, aside)
        text = to_json(manifest)
        if parse(BaseManifest, text, file=f"{manifest.id}/manifest.json") != manifest:
            raise StratumError("backup-not-whole", problem="its manifest does not read back as it was written")
        with durable.archive_errors(self._path):
            durable.write_file(aside / CHECKSUMS, render_checksums(manifest.files))
            durable.sync_tree(aside)
            durable.write_file(aside / "manifest.json", text + "\n")
            aside.rename(self._bases / manifest.id)
            durable.sync_directory(self._bases)
            self._write_restore_by_hand()

    def discard_base(self, base_id: str) -> None:
        """Throw away what is not whole, and write RESTORE.md anew, in case a crash came before it."""
        with durable.archive_errors(self._path):
            durable.remove_tree(self.partial_base(base_id))
            self._write_restore_by_hand()

    def remove_base(self, base_id: str) -> None:
        """Remove one base backup for good. Removing what is gone already is no error: a resumed plan asks twice."""
        with durable.archive_errors(self._path):
            durable.remove_tree(self._bases / _plain_name(base_id))
            self._write_restore_by_hand()

    def export_base(self, base_id: str, into: Path) -> None:
        """Copy one base backup, which restores by itself, with its instructions to a directory not there yet."""
        source = self.base_path(base_id)
        manifest = self._read_manifest(source)
        with durable.archive_errors(into):
            shutil.copytree(source, into)
            durable.write_file(into / NAME, render_base_by_hand((manifest,), alone=True))
            durable.sync_tree(into)

    def check_base(self, manifest: BaseManifest) -> tuple[Check, ...]:
        """Compare what is stored of a base backup with its record; nothing is unpacked."""
        with durable.archive_errors(self._path):
            return check_base(manifest, self.base_path(manifest.id), self.seal)

    def clusters(self) -> tuple[str, ...]:
        """System identifiers of which there is WAL."""
        wal = self._path / "wal"
        return tuple(sorted(path.name for path in wal.iterdir() if path.is_dir())) if wal.is_dir() else ()

    def wal_path(self, system_identifier: str) -> Path:
        """`wal/<system_identifier>`; it may not exist yet."""
        return self._path / "wal" / _plain_name(system_identifier)

    def inventory(self, system_identifier: str) -> WalInventory:
        """All WAL of one cluster, by the names, sizes and checksum files that are there; no segment is read."""
        wal = self._wal(system_identifier)
        with durable.archive_errors(self._path):
            return WalInventory(
                system_identifier=system_identifier,
                segment_bytes=wal.segment_bytes(),
                segments=tuple(wal.segments()),
                histories=wal.histories(),
                incarnations=self._incarnations(system_identifier),
            )

    def begin_incarnation(self, system_identifier: str, *, timeline: int, at: datetime) -> Incarnation:
        """Close the one before, whose last bytes are kept, and make the directory of a new one."""
        known, wal = self._incarnations(system_identifier), self._wal(system_identifier)
        begun = Incarnation(name=f"{timeline:08X}-{at:%Y%m%dT%H%M%S%f}Z", timeline=timeline, began_at=at)
        with durable.archive_errors(self._path):
            (self._path / "wal").mkdir(mode=0o750, exist_ok=True)
            wal.path.mkdir(mode=0o750, exist_ok=True)
            for old in known:
                if old.ended_at is None:
                    receiving = self.receiving_path(system_identifier, old.name)
                    whole = _filed_whole(wal, receiving, now=at)
                    self._note(system_identifier, replace(old, ended_at=at))
                    if whole and receiving.exists():
                        shutil.rmtree(receiving)
            self.receiving_path(system_identifier, begun.name).mkdir(mode=0o750)
            self._note(system_identifier, begun)
        return begun

    def receiving_path(self, system_identifier: str, incarnation: str) -> Path:
        """Where pg_receivewal writes during one incarnation."""
        return self.wal_path(system_identifier) / f"receiving-{_plain_name(incarnation)}"

    def store_closed(self, system_identifier: str, *, now: datetime) -> tuple[StoredSegment, ...]:
        """Check, compress and file every complete segment that was received; the newest plain one stays besides."""
        stored: list[StoredSegment] = []
        with durable.archive_errors(self._path):
            for incarnation in self._incarnations(system_identifier):
                if incarnation.ended_at is None:
                    receiving = self.receiving_path(system_identifier, incarnation.name)
                    stored += self._wal(system_identifier).file_closed(receiving, now=now)
        return tuple(stored)

    def store_history(self, system_identifier: str, timeline: int, text: str) -> None:
        """Keep what a timeline continues, for good."""
        with durable.archive_errors(self._path):
            (self._path / "wal").mkdir(mode=0o750, exist_ok=True)
            self._wal(system_identifier).store_history(timeline, text)

    def remove_wal(self, system_identifier: str, *, before: SegmentName) -> int:
        """Remove segments whose number is below that of `before`, on every timeline; how many bytes that frees."""
        with durable.archive_errors(self._path):
            return self._wal(system_identifier).remove(before)

    def check_wal(self, system_identifier: str, *, share: float = 1.0) -> tuple[Check, ...]:
        """Read stored segments back (all, or the share that was not read for longest) and compare their SHA-256.

        One check for each file that is not as it was written, or one for all of them.
        """
        files = list(self._wal(system_identifier).stored_files())
        read_at = self._read_again(system_identifier)
        files.sort(key=lambda found: (read_at.get(found[0].name, 0), found[0].name))
        chosen = files[: max(1, round(len(files) * share))] if files else []
        problems = [problem for file, sha256 in chosen if (problem := check_stored(file, sha256)) is not None]
        if share < 1.0:
            rounds = max(read_at.values(), default=0) + 1
            known = {file.name for file, _ in files}
            kept = {name: number for name, number in read_at.items() if name in known}
            with durable.archive_errors(self._path):
                text = json.dumps(kept | {file.name: rounds for file, _ in chosen})
                durable.write_file(self.wal_path(system_identifier) / _SCRUBBED, text + "\n")
        if problems:
            return tuple(Check(name="wal", verdict=Verdict.FAILED, reason=problem) for problem in problems)
        reason = f"{len(chosen)} of {len(files)} WAL files read, SHA-256 equal"
        return (Check(name="wal", verdict=Verdict.PROVEN, reason=reason),) if files else ()

    def receiver(self) -> ReceiverState | None:
        """What the agent wrote last; None where it never received, or what it wrote is damaged: it comes anew."""
        try:
            return parse(ReceiverState, (self._path / "wal" / _RECEIVER).read_bytes(), file=_RECEIVER)
        except FileNotFoundError:
            return None
        except StratumError as error:
            if error.code != "archive-unreadable":
                raise
            return None
        except OSError as error:
            raise StratumError("archive-unreadable", file=_RECEIVER, problem=error.strerror) from None

    def record_receiver(self, state: ReceiverState) -> None:
        """Write down how the receiver stands."""
        with durable.archive_errors(self._path):
            (self._path / "wal").mkdir(mode=0o750, exist_ok=True)
            durable.write_file(self._path / "wal" / _RECEIVER, to_json(state) + "\n")

    @property
    def _bases(self) -> Path:
        return self._path / "base"

    def _write_restore_by_hand(self) -> None:
        if self._bases.is_dir():
            durable.write_file(self._bases / NAME, render_base_by_hand(self.bases()))

    def _sealed(self, manifest: BaseManifest, aside: Path) -> BaseManifest:
        if not self.seal.seals:
            return manifest
        with durable.archive_errors(self._path):
            files = self.seal.seal_tree(aside, manifest.files)
        return replace(manifest, files=files, recipients=self.seal.recipients)

    def _wal(self, system_identifier: str) -> ClusterWal:
        return ClusterWal(self.wal_path(system_identifier), system_identifier, self.seal)

    def _incarnations(self, system_identifier: str) -> tuple[Incarnation, ...]:
        """The last line of each counts: one when it began, another when it ended."""
        file = self.wal_path(system_identifier) / _INCARNATIONS
        if not file.exists():
            return ()
        found: dict[str, Incarnation] = {}
        for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
            if line.endswith("}"):
                incarnation = parse(Incarnation, line, file=_INCARNATIONS)
                found[incarnation.name] = incarnation
        return tuple(sorted(found.values(), key=lambda incarnation: incarnation.began_at))

    def _note(self, system_identifier: str, incarnation: Incarnation) -> None:
        durable.append_line(self.wal_path(system_identifier) / _INCARNATIONS, to_json(incarnation))

    def _read_again(self, system_identifier: str) -> dict[str, int]:
        """In which round each file was read last."""
        try:
            found: dict[str, int] = json.loads((self.wal_path(system_identifier) / _SCRUBBED).read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return found

    def _readable(self) -> Iterator[BaseManifest | BrokenBackup]:
        for path in sorted(self._bases.iterdir()) if self._bases.is_dir() else []:
            if not path.is_dir() or path.suffix in {_PARTIAL, _REMOVING}:
                continue
            try:
                yield self._read_manifest(path)
            except StratumError as error:
                yield BrokenBackup(id=path.name, why=error.message)

    def _read_manifest(self, path: Path) -> BaseManifest:
        file = f"{path.name}/manifest.json"
        try:
            manifest = parse(BaseManifest, (path / "manifest.json").read_bytes(), file=file)
        except OSError as error:
            raise StratumError("archive-unreadable", file=file, problem=error.strerror) from None
        if manifest.id != path.name:
            raise StratumError("archive-unreadable", file=path.name, problem=f"its manifest is of {manifest.id}")
        if manifest.stack != self._stack:
            raise StratumError("archive-unreadable", file=path.name, problem=f"a backup of stack {manifest.stack}")
        return manifest


def _filed_whole(wal: ClusterWal, receiving: Path, *, now: datetime) -> bool:
    """Whether everything that was received is filed.

    A damaged file stays where it lies, with what comes after it: a new beginning must not wait for it.
    """
    try:
        wal.file_closed(receiving, now=now)
        wal.keep_partial(receiving, now=now)
    except StratumError as error:
        if error.code != "wal-damaged":
            raise
        return False
    return True


def _plain_name(name: str) -> str:
    """One path component; anything else is no name of ours."""
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise StratumError("unknown-backup", backup=name)
    return name
