"""What the watch knows, as Prometheus reads it. A number that was not measured is left out, never 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stratum import __version__
from stratum.core.alarm import AlarmBook
from stratum.core.checklist import Line, LineState
from stratum.core.job import Job
from stratum.core.receiving import ProtectMode, ReceiverPhase, ReceiverState
from stratum.core.receiving_rules import is_fresh
from stratum.engine.report_status import Status

_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Everything there is to show, as of one moment."""

    now: datetime
    status: Status | None
    backup_bytes: int
    last_success: dict[str, datetime]
    """By verb."""
    canary_at: datetime | None
    book: AlarmBook
    lines: tuple[Line, ...]
    looked_at: datetime | None
    """When the checklist was last looked at."""
    receiver: ReceiverState | None = None
    wal_bytes: int = 0
    bases: int = 0


class WatchMetrics:
    """A registry of the agent's own: gauges are read when asked for, job durations are counted as jobs end."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "stratum_job_duration_seconds",
            "How long jobs took, by verb.",
            ("verb",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._jobs = Counter("stratum_jobs", "Jobs that ended, by verb and state.", ("verb", "state"),
                             registry=self._registry)  # fmt: skip

    def job_ended(self, job: Job) -> None:
        verb = job.request.verb.value
        self._jobs.labels(verb=verb, state=job.state.value).inc()
        if job.started_at is not None and job.ended_at is not None:
            self._seconds.labels(verb=verb).observe((job.ended_at - job.started_at).total_seconds())

    def render(self, measured: Measured) -> bytes:
        """The text format, version 0.0.4.

        (https://prometheus.io/docs/instrumenting/exposition_formats/)
        """
        from prometheus_client import CollectorRegistry, generate_latest

        gauges = CollectorRegistry()
        for name, text, labels, samples in _gauges(measured):
            _add_gauge(gauges, name, text, labels, samples)
        return generate_latest(gauges) + generate_latest(self._registry)


Samples = dict[tuple[str, ...], float]


def _add_gauge(registry: Any, name: str, text: str, labels: tuple[str, ...], samples: Samples) -> None:  # noqa: ANN401 - the library is imported late
    from prometheus_client import Gauge

    if samples:
        gauge = Gauge(name, text, labels, registry=registry)
        for values, value in samples.items():
            (gauge.labels(*values) if labels else gauge).set(value)


def _gauges(found: Measured) -> Iterator[tuple[str, str, tuple[str, ...], Samples]]:
    yield "stratum_build_info", "The running version.", ("version",), {(__version__,): 1}
    yield from _protection(found)
    yield from _receiving(found)
    yield "stratum_canary_age_seconds", "Since the last acknowledged write of the canary.", (), _age(
        found.canary_at, found.now
    )  # fmt: skip
    yield "stratum_last_success_timestamp_seconds", "When each verb last succeeded, by verb.", ("verb",), {
        (verb,): at.timestamp() for verb, at in found.last_success.items()
    }  # fmt: skip
    yield "stratum_alarm", "1 for each alarm that is on, by name.", ("name",), {
        (alarm.condition.name,): 1 for alarm in found.book.red
    }  # fmt: skip
    yield "stratum_alarms", "How many alarms are on.", (), {(): len(found.book.red)}
    yield "stratum_alarms_undelivered", "1 when the last attempt to tell somebody failed.", (), {
        (): float(found.book.undelivered)
    }  # fmt: skip
    if found.looked_at is not None:
        yield "stratum_checklist_lines", "Lines of the checklist, by state.", ("state",), {
            (state.value,): sum(line.state is state for line in found.lines) for state in LineState
        }  # fmt: skip
        yield "stratum_checklist_age_seconds", "Since the checklist was looked at.", (), _age(
            found.looked_at, found.now
        )  # fmt: skip


def _protection(found: Measured) -> Iterator[tuple[str, str, tuple[str, ...], Samples]]:
    if found.status is None:
        return
    protection = found.status.protection
    yield "stratum_database_up", "1 while the database serves.", (), {(): float(found.status.database == "running")}
    yield "stratum_backups", "Whole backups in the archive.", (), {(): found.status.backups}
    yield "stratum_backups_broken", "Damaged backups in the archive.", (), {(): len(found.status.broken_backups)}
    yield "stratum_backups_bytes", "Stored size of all whole backups.", (), {(): found.backup_bytes}
    yield "stratum_protection_loss_seconds", "Writes that would be lost now.", (), _age(
        protection.loss_since, found.now
    )  # fmt: skip
    recovery = protection.recovery_seconds
    yield "stratum_protection_recovery_seconds", "How long getting back takes, as last measured.", (), (
        {} if recovery is None else {(): recovery}
    )  # fmt: skip
    yield "stratum_protection_proven_age_seconds", "Since a backup was last proven.", (), _age(
        protection.proven_at, found.now
    )  # fmt: skip


def _receiving(found: Measured) -> Iterator[tuple[str, str, tuple[str, ...], Samples]]:
    state = found.receiver
    if state is None or state.mode is ProtectMode.DUMPS:
        return
    receiving = state.phase is ReceiverPhase.RECEIVING and is_fresh(state, found.now)
    yield "stratum_receiver_up", "1 while WAL is received.", (), {(): float(receiving)}
    yield "stratum_receiver_lag_bytes", "WAL that the server has on its disk and the archive not yet.", (), (
        {} if state.behind_bytes is None else {(): state.behind_bytes}
    )  # fmt: skip
    yield "stratum_receiver_lag_seconds", "Since the newest write of the canary that was received.", (), _age(
        state.safe_at, found.now
    )  # fmt: skip
    yield "stratum_unprotected", "1 while no moment can be reached exactly.", (), {
        (): float(state.unprotected_since is not None)
    }  # fmt: skip
    yield "stratum_degraded", "1 while commits do not wait for the archive although they should.", (), {
        (): float(state.degraded_since is not None)
    }  # fmt: skip
    yield "stratum_wal_bytes", "Stored size of all WAL in the archive.", (), {(): found.wal_bytes}
    yield "stratum_base_backups", "Whole base backups in the archive.", (), {(): found.bases}


def _age(at: datetime | None, now: datetime) -> Samples:
    return {} if at is None else {(): max(0.0, (now - at).total_seconds())}
