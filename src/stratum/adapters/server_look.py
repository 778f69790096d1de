"""Looks at a server of the user's own as its application's role, and changes nothing there."""

from __future__ import annotations

from dataclasses import replace

from stratum.adapters.database_url import DatabaseUrl
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.queries import query
from stratum.core.adoption import ServerLook

_CONNECT_SECONDS = 10


def observe_server(url: DatabaseUrl) -> ServerLook:
    """What adopt can say of it; one that cannot be reached is said to be so, and is no error."""
    import psycopg

    where = url.address
    endpoint = Endpoint(host=where.host, port=where.port, user=url.user, password=url.password)
    look = ServerLook(where=f"{where.host}:{where.port}", user=url.user)
    try:
        with psycopg.connect(
            endpoint.conninfo(url.database),
            password=url.password.reveal,
            connect_timeout=_CONNECT_SECONDS,
            application_name="stratum adopt",
            autocommit=True,
        ) as connection:
            row = connection.execute(query("own_server")).fetchone()
            tables = connection.execute(query("protected_tables")).fetchall()
            extensions = connection.execute(query("superuser_extensions")).fetchall()
    except psycopg.Error as error:
        return replace(look, problem=" ".join(str(error).split()))
    major, superuser, checksums, replication = row or (0, False, True, False)
    return replace(
        look,
        major=major,
        superuser=superuser,
        checksums=checksums,
        replication=replication,
        protected_tables=tuple(name for (name,) in tables),
        extensions=tuple(name for (name,) in extensions),
    )
