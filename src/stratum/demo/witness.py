"""Remembers, for all writing clients together, what the server acknowledged and what it left in doubt."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from stratum.demo.accounting import Acknowledged, Evidence, InDoubt


class Witness:
    """What all clients together know. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._acknowledged: list[Acknowledged] = []
        self._in_doubt: list[InDoubt] = []
        self._on_its_way: dict[str, InDoubt] = {}
        self._failures: Counter[str] = Counter()

    def sends_commit(self, attempt: InDoubt) -> None:
        """Say so before COMMIT leaves: from then until an answer, the outcome is in doubt."""
        with self._changed:
            self._on_its_way[attempt.key] = attempt

    def hears_commit(self, key: str) -> None:
        """The server said COMMIT."""
        with self._changed:
            sent = self._on_its_way.pop(key)
            self._acknowledged.append(
                Acknowledged(key=key, era=sent.era, xid=sent.xid, amount=sent.amount, acknowledged_at=datetime.now(UTC))
            )
            self._changed.notify_all()

    def hears_rollback(self, key: str) -> None:
        """The server said that the transaction ended without a commit."""
        with self._changed:
            del self._on_its_way[key]

    def hears_nothing(self, key: str) -> None:
        """The connection ended before the answer to COMMIT."""
        with self._changed:
            self._in_doubt.append(self._on_its_way.pop(key))

    def fails(self, reason: str) -> None:
        with self._changed:
            self._failures[reason] += 1
            self._changed.notify_all()

    def evidence(self) -> Evidence:
        with self._changed:
            return Evidence(
                acknowledged=tuple(self._acknowledged),
                in_doubt=(*self._in_doubt, *self._on_its_way.values()),
            )

    def failures(self) -> dict[str, int]:
        with self._changed:
            return dict(self._failures)

    def wait_until(self, condition: Callable[[int, int], bool], timeout_s: float) -> bool:
        """Wait until `condition(acknowledged, failures)` holds; False when it did not within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(len(self._acknowledged), self._failures.total()), timeout_s)
