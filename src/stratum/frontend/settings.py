"""What the frontend is told by its environment, and by nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stratum.core.errors import StratumError

DEFAULT_PORT = 3000


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontendSettings:
    """Where to listen, where the API is, and the key of forms and of the signed cookie."""

    host: str
    port: int
    api_url: str
    secret: str = field(repr=False)


def parse_settings(environment: Mapping[str, str]) -> FrontendSettings:
    """Read HOST, PORT, API_URL (or NEXT_PUBLIC_API_URL) and FRONTEND_SECRET.

    Raises `missing-secret` without a secret, `invalid-setting` for a port or an address that cannot be one.
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
    )


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise _invalid("PORT", "it has to be a number below 65536")


def _address(text: str) -> str:
    if text.startswith(("http://", "https://")):
        return text.rstrip("/")
    raise _invalid("API_URL", "it has to begin with http:// or https://")


def _invalid(name: str, problem: str) -> StratumError:
    return StratumError("invalid-setting", file="the environment", setting=name, problem=problem)
