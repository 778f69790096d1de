"""Recoveries of the ledger under live writes, counted by the clients that wrote it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from stratum.demo.accounting import Accounting, Ledgerbook, RecoveryPoint
from stratum.demo.clients import LedgerClients
from stratum.demo.ledger import check_invariants, create_ledger, observe_chapter, observe_era
from tests.fixtures.ledger_server import OWNER, LedgerServer

LEFT_BEHIND = "the database keeps its own settings, comment and grants"
"""What a dump restored without --create cannot bring back: these tests use the stock tools alone."""


@pytest.fixture
def ledger(ledger_server: LedgerServer) -> Iterator[str]:
    """A small ledger of a test's own; its DSN."""
    dsn = ledger_server.create_database("ledger")
    create_ledger(dsn, accounts=10, rows=100)
    yield dsn
    for name in ("ledger", "beside"):
        ledger_server.execute("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def dump_and_restore(server: LedgerServer, dsn: str, *, clients: LedgerClients, into: str) -> RecoveryPoint:
    """Dump one exported snapshot under traffic and restore it beside, with PostgreSQL's own tools."""
    with psycopg.connect(dsn) as exporter:
        exporter.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        statement = "SELECT pg_export_snapshot(), pg_current_snapshot()::text"
        ((exported, snapshot),) = exporter.execute(statement).fetchall()
        point = RecoveryPoint(era=observe_era(exporter), snapshot=snapshot)
        # So that what pg_dump would see by itself is not what it was told to see.
        assert clients.wait_for_acknowledged(30)
        file = str(server.root / "ledger.dump")
        connection = ("-h", str(server.root), "-U", OWNER)
        server.run("pg_dump", *connection, "-Fc", f"--snapshot={exported}", "-f", file, "ledger")
    server.create_database(into)
    server.run("pg_restore", *connection, "--exit-on-error", "-d", into, file)
    return point


def swap(server: LedgerServer, *, live: str, beside: str, kept: str) -> None:
    """Take the live database's connections away and give its name to the other one, in one transaction."""
    server.execute(
        "postgres",
        f"ALTER DATABASE {live} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{live}'",
        f"BEGIN; ALTER DATABASE {live} RENAME TO {kept}; ALTER DATABASE {beside} RENAME TO {live}; COMMIT",
        f"ALTER DATABASE {kept} ALLOW_CONNECTIONS true",
    )


def broken_invariants(dsn: str) -> list[str]:
    return [invariant.name for invariant in check_invariants(dsn) if not invariant.ok]


def test_a_dump_under_live_writes_brings_back_every_row_of_its_point(
    ledger_server: LedgerServer,
    ledger: str,
) -> None:
    book = Ledgerbook(observe_chapter(ledger))
    with LedgerClients(lambda: ledger, count=6, per_second=5_000) as clients:
        assert clients.wait_for_acknowledged(100)
        point = dump_and_restore(ledger_server, ledger, clients=clients, into="beside")
        assert clients.wait_for_acknowledged(50)
    beside = ledger_server.dsn("beside")

    def counted() -> Accounting:
        recovered = observe_chapter(beside)
        return book.account(point=point, recovered=recovered, evidence=clients.evidence())

    whole = counted()
    assert whole.clean, whole
    # Counted a second time without the clients: nothing was lost here, so the live database knows the answer.
    live, restored = observe_chapter(ledger).keys, observe_chapter(beside).keys
    assert restored < live
    assert whole.rows_after_point == len(live - restored) >= 80
    assert whole.rows_in_point == len(restored) >= 200
    assert broken_invariants(beside) == [LEFT_BEHIND]

    acknowledged = sorted({row.key for row in clients.acknowledged()} & restored)
    ledger_server.execute("beside", f"DELETE FROM transfers WHERE key = '{acknowledged[0]}'")
    assert (counted().rows_missing, counted().missing_sample) == (1, (acknowledged[0],))
    ledger_server.execute("beside", "UPDATE transfers SET key = 'ghost' WHERE key = 'seed-000000001'")
    assert (counted().rows_missing, counted().rows_unexpected, counted().unexpected_sample) == (
        2,
        1,
        ("ghost",),
    )


def test_clients_live_through_a_database_restored_beside_and_renamed_into_place(
    ledger_server: LedgerServer,
    ledger: str,
) -> None:
    book = Ledgerbook(observe_chapter(ledger))
    with LedgerClients(lambda: ledger) as clients:
        assert clients.wait_for_acknowledged(50)
        point = dump_and_restore(ledger_server, ledger, clients=clients, into="beside")
        assert clients.wait_for_acknowledged(50)
        swap(ledger_server, live="ledger", beside="beside", kept="kept")
        assert clients.wait_for_acknowledged(50, timeout_s=60)
        recovered = observe_chapter(ledger)
        counted = book.account(point=point, recovered=recovered, evidence=clients.evidence())
        assert recovered.era != point.era
        assert counted.clean, counted
        assert counted.rows_since >= 40
        kept = observe_chapter(ledger_server.dsn("kept")).keys
        gone = {row.key for row in clients.acknowledged() if row.era == point.era} & kept - recovered.keys
        assert counted.rows_after_point == len(gone) >= 50
        book.continue_from(recovered, counted)

        # Back to the old database: it has every row it acknowledged, and those of the other are lost.
        swap(ledger_server, live="ledger", beside="kept", kept="beside")
        assert clients.wait_for_acknowledged(50, timeout_s=60)
        undone = observe_chapter(ledger)
        everything = RecoveryPoint(era=point.era, snapshot=None)
        counted = book.account(point=everything, recovered=undone, evidence=clients.evidence())
        assert undone.era == point.era
        assert counted.clean, counted
    of_the_other = [row for row in clients.acknowledged() if row.era == recovered.era]
    assert counted.rows_after_point == len(of_the_other)
    assert broken_invariants(ledger) == []


def test_a_table_restored_beside_and_put_back_begins_a_chapter_in_the_same_era(ledger: str) -> None:
    book = Ledgerbook(observe_chapter(ledger))
    clients = LedgerClients(lambda: ledger)
    with clients:
        assert clients.wait_for_acknowledged(20)
        with psycopg.connect(ledger) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            ((snapshot,),) = connection.execute("SELECT pg_current_snapshot()::text").fetchall()
            point = RecoveryPoint(era=observe_era(connection), snapshot=snapshot)
            connection.execute("CREATE SCHEMA restored_k3f9")
            connection.execute("CREATE TABLE restored_k3f9.transfers AS SELECT * FROM public.transfers")
        assert clients.wait_for_acknowledged(20)
    beside, live = observe_chapter(ledger, schema="restored_k3f9"), observe_chapter(ledger)
    counted = book.account(point=point, recovered=beside, evidence=clients.evidence())
    assert counted.clean, counted
    assert counted.rows_after_point == len(live.keys - beside.keys) >= 20

    with psycopg.connect(ledger) as connection:
        connection.execute("DELETE FROM transfers WHERE key NOT IN (SELECT key FROM restored_k3f9.transfers)")
    everything = RecoveryPoint(era=point.era, snapshot=None)
    put_back = observe_chapter(ledger)
    lost = book.account(point=everything, recovered=put_back, evidence=clients.evidence())
    assert lost.rows_missing == counted.rows_after_point
    book.continue_from(put_back, counted)
    with clients:
        assert clients.wait_for_acknowledged(20)
        again = observe_chapter(ledger)
        counted = book.account(point=everything, recovered=again, evidence=clients.evidence())
    assert counted.clean, counted
    assert counted.rows_in_point == len(again.keys)


def test_a_new_cluster_is_a_new_era(ledger: str) -> None:
    era = observe_chapter(ledger).era
    identifier, timeline, oid = era.split("/")
    with psycopg.connect(ledger) as connection:
        ((here,),) = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchall()
        ((mine,),) = connection.execute("SELECT oid::text FROM pg_database WHERE datname = 'ledger'").fetchall()
    assert (identifier, timeline, oid) == (here, "1", mine)
