"""Brings one copy of the archive up to date: what it lacks is sent, read back and compared; nothing is overwritten.

A file's record is sent after what it speaks of, so a copy never holds half a backup. What was compared once is noted
beside the archive, and not sent again.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.archive_tree import archive_files, recorded_sha256
from stratum.adapters.places import AlreadyThereError, Place, fetch_into, sha256_at
from stratum.core.backup import CHECKSUMS
from stratum.core.copies import CopyPolicy, order_of
from stratum.core.errors import StratumError

_CHUNK = 1 << 20
_REPLACED = ("archive.json", "RESTORE.md", "console.json", "base/RESTORE.md", "stack/", "pins/")
_BACKUPS = ("dumps/", "base/")
_RECORDS = ("/manifest.json", f"/{CHECKSUMS}")
_LET_GO = (*_BACKUPS, "wal/")
"""Where retention removes files; all else stays in a copy for good."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A file that the copy was seen to hold, as it was in the archive then."""

    bytes: int
    mtime_ns: int
    sha256: str
    gone_at: datetime | None = None
    """Since when the archive itself has it no more."""


class ArchiveCopy:
    """One copy. Several threads may send different files of it at once."""

    def __init__(self, archive: Path, policy: CopyPolicy, place: Place, *, sealed_only: bool = False) -> None:
        self.policy = policy
        self._sealed_only = sealed_only
        self.place = place
        self._archive = archive
        self._ledger = archive / "copies" / f"{policy.name}.jsonl"
        self._lock = threading.Lock()
        self._sent: dict[str, Sent] | None = None

    def refuse_another_archive(self, stack: str) -> None:
        """Raises `copy-not-whole` where the archive of another stack stands."""
        pieces = self.place.pieces("archive.json")
        if pieces is None:
            return
        with suppress(json.JSONDecodeError, UnicodeDecodeError):
            owner = json.loads(b"".join(pieces)).get("stack")
            if owner != stack:
                raise StratumError(
                    "copy-not-whole", copy=self.policy.name, problem=f"it is the archive of the stack {owner}"
                )

    def pending(self, *below: str) -> list[str]:
        """What is not known to be there as it is here, in the order it is to be sent; `below` names parts of it."""
        sent = self._known()
        found = (path for path in self._files() if not below or path.startswith(below))
        wanted = (path for path in found if not is_wal_sums(path) and self._differs(path, sent.get(path)))
        return sorted(wanted, key=order_of)

    def left_out(self) -> tuple[str, ...]:
        """Backups that are not sent because they lie open, while everything new is sealed."""
        return tuple(sorted(folder.partition("/")[2] for folder in self._open_backups()))

    def _files(self) -> Iterator[str]:
        left_out = self._open_backups()
        for path in archive_files(self._archive):
            parts = path.split("/")
            is_open_wal = self._sealed_only and parts[0] == "wal" and path.endswith(".zst")
            if not is_open_wal and "/".join(parts[:2]) not in left_out:
                yield path

    def _open_backups(self) -> set[str]:
        """`dumps/<id>` and `base/<id>` with a file that could be read without the key."""
        if not self._sealed_only:
            return set()
        backups = (path for path in archive_files(self._archive) if path.startswith(_BACKUPS) and path.count("/") > 1)
        plain = (path for path in backups if not path.endswith((".age", *_RECORDS)))
        return {"/".join(path.split("/")[:2]) for path in plain}

    def send(self, path: str) -> int:
        """Send one file, read it back and note it; how many bytes it has. A file that has gone by now is no error.

        Raises `copy-away`, and `copy-not-whole` where something else stands under its name or came back.
        """
        source = self._archive / path
        with durable.archive_errors(self._archive):
            try:
                before = source.stat()
                sha256 = _sha256(source)
            except FileNotFoundError:
                return 0
        recorded = recorded_sha256(self._archive, path)
        if recorded is not None and recorded != sha256:
            raise StratumError("file-damaged", file=path, problem="its content changed since it was written")
        with suppress(AlreadyThereError):
            self.place.put(path, source, replace=_may_replace(path))
        there = sha256_at(self.place, path)
        if there != (before.st_size, sha256):
            if _may_replace(path):
                return 0  # it grew while it was sent, and is sent again
            problem = f"{path} has other content there" if there else f"{path} was sent and is not there"
            raise StratumError("copy-not-whole", copy=self.policy.name, problem=problem)
        self._note(path, Sent(bytes=before.st_size, mtime_ns=before.st_mtime_ns, sha256=sha256))
        return before.st_size

    def look(self) -> None:
        """Forget what the copy does not hold any more, so that it is sent again."""
        sizes = self.place.sizes()
        for path, sent in list(self._known().items()):
            if sizes.get(path) != sent.bytes:
                self._note(path, None)

    def let_go(self, *, now: datetime) -> int:
        """Remove what retention removed here `keep_days` ago, records first; how many files.

        None goes while the archive here holds no backup: then the copy may be all there is.
        """
        here = set(archive_files(self._archive))
        if not any(path.endswith("/manifest.json") for path in here):
            return 0
        kept = timedelta(days=max(self.policy.keep_days, self.policy.object_lock_days))
        removed = 0
        for path, sent in sorted(self._known().items(), key=lambda item: order_of(item[0]), reverse=True):
            if path in here or not path.startswith(_LET_GO):
                continue
            if sent.gone_at is None:
                self._note(path, Sent(bytes=sent.bytes, mtime_ns=sent.mtime_ns, sha256=sent.sha256, gone_at=now))
            elif now - sent.gone_at >= kept:
                self.place.remove(path)
                self._note(path, None)
                removed += 1
        return removed

    def holds(self, paths: Iterable[str]) -> bool:
        """Whether all of these were seen to be there, as they are here."""
        sent = self._known()
        return all(not self._differs(path, sent.get(path)) for path in paths)

    def totals(self) -> tuple[int, int]:
        """How many files, and bytes, the copy was seen to hold."""
        known = self._known()
        return len(known), sum(sent.bytes for sent in known.values())

    def fetch(self, path: str, target: Path, *, sha256: str | None) -> bool:
        """Bring a file back to `target`, if the copy holds it with this content; whole or not at all."""
        aside = target.with_name(f".{target.name}.fetched")
        try:
            with aside.open("wb") as out:
                durable.belong(out.fileno(), target.parent)
                found = fetch_into(self.place, path, out)
                out.flush()
            if found is None or (sha256 is not None and found[1] != sha256):
                return False
            aside.chmod(0o640)
            aside.replace(target)
            durable.sync_directory(target.parent)
        finally:
            aside.unlink(missing_ok=True)
        return True

    def _differs(self, path: str, sent: Sent | None) -> bool:
        if sent is None:
            return True
        try:
            status = (self._archive / path).stat()
        except FileNotFoundError:
            return False
        return (status.st_size, status.st_mtime_ns) != (sent.bytes, sent.mtime_ns)

    def _known(self) -> dict[str, Sent]:
        with self._lock:
            if self._sent is None:
                self._sent = dict(_read_ledger(self._ledger))
            return self._sent

    def _note(self, path: str, sent: Sent | None) -> None:
        known = self._known()
        line = {"path": path, "bytes": sent.bytes if sent else -1}
        if sent:
            gone = sent.gone_at.isoformat() if sent.gone_at else None
            line |= {"mtime_ns": sent.mtime_ns, "sha256": sent.sha256, "gone_at": gone}
        with self._lock, durable.archive_errors(self._archive):
            self._ledger.parent.mkdir(mode=0o750, exist_ok=True)
            durable.append_line(self._ledger, json.dumps(line))
            if sent:
                known[path] = sent
            else:
                known.pop(path, None)


def is_wal_sums(path: str) -> bool:
    """Whether it is the checksum file of a timeline, which a copy has in a form of its own."""
    return path.startswith("wal/") and path.endswith(f"/{CHECKSUMS}")


def _may_replace(path: str) -> bool:
    """Records that grow or are written anew; backups and WAL never change."""
    return path.startswith(_REPLACED) or path.endswith(".jsonl")


def _read_ledger(file: Path) -> Iterator[tuple[str, Sent]]:
    found: dict[str, Sent] = {}
    with suppress(FileNotFoundError):
        for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
            with suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                if entry["bytes"] < 0:
                    found.pop(entry["path"], None)
                    continue
                gone = entry.get("gone_at")
                found[entry["path"]] = Sent(
                    bytes=entry["bytes"],
                    mtime_ns=entry["mtime_ns"],
                    sha256=entry["sha256"],
                    gone_at=datetime.fromisoformat(gone) if gone else None,
                )
    yield from found.items()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
