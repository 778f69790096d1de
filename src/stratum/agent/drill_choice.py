"""What a scheduled drill proves: the newest backup and a moment picked by chance, in turns."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from stratum.core.job import JobRequest, JobVerb
from stratum.core.proof import newest_drill
from stratum.core.timeline import Reach, Span
from stratum.engine.list_backups import observe_timeline
from stratum.ports import Ports


def choose_drill(ports: Ports, *, who: str) -> JobRequest:
    """The newest backup after the drill of a moment; else a moment, where WAL reaches any."""
    newest = newest_drill(ports.archive.proofs())
    bases = {base.id for base in ports.wal.bases()}
    if not bases or (newest is not None and newest.backup_id in bases):
        return JobRequest(verb=JobVerb.DRILL, who=who)
    return JobRequest(verb=JobVerb.DRILL, who=who, at=pick_moment(observe_timeline(ports).spans))


def pick_moment(spans: Sequence[Span]) -> datetime | None:
    """A second that is reached exactly, each as likely as any other; None where none is."""
    exact = [span for span in spans if span.reach is Reach.EXACT]
    seconds = [int((span.ends - span.begins).total_seconds()) for span in exact]
    if not sum(seconds):
        return None
    chosen = secrets.randbelow(sum(seconds))
    for span, length in zip(exact, seconds, strict=True):
        if chosen < length:
            return span.begins + timedelta(seconds=chosen)
        chosen -= length
    return None
