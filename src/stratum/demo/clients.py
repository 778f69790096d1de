"""Writes to the ledger from several clients at once, each remembering what the server acknowledged to it."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

from stratum.demo.accounting import Acknowledged, Evidence, InDoubt
from stratum.demo.ledger import observe_era
from stratum.demo.witness import Witness

if TYPE_CHECKING:
    from psycopg import Connection

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_MS = 15_000

KINDS = ("payment", "payment", "payment", "refund", "fee")

# Both rows are locked in one order, so two clients never wait for each other.
LOCK_ACCOUNTS = "SELECT FROM public.accounts WHERE id = ANY (%s) ORDER BY id FOR UPDATE"
MOVE = "UPDATE public.accounts SET balance = balance + %s WHERE id = %s"
INSERT_EVENT = """
INSERT INTO public.events (key, happened_at, payload) VALUES (%s, clock_timestamp(), %s::jsonb)
"""
# Last, because it takes the receipt counter until the transaction ends.
INSERT_TRANSFER = """
INSERT INTO public.transfers (key, debit_account, credit_account, amount, kind, memo)
VALUES (%s, %s, %s, %s, %s, %s) RETURNING pg_current_xact_id()::text
"""


class LedgerIncomplete(Exception):
    """A row that a transfer needs is not there; the transfer was not made."""


class ClientsStuck(Exception):
    """A client did not end, although its connection was cut."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Intent:
    """One transfer as its client means it, before any of it is written."""

    key: str
    debit: int
    credit: int
    amount: Decimal
    kind: str


class _Client:
    """One thread, one connection at a time, one transfer after another until told to stop."""

    def __init__(
        self,
        name: str,
        *,
        dsn_factory: Callable[[], str],
        witness: Witness,
        stop: threading.Event,
        every_s: float,
    ) -> None:
        self._name = name
        self._dsn_factory = dsn_factory
        self._witness = witness
        self._stop = stop
        self._every_s = every_s
        self._random = Random(name)  # noqa: S311  (picks accounts, keeps no secret)
        self._sequence = 0
        self._pause_s = FIRST_PAUSE_S
        self._connection: Connection | None = None
        self._thread: threading.Thread | None = None
        self.crash: Exception | None = None

    def start(self) -> None:
        # A daemon: a client that cannot be ended must not keep the whole process alive.
        self.crash = None
        self._thread = threading.Thread(target=self._run, name=f"ledger-client-{self._name}", daemon=True)
        self._thread.start()

    def ended(self, *, within_s: float) -> bool:
        """Wait for the client to end; whether it has."""
        if self._thread is not None:
            self._thread.join(within_s)
        return self._thread is None or not self._thread.is_alive()

    def cut(self) -> None:
        """End the connection beneath a client that waits for a server which no longer answers."""
        from psycopg import Error

        connection = self._connection
        # Losing the race against the client's own close is the wished-for outcome, not an error.
        with suppress(Error, OSError):
            if connection is not None:
                # The descriptor stays libpq's: ours is a duplicate of the same socket.
                with socket.socket(fileno=os.dup(connection.fileno())) as shared:
                    shared.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        from psycopg import Error

        try:
            while not self._stop.is_set():
                try:
                    self._serve()
                except (Error, LedgerIncomplete) as error:
                    self._witness.fails(type(error).__name__)
                    self._stop.wait(self._pause_s)
                    self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        except Exception as error:  # noqa: BLE001  (raised again by whoever stops the clients)
            self.crash = error

    def _serve(self) -> None:
        with closing(self._connect()) as connection:
            self._connection = connection
            connection.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
            era = observe_era(connection)
            accounts = _count_accounts(connection)
            while not self._stop.is_set():
                due = monotonic() + self._every_s
                self._transfer(connection, self._next_intent(accounts), era)
                self._pause_s = FIRST_PAUSE_S
                self._stop.wait(max(0.0, due - monotonic()))

    def _connect(self) -> Connection:
        import psycopg

        return psycopg.connect(
            self._dsn_factory(),
            autocommit=True,  # BEGIN and COMMIT are sent by hand: the answer to COMMIT is the evidence
            connect_timeout=CONNECT_TIMEOUT_S,
            prepare_threshold=None,  # a pooler may stand between
            application_name=f"ledger-client-{self._name}",
        )

    def _next_intent(self, accounts: int) -> _Intent:
        # A failed attempt uses its number up: a key in doubt is never tried a second time.
        self._sequence += 1
        debit, credit = self._random.sample(range(1, accounts + 1), 2)
        return _Intent(
            key=f"{self._name}-{self._sequence:07d}",
            debit=debit,
            credit=credit,
            amount=Decimal(self._random.randint(1, 9_999)) / 100,
            kind=self._random.choice(KINDS),
        )

    def _transfer(self, connection: Connection, intent: _Intent, era: str) -> None:
        connection.execute("BEGIN")
        xid = _write(connection, intent)
        self._witness.sends_commit(InDoubt(key=intent.key, era=era, xid=xid, amount=intent.amount))
        self._commit(connection, intent.key)

    def _commit(self, connection: Connection, key: str) -> None:
        from psycopg import Error
        from psycopg.pq import TransactionStatus

        try:
            answer = connection.execute("COMMIT").statusmessage
        except Error:
            # Only a server that says, after its error, that it is ready and outside any transaction has
            # rolled back. (ReadyForQuery: https://www.postgresql.org/docs/current/protocol-message-formats.html)
            if connection.info.transaction_status is TransactionStatus.IDLE:
                self._witness.hears_rollback(key)
            else:
                self._witness.hears_nothing(key)
            raise
        # COMMIT in a failed transaction is answered ROLLBACK, without an error.
        if answer != "COMMIT":
            self._witness.hears_rollback(key)
            raise LedgerIncomplete(f"COMMIT was answered {answer}")
        self._witness.hears_commit(key)


