"""restore on a real PostgreSQL: what is live serves until the swap, is kept after it, and loses nothing on the way."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg
import pytest

from stratum.core.errors import StratumError
from stratum.core.proof import Verdict
from tests.fixtures.stacks import DATABASE, OWNER, Asked, StackUnderTest, wait_until


@dataclass(kw_only=True, slots=True)
class Client:
    """A client that reads the number of orders for as long as it is let, and comes back when it is sent away."""

    seen: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self, conninfo: str) -> None:
        while not self.done.is_set():
            try:
                with psycopg.connect(conninfo, autocommit=True) as connection:
                    while not self.done.is_set():
                        (count,) = connection.execute("SELECT count(*) FROM accounts").fetchall()[0]
                        self.seen.append(count)
            except psycopg.OperationalError as error:
                self.refused.append(str(error))


@contextmanager
def reconnecting_clients(stack: StackUnderTest, count: int) -> Iterator[list[Client]]:
    clients = [Client() for _ in range(count)]
    threads = [threading.Thread(target=client.run, args=(stack.conninfo(user=OWNER),)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.done.set()
        for thread in threads:
            thread.join()


def test_clients_that_keep_reconnecting_see_the_old_rows_and_then_the_restored_ones(stack: StackUnderTest) -> None:
    stack.execute("INSERT INTO accounts (holder, balance) VALUES ('late', 1)")
    with reconnecting_clients(stack, 4) as clients:
        wait_until(lambda: all(51 in client.seen for client in clients))
        stack.restore()
        wait_until(lambda: all(client.seen[-1] == 50 for client in clients))
    for client in clients:
        assert client.seen == sorted(client.seen, reverse=True), "the old rows came back after the restored ones"
        assert set(client.seen) == {51, 50}
        assert not [text for text in client.refused if "does not exist" in text]


def test_what_was_live_is_kept_beside_whole(stack: StackUnderTest) -> None:
    stack.execute("INSERT INTO accounts (holder, balance) VALUES ('late', 1)")
    kept = str(stack.restore().plan.params["kept"])
    assert stack.scalar("SELECT count(*) FROM accounts") == 50
    stack.execute(f'ALTER DATABASE "{kept}" ALLOW_CONNECTIONS true', database="postgres")
    assert stack.scalar("SELECT count(*) FROM accounts WHERE holder = 'late'", database=kept) == 1


def test_the_difference_names_added_and_missing_tables_and_counts_gained_and_lost_rows(stack: StackUnderTest) -> None:
    stack.execute(
        "CREATE TABLE newcomer (id int)",
        "INSERT INTO newcomer VALUES (1), (2), (3)",
        "DELETE FROM orders WHERE id <= 20",
        "INSERT INTO accounts (holder, balance) VALUES ('late', 1), ('later', 2)",
        "DROP TABLE events_2026",
        'UPDATE "Odd ""Schéma""".";drop table \'x\' é" SET "Wert%s" = \'drei\' WHERE "a b" = 1',
    )
    asked = Asked()
    stack.restore(asked=asked)
    shown = "\n".join(asked.shown)
    assert "public.newcomer: not in the backup, its 3 rows go" in shown
    assert "public.orders: 180 rows now, 200 after (+20)" in shown
    assert "public.accounts: 52 rows now, 50 after (-2)" in shown
    assert "public.events_2026: missing now, comes back with 87 rows" in shown
    assert "2 rows now, 2 after (+0, other content)" in shown


def test_nothing_changed_is_said_so(stack: StackUnderTest) -> None:
    asked = Asked()
    stack.restore(asked=asked)
    assert "the live database holds exactly the same rows" in asked.shown


def test_owner_grants_settings_comment_and_limit_are_carried_over(stack: StackUnderTest) -> None:
    stack.execute('CREATE SCHEMA "Odd, it\'s"', "CREATE ROLE reader LOGIN", 'CREATE ROLE "Second O\'wner" LOGIN')
    stack.execute(
        f'ALTER DATABASE {DATABASE} SET search_path TO "Odd, it\'s", public, \'\', "$user"',
        f"ALTER DATABASE {DATABASE} SET work_mem = '7MB'",
        f"ALTER DATABASE {DATABASE} SET statement_timeout = '90s'",
        f"ALTER DATABASE {DATABASE} SET session_preload_libraries = 'auto_explain', 'amcheck'",
        f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = on",
        f"ALTER DATABASE {DATABASE} SET \"ledger.tenant\" = 'a ''b'', c'",
        f"ALTER ROLE reader IN DATABASE {DATABASE} SET role = 'stratum_backup'",
        f'ALTER ROLE reader IN DATABASE {DATABASE} SET search_path TO "Odd ""Schéma"""',
        f'ALTER DATABASE {DATABASE} OWNER TO "Second O\'wner"',
        f"COMMENT ON DATABASE {DATABASE} IS 'it''s the %s ledger'",
        f"ALTER DATABASE {DATABASE} CONNECTION LIMIT 17",
        f"REVOKE CONNECT ON DATABASE {DATABASE} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {DATABASE} TO reader, stratum_backup, {OWNER}",
        f"GRANT CREATE ON DATABASE {DATABASE} TO reader WITH GRANT OPTION",
        database="postgres",
    )
    before = _properties(stack)
    stack.backup()
    stack.restore()
    assert _properties(stack) == before
    assert stack.scalar("SELECT count(*) FROM accounts") == 50


