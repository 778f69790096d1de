"""Access tokens (signed, short) and opaque random ones (kept as hashes only)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OctKey

from stratum.core.errors import StratumError

ISSUER = "stratum-backend"
AUDIENCE = "stratum-console"
LEEWAY_S = 30
_ALGORITHM = "HS256"
_LONGEST_TOKEN = 4096


class TokenKind(StrEnum):
    """What an access token stands for."""

    SESSION = "session"
    CONSOLE = "console"
    """A console token's session: read-only, and known to no database."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What a valid access token says."""

    kind: TokenKind
    epoch: int
    user_id: UUID | None
    session_id: UUID | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenMint:
    """Signs access tokens, and reads those signed with the current secret or the one before it."""

    secret: str = field(repr=False)
    previous: str | None = field(default=None, repr=False)
    now: Callable[[], datetime]

    def sign(self, claims: Claims, lifetime: timedelta) -> str:
        """A token that is good from now on for `lifetime`."""
        now = self.now()
        content = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "jti": str(uuid4()),
            "kind": claims.kind.value,
            "epoch": claims.epoch,
            "sub": str(claims.user_id or ""),
            "sid": str(claims.session_id or ""),
        }
        header = {"alg": _ALGORITHM, "typ": "JWT", "kid": key_id(self.secret)}
        return jwt.encode(header, content, OctKey.import_key(self.secret), algorithms=[_ALGORITHM])

    def read(self, token: str) -> Claims:
        """Raises `token-expired`, or `token-refused` for anything that this mint did not sign for this console.

        The algorithm is fixed here and never taken from the token (RFC 8725, 3.1).
        """
        try:
            if len(token) > _LONGEST_TOKEN:
                raise ValueError("too long")
            header = jwt.decode(token, self._key_of, algorithms=[_ALGORITHM])
            self._registry().validate(header.claims)
            return _parse_claims(header.claims)
        except ExpiredTokenError:
            raise StratumError("token-expired") from None
        except (JoseError, ValueError, TypeError, KeyError):
            raise StratumError("token-refused") from None

    def _key_of(self, signed: Any) -> OctKey:  # noqa: ANN401  the library's own callback, for any of its token types
        kid = signed.headers()["kid"]
        for secret in (self.secret, self.previous):
            if secret is not None and secrets.compare_digest(str(kid).encode(), key_id(secret).encode()):
                return OctKey.import_key(secret)
        raise ValueError("no such key")

    def _registry(self) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(self.now().timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            iat={"essential": True},
            jti={"essential": True},
        )


def key_id(secret: str) -> str:
    """Names a signing key without giving anything of it away."""
    return hashlib.sha256(b"stratum key id\0" + secret.encode()).hexdigest()[:16]


def new_opaque_token() -> str:
    """256 random bits, as text that fits into a header and a line."""
    return secrets.token_urlsafe(32)


def hash_opaque_token(token: str) -> str:
    """What is kept of an opaque token. It is random, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def _parse_claims(content: dict[str, Any]) -> Claims:
    kind, epoch = TokenKind(content["kind"]), content["epoch"]
    if not isinstance(epoch, int) or isinstance(epoch, bool):
        raise TypeError("the epoch is no number")
    if kind is TokenKind.CONSOLE:
        return Claims(kind=kind, epoch=epoch, user_id=None, session_id=None)
    return Claims(kind=kind, epoch=epoch, user_id=UUID(content["sub"]), session_id=UUID(content["sid"]))
