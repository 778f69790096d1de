"""The backend's settings, which come from the environment and from nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from stratum.adapters.trusted_proxies import TrustedProxies, parse_trusted_proxies
from stratum.core.errors import StratumError
from stratum.core.lifetimes import parse_lifetime

_FILE = "the backend's environment"
_SHORTEST_SECRET = 32
_NOT_OF_LIBPQ = frozenset({"schema", "pgbouncer", "connection_limit", "pool_timeout"})
"""Parameters that other libraries put into the same address; PostgreSQL's own refuses them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendSettings:
    """Everything the backend is told at its start."""

    database_url: str = field(repr=False)
    """As SQLAlchemy takes it, with psycopg as its driver."""
    agent_url: str
    agent_secret_file: Path
    jwt_secret: str = field(repr=False)
    jwt_secret_previous: str | None = field(default=None, repr=False)
    """Tokens signed with it are taken as well, until they expire: for changing the secret without ending sessions."""
    access_ttl: timedelta = timedelta(minutes=15)
    refresh_ttl: timedelta = timedelta(days=90)
    autorun_migrations: bool = True
    seed_on_start: bool = False
    host: str = "127.0.0.1"
    port: int = 4001
    trusted_proxies: TrustedProxies = field(default_factory=TrustedProxies)
    """Whose word is taken about where a request came from."""
    rehearsed: bool = False
    """Whether it runs on a clone, where there is no agent to answer."""


def load_backend_settings(environment: Mapping[str, str]) -> BackendSettings:
    """Read the settings; raises `missing-secret` or `invalid-setting`, which never show a secret's value."""
    return BackendSettings(
        database_url=parse_database_url(_required(environment, "CONSOLE_DATABASE_URL")),
        agent_url=environment.get("AGENT_URL", "http://127.0.0.1:4002").rstrip("/"),
        agent_secret_file=Path(_required(environment, "AGENT_SECRET_FILE")),
        jwt_secret=_signing_secret("JWT_SECRET", _required(environment, "JWT_SECRET")),
        jwt_secret_previous=_previous_secret(environment),
        access_ttl=_duration(environment, "JWT_ACCESS_TTL", "15m", number_means="s"),
        refresh_ttl=_duration(environment, "JWT_REFRESH_TTL_MS", "90d", number_means="ms"),
        autorun_migrations=_switch(environment, "AUTORUN_MIGRATIONS", otherwise=True),
        seed_on_start=_switch(environment, "SEED_ON_START", otherwise=False),
        host=environment.get("HOST") or "127.0.0.1",
        port=_port(environment.get("PORT") or "4001"),
        trusted_proxies=_proxies(environment.get("TRUSTED_PROXIES", "")),
        rehearsed=_switch(environment, "STRATUM_REHEARSAL", otherwise=False),
    )


def parse_database_url(url: str) -> str:
    """Any libpq address as SQLAlchemy takes it; `?schema=public` and its like, which libpq does not know, are left out.

    Raises `invalid-setting`, without the address: it holds a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] not in {"postgres", "postgresql"} or not rest:
        raise StratumError(
            "invalid-setting",
            file=_FILE,
            setting="CONSOLE_DATABASE_URL",
            problem="it is not an address that begins with postgresql://",
        )
    parts = urlsplit(f"postgresql://{rest}")
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in _NOT_OF_LIBPQ]
    # urlunsplit loses the empty host of a socket address (postgresql:///name?host=/run).
    address = urlunsplit(("", "", parts.path, urlencode(kept), ""))
    return f"postgresql+psycopg://{parts.netloc}{address}"


def _duration(environment: Mapping[str, str], name: str, otherwise: str, *, number_means: str) -> timedelta:
    text = environment.get(name) or otherwise
    found = parse_lifetime(text, number_means=number_means)
    if found is None or found > timedelta(days=3660):
        problem = f"{text} is not a time such as 15m or 90d"
        raise StratumError("invalid-setting", file=_FILE, setting=name, problem=problem)
    return found


def _switch(environment: Mapping[str, str], name: str, *, otherwise: bool) -> bool:
    text = environment.get(name, "").strip().lower()
    if text not in {"", "true", "1", "yes", "false", "0", "no"}:
        raise StratumError("invalid-setting", file=_FILE, setting=name, problem=f"{text} is neither true nor false")
    return text in {"true", "1", "yes"} if text else otherwise


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StratumError("invalid-setting", file=_FILE, setting="PORT", problem=f"{text} is not a port")
    return int(text)


def _proxies(text: str) -> TrustedProxies:
    try:
        return parse_trusted_proxies(text)
    except ValueError as error:
        raise StratumError("invalid-setting", file=_FILE, setting="TRUSTED_PROXIES", problem=str(error)) from None


def _required(environment: Mapping[str, str], name: str) -> str:
    if value := environment.get(name):
        return value
    raise StratumError("missing-secret", file=_FILE, name=name)


def _previous_secret(environment: Mapping[str, str]) -> str | None:
    value = environment.get("JWT_SECRET_PREVIOUS")
    return _signing_secret("JWT_SECRET_PREVIOUS", value) if value else None


def _signing_secret(name: str, value: str) -> str:
    """An HMAC key shorter than its hash can be guessed from one token (RFC 7518, 3.2)."""
    if len(value.encode()) < _SHORTEST_SECRET:
        problem = f"it has fewer than {_SHORTEST_SECRET} bytes"
        raise StratumError("invalid-setting", file=_FILE, setting=name, problem=problem)
    return value
