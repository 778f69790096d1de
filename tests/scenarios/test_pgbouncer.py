"""A pooler holds sessions to the database by its name: a restore swaps the database beneath it."""

from __future__ import annotations

import psycopg

from tests.fixtures.poolers import PoolerOf
from tests.fixtures.stacks import StackUnderTest, wait_until

_COUNT = "SELECT count(*) FROM accounts"


def _count(connection: psycopg.Connection[tuple[int, ...]]) -> int | None:
    """What a client sees; None while the pooler has no server to give it."""
    try:
        (row,) = connection.execute(_COUNT).fetchall()
    except psycopg.OperationalError:
        return None
    return row[0]


def _count_anew(conninfo: str) -> int | None:
    try:
        with psycopg.connect(conninfo, autocommit=True, prepare_threshold=None) as connection:
            return _count(connection)
    except psycopg.OperationalError:
        return None


def test_a_restore_beneath_a_pooler_reaches_its_clients(stack: StackUnderTest, pooler_of: PoolerOf) -> None:
    conninfo = pooler_of(stack)
    stack.execute("INSERT INTO accounts (holder, balance) VALUES ('late', 1)")
    clients = [psycopg.connect(conninfo, autocommit=True, prepare_threshold=None) for _ in range(4)]
    assert [_count(client) for client in clients] == [51, 51, 51, 51]
    pooled = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'stratum'"
    assert stack.scalar(pooled) != 0, "the pooler holds no session that the swap would have to end"
    stack.restore()
    wait_until(lambda: _count_anew(conninfo) == 50)
    wait_until(lambda: all(client.closed or _count(client) == 50 for client in clients))
    for client in clients:
        client.close()


def test_an_undo_beneath_a_pooler_reaches_its_clients(stack: StackUnderTest, pooler_of: PoolerOf) -> None:
    conninfo = pooler_of(stack)
    stack.execute("INSERT INTO accounts (holder, balance) VALUES ('late', 1)")
    stack.restore()
    wait_until(lambda: _count_anew(conninfo) == 50)
    stack.undo()
    wait_until(lambda: _count_anew(conninfo) == 51)
