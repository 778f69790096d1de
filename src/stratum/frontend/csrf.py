"""Tells a form of this console's own pages from one that another site sent."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit


def make_token(secret: str, binding: str) -> str:
    """A token for one session, another one each time: a compressed page gives nothing of it away.

    (https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html)
    """
    nonce = secrets.token_hex(16)
    return f"{nonce}.{_seal(secret, binding, nonce)}"


def is_token(token: str, secret: str, binding: str) -> bool:
    """Whether this session was given this token; takes as long for a wrong one."""
    nonce, _, seal = token.partition(".")
    expected = _seal(secret, binding, nonce)
    return bool(binding) and hmac.compare_digest(expected.encode(), seal.encode())


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether the browser says that the request came from this console's own pages.

    `Sec-Fetch-Site` decides where there is one, else `Origin`. A client that sends neither is no browser of today;
    the token still has to be right. (https://web.dev/articles/fetch-metadata)
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is None or _place(origin) == headers.get("host", "")


def _place(origin: str) -> str | None:
    """The host and port of an origin; None where it is no address at all."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def sign(secret: str, text: str) -> str:
    """The text with a seal that `read_signed` checks."""
    return f"{text}.{_seal(secret, 'cookie', text)}"


def read_signed(secret: str, signed: str) -> str | None:
    """The text, when it was sealed with this secret."""
    text, _, seal = signed.rpartition(".")
    return text if hmac.compare_digest(_seal(secret, "cookie", text).encode(), seal.encode()) else None


def _seal(secret: str, purpose: str, text: str) -> str:
    return hmac.new(secret.encode(), f"{purpose}\x00{text}".encode(), hashlib.sha256).hexdigest()
