"""An archive whose records live in memory; only the bytes of backups need a directory, which tools write into."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from stratum.core.backup import CHECKSUMS, BrokenBackup, FileFacts, Manifest, render_checksums
from stratum.core.console_access import ConsoleAccess, raised, with_token, without_token
from stratum.core.copies import CopyState, Scrubbed
from stratum.core.errors import StratumError
from stratum.core.identity import Identity, Seen
from stratum.core.proof import Proof
from stratum.ports import FailureDomain


class MemoryArchive:
    """Behaves as `DirectoryArchive` does; `files` is where backups are written, and nothing else is looked up there."""

    def __init__(self, files: Path, *, stack: str) -> None:
        self._files = files
        self._stack = stack
        self._initialised: str | None = None
        self._manifests: dict[str, Manifest] = {}
        self._broken: dict[str, str] = {}
        self._pins: set[str] = set()
        self._proofs: list[Proof] = []
        self._identity: Identity | None = None
        self._lineage: tuple[str, ...] = ()
        self._seen: Seen | None = None
        self._access = ConsoleAccess()
        self.domain = FailureDomain(name="other-disk", declared=True)
        self.free = 1 << 40
        self.copy_states: tuple[CopyState, ...] = ()

    def initialise(self, stack: str) -> None:
        self._initialised = self._initialised or stack
        self._opened()

    def check_writable(self) -> None:
        self._opened()

    def manifests(self) -> tuple[Manifest, ...]:
        self._opened()
        whole = (m for m in self._manifests.values() if m.id not in self._broken)
        return tuple(sorted(whole, key=lambda manifest: manifest.taken_at))

    def broken(self) -> tuple[BrokenBackup, ...]:
        self._opened()
        return tuple(BrokenBackup(id=name, why=why) for name, why in sorted(self._broken.items()))

    def foreign(self) -> tuple[str, ...]:
        self._opened()
        return ()

    def backup_path(self, backup_id: str) -> Path:
        if backup_id not in self._manifests:
            raise StratumError("unknown-backup", backup=backup_id)
        return self._files / backup_id

    @contextmanager
    def opened(self, backup_id: str, *only: str) -> Iterator[Path]:
        del only
        yield self.backup_path(backup_id)

    def begin_backup(self, backup_id: str) -> Path:
        self._opened()
        aside = self.partial_path(backup_id)
        if aside.exists():
            raise StratumError("archive-unreadable", file=aside, problem="it exists already")
        aside.mkdir(parents=True)
        return aside

    def partial_path(self, backup_id: str) -> Path:
        if not backup_id or "/" in backup_id or backup_id.startswith("."):
            raise StratumError("unknown-backup", backup=backup_id)
        return self._files / f"{backup_id}.partial"

    def measure(self, directory: Path) -> tuple[FileFacts, ...]:
        return tuple(
            FileFacts(
                path=str(path.relative_to(directory)),
                bytes=path.stat().st_size,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            )
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        )

    def take_in(self, source: Path, target: Path) -> None:
        if not source.is_file():
            raise StratumError("invalid-argument", argument="--file", problem=f"there is no file {source}")
        shutil.copyfile(source, target)

    def publish(self, manifest: Manifest) -> None:
        aside = self.partial_path(manifest.id)
        (aside / CHECKSUMS).write_text(render_checksums(manifest.files), encoding="utf-8")
        aside.rename(self._files / manifest.id)
        self._manifests[manifest.id] = manifest

    def discard_partial(self, backup_id: str) -> None:
        shutil.rmtree(self.partial_path(backup_id), ignore_errors=True)

    def remove_backup(self, backup_id: str) -> None:
        self.partial_path(backup_id)
        self._manifests.pop(backup_id, None)
        shutil.rmtree(self._files / backup_id, ignore_errors=True)

    def export_backup(self, backup_id: str, into: Path) -> None:
        shutil.copytree(self.backup_path(backup_id), into)

    def copies(self) -> tuple[CopyState, ...]:
        return self.copy_states

    def scrubbed(self) -> Scrubbed | None:
        return None

    def pinned(self) -> frozenset[str]:
        return frozenset(self._pins)

    def pin(self, backup_id: str, *, pinned: bool) -> None:
        self.backup_path(backup_id)
        (self._pins.add if pinned else self._pins.discard)(backup_id)

    def proofs(self) -> tuple[Proof, ...]:
        return tuple(self._proofs)

    def record_proof(self, proof: Proof) -> None:
        self._proofs.append(proof)

    def recorded_identity(self) -> Identity | None:
        self._opened()
        return self._identity

    def record_identity(self, identity: Identity) -> None:
        self._opened()
        self._identity = identity
        if self._seen is not None and self._seen.flushed_lsn > identity.flushed_lsn:
            self._seen = None
        if identity.system_identifier not in self._lineage:
            self._lineage = (*self._lineage, identity.system_identifier)

    def forget_identity(self) -> None:
        self._identity = None

    def seen(self) -> Seen | None:
        return self._seen

    def record_seen(self, seen: Seen) -> None:
        self._seen = seen

    def token_epoch(self) -> int:
        return self._access.token_epoch

    def raise_token_epoch(self, *, because: str) -> None:
        self._opened()
        self._access = raised(self._access, because=because)

    def add_console_token(self, token: str, *, now: datetime) -> None:
        self._opened()
        self._access = with_token(self._access, token, now=now)

    def redeem_console_token(self, token: str, *, now: datetime) -> bool:
        changed = without_token(self._access, token, now=now)
        self._access = changed or self._access
        return changed is not None

    def lineage(self) -> tuple[str, ...]:
        self._opened()
        return self._lineage

    def free_bytes(self) -> int:
        return self.free

    def failure_domain(self) -> FailureDomain:
        return self.domain

    def damage(self, backup_id: str, why: str) -> None:
        """What a disk does to a manifest: the backup is there, and no longer whole."""
        self._broken[backup_id] = why

    def _opened(self) -> None:
        if self._initialised is None:
            raise StratumError("archive-missing", path=self._files)
        if self._initialised != self._stack:
            raise StratumError("wrong-archive", path=self._files, owner=self._initialised, stack=self._stack)
