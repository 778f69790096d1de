"""Hashes a role's password as PostgreSQL stores it, so that its plain text reaches neither server nor log."""

from __future__ import annotations


def hash_password(role: str, password: str) -> str:
    """The SCRAM secret that PostgreSQL stores; made by libpq, without a server.

    (https://www.postgresql.org/docs/current/libpq-misc.html#LIBPQ-PQENCRYPTPASSWORDCONN)
    """
    from psycopg.pq import PGconn

    nowhere = PGconn.connect_start(b"host=/nonexistent")
    try:
        return nowhere.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    finally:
        nowhere.finish()