def _properties(stack: StackUnderTest) -> list[tuple[object, ...]]:
    return stack.rows(
        "SELECT pg_get_userbyid(datdba), datconnlimit, shobj_description(d.oid, 'pg_database'),"
        "       (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) AS a),"
        "       (SELECT array_agg(setrole::regrole || ': ' || c ORDER BY setrole::regrole::text, c)"
        "          FROM pg_db_role_setting, unnest(setconfig) AS c WHERE setdatabase = d.oid)"
        f" FROM pg_database AS d WHERE datname = '{DATABASE}'",
        database="postgres",
    )


def test_a_prepared_transaction_refuses_the_restore_and_is_named(stopped_stack: StackUnderTest) -> None:
    stack = stopped_stack
    with (stack.data / "postgresql.conf").open("a") as settings:
        settings.write("max_prepared_transactions = 5\n")
    stack.up()
    stack.execute("BEGIN; DELETE FROM orders; PREPARE TRANSACTION 'left over'")
    with pytest.raises(StratumError) as refused:
        stack.restore()
    assert (refused.value.code, refused.value.exit) == ("swap-obstacle", 10)
    assert "left over" in refused.value.message
    assert stack.databases() == {"postgres", DATABASE}
    stack.execute("ROLLBACK PREPARED 'left over'")
    stack.restore()


def test_slots_and_subscriptions_that_do_not_follow_are_named_in_the_plan(stopped_stack: StackUnderTest) -> None:
    stack = stopped_stack
    with (stack.data / "postgresql.conf").open("a") as settings:
        settings.write("wal_level = logical\n")
    stack.up()
    stack.execute("SELECT pg_create_logical_replication_slot('feed', 'pgoutput')")
    stack.execute(
        "CREATE SUBSCRIPTION elsewhere CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)"
    )
    notes = stack.restore().plan.notes
    assert "does not follow the rename: logical replication slot feed" in notes
    assert "does not follow the rename: subscription elsewhere" in notes


def test_into_another_name_leaves_the_live_database_alone(stack: StackUnderTest) -> None:
    stack.execute("DELETE FROM orders")
    oid = stack.scalar(f"SELECT oid FROM pg_database WHERE datname = '{DATABASE}'")
    asked = Asked()
    outcome = stack.restore(asked=asked, into="Look Here")
    assert outcome.facts["verdict"] == Verdict.PROVEN.value
    assert asked.plans == [], "nothing is replaced, so nothing is asked"
    assert stack.scalar("SELECT count(*) FROM orders") == 0
    assert stack.scalar("SELECT count(*) FROM orders", database="Look Here") == 200
    assert stack.scalar(f"SELECT oid FROM pg_database WHERE datname = '{DATABASE}'") == oid
    with pytest.raises(StratumError) as refused:
        stack.restore(into="Look Here")
    assert refused.value.code == "name-taken"


def test_a_declined_restore_leaves_everything_as_it_was(stack: StackUnderTest) -> None:
    stack.execute("DELETE FROM orders WHERE id <= 20")
    with pytest.raises(StratumError) as declined:
        stack.restore(asked=Asked(answer=False))
    assert (declined.value.code, declined.value.exit) == ("declined", 10)
    assert stack.scalar("SELECT count(*) FROM orders") == 180
    assert stack.databases() == {"postgres", DATABASE}


def test_without_a_terminal_and_without_confirm_the_restore_is_refused(stack: StackUnderTest) -> None:
    said = stack.cli("restore", "--json")
    assert said.returncode == 10
    assert json.loads(said.stdout)["error"]["code"] == "confirmation-needed"
    assert stack.databases() == {"postgres", DATABASE}
    wrong = stack.cli("restore", "--confirm", "another")
    assert (wrong.returncode, stack.databases()) == (10, {"postgres", DATABASE})
    assert stack.cli("restore", "--confirm", "led").returncode == 0
    assert len(stack.databases()) == 3


def test_a_dry_run_shows_the_plan_and_changes_nothing(stack: StackUnderTest) -> None:
    stack.execute("DELETE FROM orders WHERE id <= 20")
    before = stack.ports().journal.entries()
    said = stack.cli("restore", "--dry-run")
    assert said.returncode == 0, said.stderr
    assert "swap the two databases by name" in said.stdout
    assert stack.databases() == {"postgres", DATABASE}
    assert stack.scalar("SELECT count(*) FROM orders") == 180
    assert stack.ports().journal.entries() == before


def test_a_time_chooses_the_newest_backup_at_that_time(stack: StackUnderTest) -> None:
    first = stack.ports().archive.manifests()[0]
    stack.execute("DELETE FROM orders WHERE id <= 20")
    second = stack.ports().archive.backup_path(stack.backup()).name
    stack.restore(at=first.taken_at)
    assert stack.scalar("SELECT count(*) FROM orders") == 200
    outcome = stack.restore(at=first.taken_at + timedelta(days=1))
    assert outcome.plan.params["backup_id"] == second
    with pytest.raises(StratumError) as refused:
        stack.restore(at=first.taken_at - timedelta(seconds=1))
    assert refused.value.code == "nothing-to-restore"


def test_a_live_database_that_cannot_be_read_can_still_be_replaced(stack: StackUnderTest) -> None:
    file = stack.data / str(stack.scalar("SELECT pg_relation_filepath('accounts')"))
    stack.stop()
    file.unlink()
    stack.up()
    asked = Asked()
    stack.restore(asked=asked)
    assert stack.scalar("SELECT count(*) FROM accounts") == 50
    assert [line for line in asked.shown if "could not be read" in line]
    assert not [line for line in asked.shown if "exactly the same rows" in line]
