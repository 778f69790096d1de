"""The archive as a directory: backups, proofs, pins and the record of the cluster's identity.

Self-describing and readable without Stratum; RESTORE.md in it says how.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.archive_notes import read_scrubbed, read_state
from stratum.adapters.archive_tree import TOP_LEVEL
from stratum.adapters.console_file import ConsoleFile
from stratum.adapters.failure_domain import observe_failure_domain
from stratum.adapters.records import parse, to_json
from stratum.adapters.restore_by_hand import render_restore_by_hand
from stratum.adapters.seal import SUFFIX, UNSEALED, Seal
from stratum.core.backup import CHECKSUMS, BrokenBackup, FileFacts, Manifest, render_checksums
from stratum.core.console_access import raised, with_token, without_token
from stratum.core.copies import CopyState, Scrubbed
from stratum.core.errors import StratumError
from stratum.core.identity import Identity, Seen
from stratum.core.proof import Proof
from stratum.ports import FailureDomain

FORMAT = 1
_PARTIAL, _REMOVING = ".partial", ".removing"


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveRecord:
    """archive.json: whose archive this is, and every cluster that was ever this stack's."""

    format: int = FORMAT
    stack: str
    identity: Identity | None = None
    lineage: tuple[str, ...] = field(default=())


class DirectoryArchive:
    """An archive in a local directory.

    A backup appears under its final name only after every byte and its manifest are on disk; a removal
    renames first. So whatever carries a backup's name is whole, or was damaged afterwards.
    """

    def __init__(
        self,
        path: Path,
        *,
        stack: str,
        data_directory: Callable[[], Path],
        declared_domain: str | None,
        seal: Seal = UNSEALED,
    ) -> None:
        self._path = path
        self._seal = seal
        self._stack = stack
        self._data_directory = data_directory
        self._declared_domain = declared_domain

    def initialise(self, stack: str) -> None:
        """Lay down an empty archive. Leaves one that exists as it is; refuses another stack's."""
        with durable.archive_errors(self._path):
            self._path.mkdir(mode=0o750, parents=True, exist_ok=True)
            for folder in ("dumps", "proofs", "journal", "pins"):
                (self._path / folder).mkdir(mode=0o750, exist_ok=True)
        if not (self._path / "archive.json").exists():
            self._write_record(ArchiveRecord(stack=stack))
        self._record()

    def check_writable(self) -> None:
        """Refuse early when nothing can be written: missing, read-only, full, or another stack's."""
        self._record()
        with durable.archive_errors(self._path):
            probe = self._path / "journal" / f".probe-{secrets.token_hex(4)}"  # two may look at the same moment
            probe.parent.mkdir(exist_ok=True)
            durable.write_file(probe, "writable\n")
            probe.unlink()

    def manifests(self) -> tuple[Manifest, ...]:
        """All whole backups of this stack, oldest first."""
        return tuple(sorted((m for m in self._readable() if isinstance(m, Manifest)), key=lambda m: m.taken_at))

    def broken(self) -> tuple[BrokenBackup, ...]:
        return tuple(found for found in self._readable() if isinstance(found, BrokenBackup))

    def foreign(self) -> tuple[str, ...]:
        """Names at the archive's top level that Stratum did not put there; they are never touched."""
        self._record()
        return tuple(
            sorted(p.name for p in self._path.iterdir() if p.name not in TOP_LEVEL and not p.name.startswith("."))
        )

    def backup_path(self, backup_id: str) -> Path:
        path = self._path / "dumps" / _plain_name(backup_id)
        if not (path / "manifest.json").is_file():
            raise StratumError("unknown-backup", backup=backup_id)
        return path

    @contextmanager
    def opened(self, backup_id: str, *only: str) -> Iterator[Path]:
        """A directory with the plain files of a backup, all of them or those named at the top: its own, unless sealed.

        What was sealed is opened on the scratch disk, for our account alone, and is gone when the block ends. Raises
        `unknown-backup`, `sealed-no-key`, `sealed-wrong-key` and `sealed-damaged`.
        """
        path = self.backup_path(backup_id)
        manifest = self._read_manifest(path)
        if not manifest.recipients:
            yield path
            return
        with self._seal.room() as room:
            for file in manifest.files:
                plain = room / file.path.removesuffix(SUFFIX)
                if only and plain.relative_to(room).parts[0] not in only:
                    continue
                plain.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with durable.archive_errors(room):
                    self._seal.open_into(path / file.path, plain)
            yield room

    def begin_backup(self, backup_id: str) -> Path:
        """Make the directory a backup is written aside in, and throw away what an earlier crash left."""
        self._record()
        with durable.archive_errors(self._path):
            dumps = self._path / "dumps"
            dumps.mkdir(exist_ok=True)
            for leftover in dumps.glob(f"*{_REMOVING}"):
                shutil.rmtree(leftover)
            aside = self.partial_path(backup_id)
            aside.mkdir(mode=0o750)
        return aside

    def partial_path(self, backup_id: str) -> Path:
        """Where a backup is written until it is whole."""
        return self._path / "dumps" / f"{_plain_name(backup_id)}{_PARTIAL}"

    def measure(self, directory: Path) -> tuple[FileFacts, ...]:
        """Size and SHA-256 of every file below `directory`, except the manifest that holds these facts."""
        files = sorted(path for path in directory.rglob("*") if path.is_file())
        with durable.archive_errors(self._path):
            return tuple(
                FileFacts(path=str(p.relative_to(directory)), bytes=p.stat().st_size, sha256=_sha256(p))
                for p in files
                if str(p.relative_to(directory)) != "manifest.json"
            )

    def take_in(self, source: Path, target: Path) -> None:
        """Copy a file from elsewhere into a backup that is being written. Raises `archive-full` and its like."""
        if not source.is_file():
            raise StratumError("invalid-argument", argument="--file", problem=f"there is no file {source}")
        with durable.archive_errors(self._path):
            shutil.copyfile(source, target)
            target.chmod(0o640)

    def publish(self, manifest: Manifest) -> None:
        """Make a backup visible: sealed, checksums, everything fsynced, the manifest last, then the final name.

        Where the archive is sealed, the record is of the sealed files, and no plain one is left.
        """
        aside = self.partial_path(manifest.id)
        with durable.archive_errors(self._path):
            manifest = self._sealed(manifest, aside)
            durable.write_file(aside / CHECKSUMS, render_checksums(manifest.files))
            durable.sync_tree(aside)
            durable.write_file(aside / "manifest.json", _readable_again(manifest) + "\n")
            aside.rename(self._path / "dumps" / manifest.id)
            durable.sync_directory(self._path / "dumps")
            self._write_restore_by_hand()

    def _sealed(self, manifest: Manifest, aside: Path) -> Manifest:
        if not self._seal.seals:
            return manifest
        files = self._seal.seal_tree(aside, manifest.files)
        return replace(manifest, files=files, recipients=self._seal.recipients)

    def discard_partial(self, backup_id: str) -> None:
        """Throw away what is not whole; RESTORE.md is written anew, in case a crash came between it and a backup."""
        with durable.archive_errors(self._path):
            durable.remove_tree(self.partial_path(backup_id))
            self._write_restore_by_hand()

    def remove_backup(self, backup_id: str) -> None:
        """Remove one backup for good. Removing what is gone already is no error: a resumed plan asks twice."""
        with durable.archive_errors(self._path):
            durable.remove_tree(self._path / "dumps" / _plain_name(backup_id))
            self._write_restore_by_hand()

    def export_backup(self, backup_id: str, into: Path) -> None:
        """Copy one backup with its checksums and instructions to a directory that does not exist yet."""
        source = self.backup_path(backup_id)
        manifest = self._read_manifest(source)
        with durable.archive_errors(into):
            shutil.copytree(source, into)
            durable.write_file(into / "RESTORE.md", render_restore_by_hand((manifest,), folder="."))
            durable.sync_tree(into)

    def copies(self) -> tuple[CopyState, ...]:
        """How each copy elsewhere was written down last; one whose note is damaged is told anew by the next attempt."""
        found = (read_state(self._path, file.stem) for file in sorted((self._path / "copies").glob("*.json")))
        return tuple(state for state in found if state is not None)

    def scrubbed(self) -> Scrubbed | None:
        """What reading the archive again found last; None where it never was."""
        return read_scrubbed(self._path)

    def pinned(self) -> frozenset[str]:
        folder = self._path / "pins"
        return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()

    def pin(self, backup_id: str, *, pinned: bool) -> None:
        """Raises `unknown-backup` for what is neither a dump nor a base backup here."""
        if not (self._path / "base" / _plain_name(backup_id) / "manifest.json").is_file():
            self.backup_path(backup_id)
        with durable.archive_errors(self._path):
            marker = self._path / "pins" / _plain_name(backup_id)
            if pinned:
                durable.write_file(marker, "kept until unpinned\n")
            else:
                marker.unlink(missing_ok=True)

    def proofs(self) -> tuple[Proof, ...]:
        return tuple(parse(Proof, line, file="proofs") for line in read_lines(self._path / "proofs"))

    def record_proof(self, proof: Proof) -> None:
        with durable.archive_errors(self._path):
            durable.append_line(self._path / "proofs" / f"{proof.finished_at:%Y-%m}.jsonl", to_json(proof))

    def recorded_identity(self) -> Identity | None:
        return self._record().identity

    def record_identity(self, identity: Identity) -> None:
        record = self._record()
        lineage = record.lineage
        if identity.system_identifier not in lineage:
            lineage = (*lineage, identity.system_identifier)
        with durable.archive_errors(self._path):
            self._write_record(replace(record, identity=identity, lineage=lineage))
            seen = self.seen()
            if seen is not None and seen.flushed_lsn > identity.flushed_lsn:
                # Whoever records a cluster vouches for it as it stands; the agent notes how far it comes from here.
                (self._path / "seen.json").unlink(missing_ok=True)

    def forget_identity(self) -> None:
        """Let the next `up` make a new cluster; the lineage keeps what was."""
        with durable.archive_errors(self._path):
            self._write_record(replace(self._record(), identity=None))

    def seen(self) -> Seen | None:
        """How far the agent last saw the cluster come; None where it never noted it, or its note is damaged.

        The note is made anew every ten seconds. Were a damaged one an error, it would stand in the way of `restore`.
        """
        file = self._path / "seen.json"
        try:
            return parse(Seen, file.read_bytes(), file="seen.json")
        except StratumError as error:
            if error.code != "archive-unreadable":
                raise
            return None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StratumError("archive-unreadable", file="seen.json", problem=error.strerror) from None

    def record_seen(self, seen: Seen) -> None:
        with durable.archive_errors(self._path):
            durable.write_file(self._path / "seen.json", to_json(seen) + "\n")

    def token_epoch(self) -> int:
        return self._console_file().read().token_epoch

    def raise_token_epoch(self, *, because: str) -> None:
        self._record()
        self._console_file().change(lambda access: raised(access, because=because))

    def add_console_token(self, token: str, *, now: datetime) -> None:
        self._record()
        self._console_file().change(lambda access: with_token(access, token, now=now))

    def redeem_console_token(self, token: str, *, now: datetime) -> bool:
        return self._console_file().change(lambda access: without_token(access, token, now=now))

    def _console_file(self) -> ConsoleFile:
        return ConsoleFile(self._path / "console.json")

    def lineage(self) -> tuple[str, ...]:
        """System identifiers of every cluster that was ever this stack's, oldest first."""
        return self._record().lineage

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._path).free

    def failure_domain(self) -> FailureDomain:
        if self._declared_domain:
            return FailureDomain(name=self._declared_domain, declared=True)
        return FailureDomain(name=observe_failure_domain(self._path, self._data_directory()), declared=False)

    def _record(self) -> ArchiveRecord:
        if not self._path.is_dir():
            raise StratumError("archive-missing", path=self._path)
        try:
            text = (self._path / "archive.json").read_bytes()
        except FileNotFoundError:
            raise StratumError("archive-missing", path=self._path / "archive.json") from None
        except OSError as error:
            raise StratumError("archive-unreadable", file="archive.json", problem=error.strerror) from None
        record = parse(ArchiveRecord, text, file="archive.json", newest_format=FORMAT)
        if record.stack != self._stack:
            raise StratumError("wrong-archive", path=self._path, owner=record.stack, stack=self._stack)
        return record

    def _write_record(self, record: ArchiveRecord) -> None:
        durable.write_file(self._path / "archive.json", to_json(record) + "\n")

    def _write_restore_by_hand(self) -> None:
        durable.write_file(self._path / "RESTORE.md", render_restore_by_hand(self.manifests(), folder="dumps"))

    def _readable(self) -> Iterator[Manifest | BrokenBackup]:
        self._record()
        dumps = self._path / "dumps"
        for path in sorted(dumps.iterdir()) if dumps.is_dir() else []:
            if not path.is_dir() or path.suffix in {_PARTIAL, _REMOVING}:
                continue
            try:
                yield self._read_manifest(path)
            except StratumError as error:
                yield BrokenBackup(id=path.name, why=error.message)

    def _read_manifest(self, path: Path) -> Manifest:
        try:
            text = (path / "manifest.json").read_bytes()
        except OSError as error:
            raise StratumError(
                "archive-unreadable", file=f"{path.name}/manifest.json", problem=error.strerror
            ) from None
        manifest = parse(Manifest, text, file=f"{path.name}/manifest.json")
        if manifest.id != path.name:
            raise StratumError("archive-unreadable", file=path.name, problem=f"its manifest is of {manifest.id}")
        if manifest.stack != self._stack:
            raise StratumError("archive-unreadable", file=path.name, problem=f"a backup of stack {manifest.stack}")
        return manifest


def read_lines(folder: Path) -> Iterator[str]:
    """Whole JSON lines of all files in order; a line torn by a crash is not JSON and is passed over."""
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else []:
        # Not splitlines: JSON leaves U+2028 and U+0085 as they are, and a name may hold one.
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            if line and is_json(line):
                yield line


def is_json(line: str) -> bool:
    """Whether the line is whole: a line torn by a crash is not."""
    try:
        json.loads(line)
    except json.JSONDecodeError:
        return False
    return True


def _readable_again(manifest: Manifest) -> str:
    """The manifest as JSON, read back at once: a backup that nobody can read later must not be published."""
    text = to_json(manifest)
    if parse(Manifest, text, file=f"{manifest.id}/manifest.json") != manifest:
        raise StratumError("backup-not-whole", problem="its manifest does not read back as it was written")
    return text


def _plain_name(backup_id: str) -> str:
    """A backup's id is one path component; anything else is no id of ours."""
    if not backup_id or backup_id != Path(backup_id).name or backup_id.startswith("."):
        raise StratumError("unknown-backup", backup=backup_id)
    return backup_id


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
