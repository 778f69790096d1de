"""The demo's ledger: a plain owner can create it, always the same, and each of its checks can say no."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from stratum.demo.ledger import Invariant, check_invariants, create_ledger, observe_chapter
from tests.fixtures.ledger_server import OWNER, LedgerServer
from tests.fixtures.postgresql_majors import MAJORS, MajorServer

ODD_TABLE = """"Größe & ""Co""\"."O'Brien's ""Büro"" — 帳簿 100%\""""

UNCHECKED = "SET session_replication_role = replica"
"""Lets a superuser delete what foreign keys hold, as corruption would."""


def failing(dsn: str) -> set[str]:
    return {invariant.name for invariant in check_invariants(dsn) if not invariant.ok}


@pytest.fixture(scope="module")
def ledger(ledger_server: LedgerServer) -> str:
    """A small ledger that every test leaves as it found it; its DSN."""
    dsn = ledger_server.create_database("ledger")
    create_ledger(dsn, accounts=20, rows=600)
    return dsn


@pytest.fixture
def damaged(ledger_server: LedgerServer, ledger: str) -> Iterator[str]:
    """A copy of the ledger to do harm to, with the settings a copy by template leaves behind."""
    whole = conninfo_to_dict(ledger)["dbname"]
    ledger_server.execute(
        "postgres",
        f"CREATE DATABASE damaged TEMPLATE {whole} OWNER {OWNER}",
        "ALTER DATABASE damaged SET intervalstyle = iso_8601",
        "COMMENT ON DATABASE damaged IS 'The ledger''s books'",
        "GRANT CONNECT ON DATABASE damaged TO pg_monitor",
    )
    yield ledger_server.dsn("damaged")
    ledger_server.execute("postgres", "DROP DATABASE damaged WITH (FORCE)")


def test_a_new_ledger_keeps_every_promise(ledger: str) -> None:
    checked = check_invariants(ledger)
    assert [invariant for invariant in checked if not invariant.ok] == []
    assert len(checked) == len({invariant.name for invariant in checked}) >= 20


def test_a_check_leaves_no_trace(ledger: str) -> None:
    with psycopg.connect(ledger, autocommit=True) as connection:
        question = "SELECT count(*), seal_of('events'), seal_of('daily_totals') FROM events"
        before = connection.execute(question).fetchall()
        check_invariants(ledger)
        assert connection.execute(question).fetchall() == before


def test_keys_and_their_snapshot_are_of_one_moment(ledger_server: LedgerServer, ledger: str) -> None:
    whole = observe_chapter(ledger).keys
    waiting = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'transfers'::regclass AND NOT granted"
    with psycopg.connect(ledger) as writer, ThreadPoolExecutor(1) as pool:
        writer.execute("LOCK TABLE transfers")
        reading = pool.submit(observe_chapter, ledger)
        # The reader has its snapshot, and waits for the keys.
        deadline = time.monotonic() + 30
        while ledger_server.scalar("ledger", waiting) != "True":
            assert time.monotonic() < deadline
        insert = "INSERT INTO transfers (key, debit_account, credit_account, amount) VALUES ('late', 1, 2, 5)"
        writer.execute(insert)
        writer.commit()
        assert reading.result().keys == whole
        writer.execute("DELETE FROM transfers WHERE key = 'late'")
        writer.execute("UPDATE receipt_counter SET last_receipt = last_receipt - 1")


@pytest.mark.usefixtures("ledger")
def test_a_plain_owner_can_create_the_ledger(ledger_server: LedgerServer) -> None:
    rights = f"SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = '{OWNER}'"
    assert ledger_server.scalar("ledger", rights) == "False"


@pytest.mark.usefixtures("ledger")
def test_the_same_sizes_give_the_same_ledger(ledger_server: LedgerServer) -> None:
    again = ledger_server.create_database("again")
    create_ledger(again, accounts=20, rows=600)
    for table in ("transfers", "accounts", "events", "daily_totals", "specimens", "promised_objects"):
        question = f"SELECT public.seal_of('public.{table}')"
        assert ledger_server.scalar("ledger", question) == ledger_server.scalar("again", question), table


def test_a_ledger_is_not_created_over_another(ledger: str) -> None:
    before = observe_chapter(ledger).keys
    with pytest.raises(psycopg.errors.DuplicateSchema):
        create_ledger(ledger, accounts=2, rows=1)
    assert observe_chapter(ledger).keys == before
    assert failing(ledger) == set()


@pytest.mark.parametrize(("accounts", "rows"), [(1, 10), (0, 0), (5, -1)])
def test_sizes_that_make_no_ledger_are_refused(accounts: int, rows: int) -> None:
    with pytest.raises(ValueError, match="at least two accounts"):
        create_ledger("host=/nonexistent", accounts=accounts, rows=rows)


def test_the_smallest_ledger_holds_too(ledger_server: LedgerServer) -> None:
    smallest = ledger_server.create_database("smallest")
    create_ledger(smallest, accounts=2, rows=0)
    assert failing(smallest) == set()


@pytest.mark.parametrize("major", MAJORS)
def test_every_major_can_hold_the_ledger(major: int, major_server: MajorServer) -> None:
    server = major_server(major)
    with server.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS ledger_owner")
        connection.execute("CREATE ROLE ledger_owner LOGIN")
    with server.database(options="OWNER ledger_owner") as name:
        create_ledger(server.conninfo(name, user="ledger_owner"), accounts=5, rows=50)
        assert failing(server.conninfo(name, user="ledger_owner")) == set()
    with server.connect() as connection:
        connection.execute("DROP ROLE ledger_owner")


HARM: dict[str, tuple[str, ...]] = {
    "the sum of balances never changes": ("UPDATE accounts SET balance = balance + 1 WHERE id = 3",),
    "no account is missing": (f"{UNCHECKED}; DELETE FROM accounts WHERE id = 7",),
    "every balance is its opening balance plus its transfers": (
        "ALTER TABLE transfers DROP COLUMN amount CASCADE",
        "UPDATE accounts SET balance = balance + CASE id WHEN 1 THEN 5 ELSE -5 END WHERE id IN (1, 2)",
    ),
    "every transfer has its two accounts": (f"{UNCHECKED}; DELETE FROM accounts WHERE id = 7",),
    "receipts are unique, strictly increasing and without a gap": (
        "DELETE FROM transfers",
        "DELETE FROM transfers WHERE receipt = 300",
        "DELETE FROM transfers WHERE receipt = 600",
        "DELETE FROM receipt_counter",
    ),
    "keys are unique": (
        (
            "ALTER TABLE transfers DROP CONSTRAINT transfers_key_key; "
            "UPDATE transfers SET key = 'seed-000000001' WHERE id = 2"
        ),
    ),
    "every transfer has its event and every event its transfer": (
        "DELETE FROM events WHERE key = 'seed-000000005'",
        "TRUNCATE events_2024",
    ),
    "the generated column follows the amount": ("ALTER TABLE transfers DROP COLUMN cents, ADD COLUMN cents bigint",),
    "no sequence is behind the values in use": (
        "SELECT setval(pg_get_serial_sequence('transfers', 'id'), 599)",
        f"SELECT setval(pg_get_serial_sequence($${ODD_TABLE}$$, 'Straße Nr.'), 3)",
    ),
    "a new event finds its partition": ("ALTER TABLE events DETACH PARTITION events_2024",),
    "the partitions hold the rows that belong to them": (
        (
            "ALTER TABLE events DETACH PARTITION events_2024; "
            "ALTER TABLE events DETACH PARTITION events_other; "
            "ALTER TABLE events ATTACH PARTITION events_2024 DEFAULT; "
            "INSERT INTO events (key, happened_at, payload) VALUES ('astray', '1999-01-01', '{}')"
        ),
    ),
    "a new transfer gets its receipt from the trigger": (
        "ALTER TABLE transfers DISABLE TRIGGER transfers_get_a_receipt",
        "DROP FUNCTION number_the_receipt() CASCADE",
    ),
    "the materialised view can be refreshed and agrees with the transfers": ("DROP MATERIALIZED VIEW daily_totals",),
    "the view answers": ("DROP VIEW accounts_overview", "TRUNCATE accounts CASCADE"),
    "the enum keeps its labels in order": ("ALTER TYPE transfer_kind ADD VALUE 'gift' BEFORE 'fee'",),
    "every large object is what was stored": (
        "SELECT lo_put(content, 70000, 'x') FROM attachments WHERE id = 5",
        "SELECT lo_truncate(lo_open(content, 131072), 10) FROM attachments WHERE id = 6",
        "SELECT lo_unlink(content) FROM attachments WHERE id = 1",
    ),
    "sealed tables are unchanged": (
        "UPDATE specimens SET approximate = 0 WHERE name = 'the edges'",
        "UPDATE specimens SET word = '' WHERE name = 'nothing'",
        "UPDATE specimens SET exact = 0 WHERE name = 'not a number'",
        f'DELETE FROM {ODD_TABLE} WHERE "Straße Nr." = 25',
        "DELETE FROM promises WHERE name LIKE 'seal of %'",
    ),
    "row-level security is on": (
        "ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
        "DROP POLICY authors_see_their_own ON notes",
    ),
    "no object, column, constraint, grant or comment is missing": (
        "DROP TABLE reversals",
        "DROP EXTENSION pgcrypto CASCADE",
        "DROP INDEX transfers_not_payments",
        "REVOKE SELECT ON accounts_overview FROM PUBLIC",
        "REVOKE SELECT (code) ON accounts FROM pg_monitor",
        "COMMENT ON COLUMN transfers.key IS NULL",
        "ALTER TABLE page_cache SET LOGGED",
        "ALTER TABLE transfers DROP CONSTRAINT accounts_differ",
        "ALTER TABLE accounts ALTER id DROP IDENTITY",
        "ALTER DOMAIN money_amount DROP CONSTRAINT money_amount_is_positive",
        "ALTER TABLE fee_periods DROP CONSTRAINT periods_do_not_overlap",
    ),
    "the database keeps its own settings, comment and grants": (
        "ALTER DATABASE damaged RESET ALL",
        "COMMENT ON DATABASE damaged IS NULL",
        "REVOKE CONNECT ON DATABASE damaged FROM pg_monitor",
    ),
}


@pytest.mark.parametrize(("broken", "harm"), [(name, harm) for name in HARM for harm in HARM[name]])
def test_each_check_can_say_no(ledger_server: LedgerServer, damaged: str, broken: str, harm: str) -> None:
    ledger_server.execute("damaged", harm)
    assert broken in failing(damaged)


def test_every_check_is_shown_to_say_no(ledger: str) -> None:
    assert set(HARM) == {invariant.name for invariant in check_invariants(ledger)}


def test_a_dropped_table_is_named(ledger_server: LedgerServer, damaged: str) -> None:
    ledger_server.execute("damaged", "DROP TABLE transfers CASCADE")
    unasked = Invariant(name="keys are unique", ok=False, detail='relation "public.transfers" does not exist')
    assert unasked in check_invariants(damaged)
    (inventory,) = [i for i in check_invariants(damaged) if i.name.startswith("no object")]
    assert "public.transfers" in inventory.detail