class LedgerClients:
    """Several clients writing transfers until stopped, through crashes, restarts and renames of the database.

    `dsn_factory` is asked again before each connection. `per_second` is the target for all clients together.
    Used as a context manager it starts and stops them.
    """

    def __init__(self, dsn_factory: Callable[[], str], *, count: int = 4, per_second: float = 200.0) -> None:
        self._witness = Witness()
        self._stop = threading.Event()
        # Keys must differ from those of every earlier run that wrote to the same ledger.
        run = secrets.token_hex(3)
        self._clients = [
            _Client(
                f"live-{run}-{number}",
                dsn_factory=dsn_factory,
                witness=self._witness,
                stop=self._stop,
                every_s=count / per_second,
            )
            for number in range(1, count + 1)
        ]

    def start(self) -> None:
        """Begin, or go on after `stop`: what was remembered stays remembered."""
        self._stop.clear()
        for client in self._clients:
            client.start()

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """End every client, after the transfer it is in; cut those that still wait when the time is over.

        Raises ClientsStuck when even that did not help, and whatever a client died of.
        """
        self._stop.set()
        for client in self._running(timeout_s):
            client.cut()
        if stuck := self._running(2.0 * CONNECT_TIMEOUT_S):
            raise ClientsStuck(f"{len(stuck)} of {len(self._clients)} clients did not end")
        for client in self._clients:
            if client.crash is not None:
                raise client.crash

    def acknowledged(self) -> tuple[Acknowledged, ...]:
        return self._witness.evidence().acknowledged

    def in_doubt(self) -> tuple[InDoubt, ...]:
        return self._witness.evidence().in_doubt

    def evidence(self) -> Evidence:
        """Both of the above as of one moment."""
        return self._witness.evidence()

    def failures(self) -> dict[str, int]:
        """How often a client had to begin again, by the kind of error."""
        return self._witness.failures()

    def wait_for_acknowledged(self, more: int, *, timeout_s: float = 30.0) -> bool:
        """Wait until `more` further transfers are acknowledged; False when they were not within the time."""
        goal = len(self.acknowledged()) + more
        return self._witness.wait_until(lambda acknowledged, _: acknowledged >= goal, timeout_s)

    def wait_for_failure(self, *, timeout_s: float = 30.0) -> bool:
        """Wait until a client meets one more error; False when none did within the time."""
        goal = sum(self.failures().values()) + 1
        return self._witness.wait_until(lambda _, failures: failures >= goal, timeout_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self, timeout_s: float) -> list[_Client]:
        """The clients that have not ended when the time is over."""
        deadline = monotonic() + timeout_s
        return [c for c in self._clients if not c.ended(within_s=max(0.0, deadline - monotonic()))]


def _count_accounts(connection: Connection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM public.accounts").fetchall()
    if count < 2:
        raise LedgerIncomplete(f"{count} accounts")
    return int(count)


def _write(connection: Connection, intent: _Intent) -> int:
    """Everything of a transfer but its COMMIT; returns the transaction's id."""
    connection.execute(LOCK_ACCOUNTS, [[intent.debit, intent.credit]])
    for account, change in ((intent.debit, -intent.amount), (intent.credit, intent.amount)):
        if connection.execute(MOVE, [change, account]).rowcount != 1:
            raise LedgerIncomplete(f"account {account} is gone")
    connection.execute(INSERT_EVENT, [intent.key, f'{{"amount": {intent.amount}, "kind": "{intent.kind}"}}'])
    cursor = connection.execute(
        INSERT_TRANSFER, [intent.key, intent.debit, intent.credit, intent.amount, intent.kind, None]
    )
    ((xid,),) = cursor.fetchall()
    return int(xid)
