"""Copies a database file by file, sharing its blocks where PostgreSQL and the file system can."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

_FILE_COPY, _CLONE = 150000, 180000
"""Majors that name the strategy, and that can have the file system copy."""


def copy_files(connection: psycopg.Connection[Any], name: str, copy: str, *, owner: str, version_num: int) -> None:
    """Make `copy` from `name`, which nobody is connected to.

    From 18 on the kernel copies: on XFS, Btrfs and their like in no time and with no room. Where it cannot, the server
    copies the bytes, as older majors always do.
    (https://www.postgresql.org/docs/current/runtime-config-resource.html#GUC-FILE-COPY-METHOD)
    """
    strategy = sql.SQL(" STRATEGY file_copy") if version_num >= _FILE_COPY else sql.SQL("")
    statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
        sql.Identifier(copy), sql.Identifier(owner), sql.Identifier(name)
    )
    if version_num >= _CLONE:
        connection.execute("SET file_copy_method = clone")
        try:
            connection.execute(statement + strategy)
        except psycopg.Error as error:
            if error.sqlstate not in _CANNOT_CLONE:
                raise
            connection.execute("SET file_copy_method = copy")
        else:
            return
    connection.execute(statement + strategy)


_CANNOT_CLONE = frozenset({"XX000", "58030", "0A000", "58P01"})
"""What the server says where the kernel knows no such copy: ENOTSUP, EXDEV and EINVAL have no code of their own."""
