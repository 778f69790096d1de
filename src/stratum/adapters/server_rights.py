"""What Stratum's roles may do on a server, asked of the server; nothing is tried out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import psycopg

from stratum.adapters.queries import query
from stratum.core.adoption import ServerRights

Connect = Callable[[str], AbstractContextManager[psycopg.Connection[tuple[Any, ...]]]]


def observe_rights(connect: Connect, databases: Sequence[str]) -> ServerRights:
    """The rights that the verbs need and the roles lack, in words, on the server and in each of `databases`."""
    with connect("postgres") as connection:
        missing = [what for (what,) in connection.execute(query("missing_server_rights")).fetchall()]
        own = connection.execute(query("own_server")).fetchone()
        there = {name for name, _ in connection.execute(query("databases")).fetchall()}
    for database in databases:
        if database in there:
            with connect(database) as connection:
                missing += [what for (what,) in connection.execute(query("missing_database_rights")).fetchall()]
    return ServerRights(missing=tuple(missing), may_replicate=bool(own and own[3]))
