"""All copies of one archive: brought up to date, and how each stands written down beside the archive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.archive_copy import ArchiveCopy
from stratum.adapters.archive_notes import read_state
from stratum.adapters.archive_tree import archive_files
from stratum.adapters.places import open_place
from stratum.adapters.records import to_json
from stratum.adapters.seal import Seal
from stratum.adapters.wal_tail import WalTail
from stratum.core.base_backup import BaseManifest
from stratum.core.copies import CopyPolicy, CopyState
from stratum.core.errors import StratumError
from stratum.core.receiving import ProtectMode, ReceiverState
from stratum.ports import Ports

OnFile = Callable[[str, int, int], None]
"""Told the copy, how many files are left, and how many bytes were just sent."""
_WAL = "wal/"
_NEVER = "it was never made"


class Copies:
    """The copies that stratum.toml names. The archive is only read, but for `copies/` in it."""

    def __init__(
        self, archive: Path, policies: Sequence[CopyPolicy], *, environment: Mapping[str, str], seal: Seal, ports: Ports
    ) -> None:
        self._archive = archive
        self._policies = tuple(policies)
        self._environment = environment
        self._seal = seal
        self._ports = ports
        self._opened: dict[str, tuple[ArchiveCopy, WalTail]] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(policy.name for policy in self._policies)

    @property
    def recipients(self) -> tuple[str, ...]:
        """For whom everything new is sealed."""
        return self._seal.recipients

    def states(self) -> tuple[CopyState, ...]:
        """How each was written down last; one that was never tried says so."""
        return tuple(self._state(policy) for policy in self._policies)

    def bring_up_to_date(self, name: str | None = None, *, on_file: OnFile | None = None) -> tuple[CopyState, ...]:
        """Send each copy, or the one named, all it lacks. What went wrong is in its state. Raises `copy-unknown`."""
        chosen = [policy for policy in self._policies if name in {None, policy.name}]
        if name is not None and not chosen:
            raise StratumError("copy-unknown", copy=name, known=", ".join(self.names) or "none is set")
        return tuple(self._bring(policy, on_file=on_file, whole=True) for policy in chosen)

    def bring_wal(self) -> tuple[CopyState, ...]:
        """The same for WAL alone, its unfinished end included: what each minute is worth sending."""
        return tuple(self._bring(policy, on_file=None, whole=False) for policy in self._policies)

    def fetch(self, path: str, target: Path, *, sha256: str | None) -> str | None:
        """Bring a file back from the first copy that has it with this content; that copy's name, or None."""
        for policy in self._policies:
            with suppress(StratumError):
                if self._open(policy)[0].fetch(path, target, sha256=sha256):
                    return policy.name
        return None

    def _bring(self, policy: CopyPolicy, *, on_file: OnFile | None, whole: bool) -> CopyState:
        now = self._ports.clock.now()
        try:
            copy, tail = self._open(policy)
            with _one_at_a_time(self._archive, policy.name, whole=whole) as free:
                return self._carry(copy, tail, on_file=on_file, whole=whole, at=now) if free else self._state(policy)
        except StratumError as error:
            failed = error
        return self._write(policy, lambda state: _failed(state, failed, now))

    def _carry(
        self, copy: ArchiveCopy, tail: WalTail, *, on_file: OnFile | None, whole: bool, at: datetime
    ) -> CopyState:
        receiver = self._ports.wal.receiver()
        if whole:
            copy.refuse_another_archive(self._ports.stack.name)
            copy.look()
        pending = copy.pending() if whole else copy.pending(_WAL)
        for number, path in enumerate(pending):
            sent = copy.send(path)
            if on_file is not None:
                on_file(copy.policy.name, len(pending) - number - 1, sent)
        tail.send()
        if whole:
            copy.let_go(now=at)
        return self._write(copy.policy, lambda state: self._done(copy, state, at=at, receiver=receiver, whole=whole))

    def _done(
        self, copy: ArchiveCopy, state: CopyState, *, at: datetime, receiver: ReceiverState | None, whole: bool
    ) -> CopyState:
        files, bytes_ = copy.totals()
        dumps = {m.id: m.taken_at for m in self._ports.archive.manifests() if self._holds(copy, "dumps", m.id)}
        bases = [base for base in self._ports.wal.bases() if self._holds(copy, "base", base.id)]
        reached = [_reached(base, receiver) for base in bases]
        known = [moment for moment in (state.safe_at, *dumps.values(), *reached) if moment is not None]
        return replace(
            state,
            at=at,
            verified_at=at if whole else state.verified_at,
            safe_at=max(known, default=None),
            held=(*dumps, *(base.id for base in bases)),
            left_out=copy.left_out(),
            files=files,
            bytes=bytes_,
            missing=len(copy.pending()),
            problem="" if whole or not state.problem else state.problem,
            since=None if whole else state.since,
        )

    def _holds(self, copy: ArchiveCopy, top: str, backup_id: str) -> bool:
        return copy.holds(path for path in archive_files(self._archive) if path.startswith(f"{top}/{backup_id}/"))

    def _open(self, policy: CopyPolicy) -> tuple[ArchiveCopy, WalTail]:
        with self._lock:
            if policy.name not in self._opened:
                place = open_place(policy, self._environment)
                copy = ArchiveCopy(self._archive, policy, place, sealed_only=self._seal.seals)
                self._opened[policy.name] = copy, WalTail(self._archive, copy, self._seal)
            return self._opened[policy.name]

    def _state(self, policy: CopyPolicy) -> CopyState:
        found = read_state(self._archive, policy.name)
        never = CopyState(
            name=policy.name,
            failure_domain=policy.failure_domain,
            at=self._ports.clock.now(),
            problem=_NEVER,
        )
        return replace(found, failure_domain=policy.failure_domain) if found else never

    def _write(self, policy: CopyPolicy, change: Callable[[CopyState], CopyState]) -> CopyState:
        with self._lock:
            state = change(self._state(policy))
            with durable.archive_errors(self._archive):
                (self._archive / "copies").mkdir(mode=0o750, exist_ok=True)
                durable.write_file(self._archive / "copies" / f"{policy.name}.json", to_json(state) + "\n")
        return state


def _reached(base: BaseManifest, receiver: ReceiverState | None) -> datetime:
    """How far a base backup that a copy holds leads there: it restores by itself, and on from there by received WAL."""
    if receiver is None or receiver.mode is ProtectMode.DUMPS or receiver.safe_at is None:
        return base.finished_at
    gap, same = receiver.unprotected_since, receiver.system_identifier == base.cluster.system_identifier
    covers = same and (gap is None or base.finished_at > gap)
    return max(receiver.safe_at, base.finished_at) if covers else base.finished_at


def _failed(state: CopyState, error: StratumError, now: datetime) -> CopyState:
    return replace(state, at=now, problem=error.message, since=state.since or now)


@contextmanager
def _one_at_a_time(archive: Path, name: str, *, whole: bool) -> Iterator[bool]:
    """Whether no other process brings the same part of this copy up to date; it holds until the block ends."""
    import fcntl
    import os

    (archive / "copies").mkdir(mode=0o750, exist_ok=True)
    handle = durable.open_shared(archive / "copies" / f".{name}-{'all' if whole else 'wal'}.lock")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if whole else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)
