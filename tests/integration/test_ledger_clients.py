"""The ledger's clients: what they call acknowledged is there, whatever happens to the server beneath them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import cast

import psycopg
import pytest

from stratum.demo.accounting import Evidence, InDoubt, Ledgerbook, RecoveryPoint
from stratum.demo.clients import LedgerClients, LedgerIncomplete, _Client
from stratum.demo.ledger import check_invariants, create_ledger, observe_chapter
from stratum.demo.witness import Witness
from tests.fixtures.cutting_proxy import CuttingProxy
from tests.fixtures.ledger_server import LedgerServer


@pytest.fixture
def ledger(ledger_server: LedgerServer) -> Iterator[str]:
    """A small ledger of a test's own; its DSN."""
    dsn = ledger_server.create_database("ledger")
    create_ledger(dsn, accounts=10, rows=100)
    yield dsn
    ledger_server.execute("postgres", "DROP DATABASE ledger WITH (FORCE)")


def stored_keys(dsn: str) -> frozenset[str]:
    return observe_chapter(dsn).keys


def broken_invariants(dsn: str) -> list[str]:
    return [invariant.name for invariant in check_invariants(dsn) if not invariant.ok]


def test_everything_acknowledged_is_stored_and_nothing_else(ledger: str) -> None:
    before = stored_keys(ledger)
    with LedgerClients(lambda: ledger, count=4) as clients:
        assert clients.wait_for_acknowledged(100)
    assert {row.key for row in clients.acknowledged()} == stored_keys(ledger) - before
    assert clients.in_doubt() == ()
    assert clients.failures() == {}


def test_an_acknowledgement_knows_its_amount_its_era_and_its_transaction(ledger: str) -> None:
    with LedgerClients(lambda: ledger) as clients:
        assert clients.wait_for_acknowledged(20)
    with psycopg.connect(ledger) as connection:
        stored = connection.execute("SELECT key, amount, xmin::text::bigint FROM transfers").fetchall()
    rows = clients.acknowledged()
    assert {(row.key, row.amount, row.xid) for row in rows} <= set(stored)
    assert {row.era for row in rows} == {observe_chapter(ledger).era}
    assert all(row.acknowledged_at.tzinfo is not None for row in rows)


def test_the_invariants_hold_at_every_moment_of_the_traffic(ledger: str) -> None:
    with LedgerClients(lambda: ledger, per_second=2_000) as clients:
        for _ in range(5):
            assert clients.wait_for_acknowledged(20)
            assert broken_invariants(ledger) == []
    assert clients.failures() == {}


def test_the_clients_together_keep_to_their_rate(ledger: str) -> None:
    began = time.monotonic()
    with LedgerClients(lambda: ledger, count=2, per_second=40) as clients:
        assert clients.wait_for_acknowledged(22)
    # Each client makes its first transfer at once and waits between the others.
    assert time.monotonic() - began >= (22 - 2) / 40 * 0.95


def test_clients_go_on_after_a_stop_and_remember(ledger: str) -> None:
    clients = LedgerClients(lambda: ledger)
    for _ in range(2):
        with clients:
            assert clients.wait_for_acknowledged(10)
        silent = clients.acknowledged()
        assert {row.key for row in silent} <= stored_keys(ledger)
    assert len({row.key for row in clients.acknowledged()}) == len(clients.acknowledged()) >= 20


def test_two_sets_of_clients_never_choose_the_same_key(ledger: str) -> None:
    with LedgerClients(lambda: ledger) as first, LedgerClients(lambda: ledger) as second:
        assert first.wait_for_acknowledged(10)
        assert second.wait_for_acknowledged(10)
    assert (first.failures(), second.failures()) == ({}, {})


def test_a_killed_server_loses_nothing_it_acknowledged(ledger_server: LedgerServer, ledger: str) -> None:
    book = Ledgerbook(observe_chapter(ledger))
    with LedgerClients(lambda: ledger, count=6, per_second=5_000) as clients:
        for _ in range(3):
            assert clients.wait_for_acknowledged(150)
            ledger_server.kill()
            assert clients.wait_for_failure()
            ledger_server.start()
        assert clients.wait_for_acknowledged(50)
        # Counted under traffic: an answer still on its way is in doubt, not unexpected.
        recovered = observe_chapter(ledger)
        everything = RecoveryPoint(era=recovered.era, snapshot=None)
        counted = book.account(point=everything, recovered=recovered, evidence=clients.evidence())
    assert counted.clean, counted
    assert counted.rows_in_point >= 100 + 500
    assert counted.rows_after_point == 0
    in_doubt = {row.key for row in clients.in_doubt()}
    assert in_doubt.isdisjoint(row.key for row in clients.acknowledged())
    assert broken_invariants(ledger) == []


