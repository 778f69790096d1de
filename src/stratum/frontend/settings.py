"""What the frontend is told by its environment, and by nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stratum.adapters.trusted_proxies import TrustedProxies, parse_trusted_proxies
from stratum.core.errors import StratumError

DEFAULT_PORT = 3000


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontendSettings:
    """Where to listen, where the API is, and the key of forms and of the signed cookie."""

    host: str
    port: int
    api_url: str
    secret: str = field(repr=False)
    previous: str | None = field(default=None, repr=False)
    """What was sealed with it is taken as well: the key before, after it was changed."""
    trusted_proxies: TrustedProxies = field(default_factory=TrustedProxies)
    """Whose word is taken about where a request came from."""


def parse_settings(environment: Mapping[str, str]) -> FrontendSettings:
    """Read HOST, PORT, API_URL (or NEXT_PUBLIC_API_URL), TRUSTED_PROXIES and both FRONTEND_SECRETs.

    Raises `missing-secret` without a secret, `invalid-setting` for a port, an address or a proxy that cannot be one.
    """
    secret = environment.get("FRONTEND_SECRET", "")
    if not secret:
        raise StratumError("missing-secret", file="the environment", name="FRONTEND_SECRET")
    return FrontendSettings(
        host=environment.get("HOST") or "127.0.0.1",
        port=_port(environment.get("PORT") or str(DEFAULT_PORT)),
        api_url=_address(
            environment.get("API_URL") or environment.get("NEXT_PUBLIC_API_URL") or "http://127.0.0.1:4001/api/v1"
        ),
        secret=secret,
        previous=environment.get("FRONTEND_SECRET_PREVIOUS") or None,
        trusted_proxies=_proxies(environment.get("TRUSTED_PROXIES", "")),
    )


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise _invalid("PORT", "it has to be a number below 65536")


def _address(text: str) -> str:
    if text.startswith(("http://", "https://")):
        return text.rstrip("/")
    raise _invalid("API_URL", "it has to begin with http:// or https://")


def _proxies(text: str) -> TrustedProxies:
    try:
        return parse_trusted_proxies(text)
    except ValueError as error:
        raise _invalid("TRUSTED_PROXIES", str(error)) from None


def _invalid(name: str, problem: str) -> StratumError:
    return StratumError("invalid-setting", file="the environment", setting=name, problem=problem)
