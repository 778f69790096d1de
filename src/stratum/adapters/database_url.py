"""Reads DATABASE_URL as the many libraries write it, down to what libpq needs."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from stratum.core.errors import StratumError
from stratum.core.stack import Secret


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerAddress:
    """Where a server listens."""

    host: str
    port: int

    @property
    def bracketed(self) -> str:
        """The host as an address holds it: a literal of IPv6 stands in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseUrl:
    """An address with who connects and to which database."""

    address: ServerAddress
    user: str
    password: Secret
    database: str


def parse_database_url(url: str, *, file: object, setting: str) -> DatabaseUrl:
    """`postgres://user:password@host:5432/name?schema=public`; parameters behind `?` are other libraries' own.

    Raises `invalid-setting`, without the address: it holds a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 5432
    except ValueError:
        raise _refused(file, setting, "its port is no port") from None
    if parts.scheme.partition("+")[0] not in {"postgres", "postgresql"} or not host:
        raise _refused(file, setting, "it is not an address such as postgresql://user:password@host:5432/name")
    name = unquote(parts.path.lstrip("/"))
    if not parts.username or not name:
        raise _refused(file, setting, "it names no user or no database")
    return DatabaseUrl(
        address=ServerAddress(host=host, port=port),
        user=unquote(parts.username),
        password=Secret(unquote(parts.password or "")),
        database=name,
    )


def _refused(file: object, setting: str, problem: str) -> StratumError:
    return StratumError("invalid-setting", file=file, setting=setting, problem=problem)