@pytest.mark.parametrize("server_hears_it", [True, False])
def test_a_commit_without_an_answer_is_in_doubt_and_never_acknowledged(
    ledger_server: LedgerServer,
    ledger: str,
    tmp_path: Path,
    *,
    server_hears_it: bool,
) -> None:
    before = stored_keys(ledger)
    with CuttingProxy(directory=tmp_path, server=ledger_server.root, cuts=3, server_hears_it=server_hears_it) as proxy:
        through_proxy = psycopg.conninfo.make_conninfo(ledger, host=str(proxy.directory))
        with LedgerClients(lambda: through_proxy, count=2) as clients:
            assert clients.wait_for_acknowledged(30)
    acknowledged = {row.key for row in clients.acknowledged()}
    in_doubt = {row.key for row in clients.in_doubt()}
    assert len(in_doubt) == 3
    assert acknowledged.isdisjoint(in_doubt)
    assert stored_keys(ledger) - before == acknowledged | (in_doubt if server_hears_it else set())


def test_a_commit_still_on_its_way_is_in_doubt_until_it_is_answered() -> None:
    witness = Witness()
    sent = InDoubt(key="k", era="A", xid=1, amount=Decimal(1))
    witness.sends_commit(sent)
    assert witness.evidence() == Evidence(acknowledged=(), in_doubt=(sent,))
    witness.hears_commit("k")
    assert [row.key for row in witness.evidence().acknowledged] == ["k"]
    assert witness.evidence().in_doubt == ()


def test_a_commit_that_the_server_refuses_is_neither_acknowledged_nor_in_doubt(
    ledger_server: LedgerServer,
    ledger: str,
) -> None:
    ledger_server.execute(
        "ledger",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$",
        "CREATE CONSTRAINT TRIGGER refuse_at_commit AFTER INSERT ON transfers DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    before = stored_keys(ledger)
    with LedgerClients(lambda: ledger) as clients:
        assert clients.wait_for_failure()
        assert clients.wait_for_failure()
    assert (clients.acknowledged(), clients.in_doubt()) == ((), ())
    assert clients.failures().keys() == {"RaiseException"}
    assert stored_keys(ledger) == before


def test_a_commit_answered_with_a_rollback_is_not_acknowledged() -> None:
    class RollingBack:
        statusmessage = "ROLLBACK"

        def execute(self, _: str) -> RollingBack:
            return self

    clients = LedgerClients(lambda: "", count=1)
    witness: Witness = clients._witness
    client: _Client = clients._clients[0]
    witness.sends_commit(InDoubt(key="k", era="A", xid=1, amount=Decimal(1)))
    with pytest.raises(LedgerIncomplete, match="ROLLBACK"):
        client._commit(cast("psycopg.Connection", RollingBack()), "k")
    assert (clients.acknowledged(), clients.in_doubt()) == ((), ())


def test_clients_wait_out_a_table_that_is_gone_for_a_while(
    ledger_server: LedgerServer,
    ledger: str,
) -> None:
    with LedgerClients(lambda: ledger) as clients:
        assert clients.wait_for_acknowledged(10)
        ledger_server.execute("ledger", "ALTER TABLE transfers RENAME TO mislaid")
        assert clients.wait_for_failure()
        ledger_server.execute("ledger", "ALTER TABLE mislaid RENAME TO transfers")
        assert clients.wait_for_acknowledged(10)
    assert "UndefinedTable" in clients.failures()
    assert broken_invariants(ledger) == []


def test_no_transfer_is_made_between_accounts_that_are_gone(
    ledger_server: LedgerServer,
    ledger: str,
) -> None:
    with LedgerClients(lambda: ledger) as clients:
        assert clients.wait_for_acknowledged(10)
        delete = "SET session_replication_role = replica; DELETE FROM accounts"
        ledger_server.execute("ledger", delete)
        written = stored_keys(ledger)
        assert clients.wait_for_failure()
    assert "LedgerIncomplete" in clients.failures()
    assert stored_keys(ledger) == written


def test_clients_of_a_server_that_is_not_there_try_until_stopped() -> None:
    with LedgerClients(lambda: "host=/nonexistent user=nobody dbname=ledger") as clients:
        assert all(clients.wait_for_failure() for _ in range(3))
    assert (clients.acknowledged(), clients.in_doubt()) == ((), ())


def test_clients_can_be_stopped_while_the_server_does_not_answer(
    ledger_server: LedgerServer,
    ledger: str,
) -> None:
    clients = LedgerClients(lambda: ledger, count=3, per_second=5_000)
    clients.start()
    assert clients.wait_for_acknowledged(20)
    ledger_server.freeze()
    try:
        began = time.monotonic()
        clients.stop(timeout_s=0.5)
        assert time.monotonic() - began < 15
    finally:
        ledger_server.thaw()
    assert {row.key for row in clients.acknowledged()} <= stored_keys(ledger)


def test_what_a_client_died_of_is_told_by_stop() -> None:
    def broken_factory() -> str:
        raise RuntimeError("no address today")

    clients = LedgerClients(broken_factory, count=1)
    clients.start()
    with pytest.raises(RuntimeError, match="no address today"):
        clients.stop()
