"""How every second is kept, in the states that the console has to show: received, away, commits waiting, gaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from stratum.core.answers import BackupSummary
from stratum.core.backup import BackupKind, FileFacts
from stratum.core.base_backup import BaseManifest
from stratum.core.coverage import CoverageAnswer, StoredWal
from stratum.core.identity import Identity
from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.core.rescue_kit import RescueKit
from stratum.core.timeline import Reach, Span
from stratum.core.wal import Incarnation
from tests.fakes.console_records import DATABASE, NOW, STACK

CLUSTER = "7575757575757575757"
_BEGAN = NOW - timedelta(days=6, hours=3)
BASE = f"{_BEGAN + timedelta(minutes=30):%Y-%m-%dT%H-%M-%SZ}-p0a1"
_INCARNATION = Incarnation(name="00000001-20261116T090000Z", timeline=1, began_at=_BEGAN)


def receiving() -> ReceiverState:
    """All that was written until a moment ago is on the archive's disk."""
    return ReceiverState(
        at=NOW,
        mode=ProtectMode.STREAMING,
        phase=ReceiverPhase.RECEIVING,
        system_identifier=CLUSTER,
        timeline=1,
        incarnation=_INCARNATION.name,
        slot="stratum_receiver",
        received_lsn=0x2_51AB_3F28,
        behind_bytes=8_192,
        safe_at=NOW - timedelta(milliseconds=400),
    )


def as_of_now(receiver: ReceiverState) -> ReceiverState:
    """The record as an agent that is alive writes it: each second anew."""
    return replace(receiver, at=datetime.now(UTC))


def unprotected() -> ReceiverState:
    """The receiver lost its place, and no base backup stands for the new stretch yet."""
    return replace(
        receiving(),
        phase=ReceiverPhase.AWAY,
        problem="connection to the server was refused",
        away_since=NOW - timedelta(hours=2),
        safe_at=NOW - timedelta(hours=2),
        unprotected_since=NOW - timedelta(hours=2),
        unprotected_because="the server no longer has the WAL that the receiver needs next",
    )


def commits_wait() -> ReceiverState:
    """Zero-loss: the server waits for a receiver that is away."""
    return replace(
        receiving(),
        mode=ProtectMode.ZERO_LOSS,
        phase=ReceiverPhase.AWAY,
        problem="the archive's disk is full",
        away_since=NOW - timedelta(minutes=3),
        armed=True,
        waiting_sessions=3,
        cancelled_waits=2,
        lowered_sessions=1,
    )


def degraded() -> ReceiverState:
    """Zero-loss was asked for, and commits no longer wait."""
    return replace(commits_wait(), armed=False, degraded_since=NOW - timedelta(minutes=11))


def coverage(receiver: ReceiverState | None) -> CoverageAnswer:
    """What is stored, beside what the receiver does; nothing at all where none ever received."""
    mode = receiver.mode if receiver else ProtectMode.STREAMING
    window = timedelta(days=7)
    if receiver is None:
        return CoverageAnswer(mode=mode, recovery_window=window, receiver=None, wal=())
    before = replace(
        _INCARNATION,
        name="00000001-20261101T090000Z",
        began_at=_BEGAN - timedelta(days=15),
        ended_at=_BEGAN - timedelta(hours=5),
    )
    stored = StoredWal(
        system_identifier=CLUSTER,
        incarnations=(_INCARNATION, before),
        segments=593,
        bytes=1_284_505_600,
        newest_at=NOW - timedelta(minutes=4),
    )
    return CoverageAnswer(mode=mode, recovery_window=window, receiver=receiver, wal=(stored,))


def base_backup() -> BackupSummary:
    """The base backup that the exact stretches begin with."""
    return BackupSummary(
        id=BASE,
        kind=BackupKind.BASE,
        taken_at=_BEGAN + timedelta(hours=1),
        databases=(DATABASE,),
        rows=0,
        bytes=212_000_000,
        postgresql_major=17,
        verdict=None,
        proven_at=None,
        restore_seconds=None,
        pinned=False,
    )


def base_manifest() -> BaseManifest:
    """Its record."""
    return BaseManifest(
        id=BASE,
        stack=STACK,
        started_at=_BEGAN + timedelta(minutes=59),
        finished_at=_BEGAN + timedelta(hours=1),
        cluster=Identity(
            system_identifier=CLUSTER, timeline=1, flushed_lsn=0x2_0000_0028, server_version_num=170010, databases=()
        ),
        bootstrap_role="postgres",
        segment_bytes=16 << 20,
        start_lsn=0x2_0000_0028,
        start_timeline=1,
        stop_lsn=0x2_0000_0138,
        tool_version="17.10",
        stratum_version="0.3.0",
        databases=(DATABASE, "stratum_console"),
        tablespaces=(),
        cluster_bytes=940_000_000,
        files=(FileFacts(path="base.tar.zst", bytes=212_000_000, sha256="5f" * 32),),
    )


def exact_spans(receiver: ReceiverState | None) -> tuple[Span, ...]:
    """Six days that are reached to the second, with one hour missing; they end when the receiver last did its work."""
    if receiver is None:
        return ()
    gap = _BEGAN + timedelta(days=2)
    ends = receiver.unprotected_since or NOW
    return (
        Span(begins=_BEGAN + timedelta(hours=1), ends=gap, reach=Reach.EXACT, backup_id=BASE),
        Span(begins=gap + timedelta(hours=1), ends=ends, reach=Reach.EXACT, backup_id=BASE),
    )


def rescue_kit() -> RescueKit:
    """A kit as short as one can be."""
    text = "tar --zstd -xf base.tar.zst"
    return RescueKit(stack=STACK, made_at=NOW, page=f"<!DOCTYPE html><title>shop</title><pre>{text}</pre>", text=text)


def overlaid(spans: Iterable[Span], exact: tuple[Span, ...]) -> tuple[Span, ...]:
    """The spans with the exact ones laid over them."""
    rest = list(spans)
    for top in exact:
        rest = [piece for span in rest for piece in _without(span, top)]
    return tuple(sorted((*rest, *exact), key=lambda span: span.begins))


def _without(span: Span, top: Span) -> list[Span]:
    if top.ends <= span.begins or span.ends <= top.begins:
        return [span]
    before, after = replace(span, ends=top.begins), replace(span, begins=top.ends)
    return [piece for piece in (before, after) if piece.begins < piece.ends]
