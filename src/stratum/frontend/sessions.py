"""Who visits: the cookies that hold tokens and choices, and how an expired access token is renewed once for all."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from stratum.frontend.csrf import is_token, make_token, read_signed, sign
from stratum.frontend.language import choose_language

ACCESS, REFRESH, USER, FORM, LANGUAGE, THEME = (
    f"stratum_{name}" for name in ("access", "refresh", "user", "form", "language", "theme")
)
THEMES = ("auto", "light", "dark")
_YEAR = 365 * 24 * 3600
_REFRESH_LIFE = 90 * 24 * 3600
"""The backend decides when a refresh token ends; the cookie only has to live as long."""
_REMEMBERED_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """Who signed in, as the backend said it."""

    id: str
    name: str
    role: str
    read_only: bool = False
    """Signed in with a console token: without the database, to look and not to touch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """What the backend gives for a sign-in or a refresh."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    seconds: int
    user: User


def parse_tokens(answer: Mapping[str, Any], *, read_only: bool = False) -> Tokens:
    """The backend's tokens answer."""
    user = answer["user"]
    return Tokens(
        access=answer["access_token"],
        refresh=answer.get("refresh_token"),
        seconds=int(answer["expires_in"]),
        user=User(id=str(user["id"] or ""), name=user["name"], role=user["role"], read_only=read_only),
    )


class Visit:
    """One request's cookies, and those that its answer sets."""

    def __init__(self, headers: Mapping[str, str], *, secret: str, previous: str | None = None, secure: bool) -> None:
        cookies = _cookies(headers.get("cookie", ""))
        self._secret, self._secure = secret, secure
        self._good = (secret, previous) if previous else (secret,)
        self._set: dict[str, str] = {}
        self.user = next(filter(None, (_read_user(key, cookies.get(USER, "")) for key in self._good)), None)
        self.access = cookies.get(ACCESS) if self.user else None
        self.refresh = cookies.get(REFRESH) if self.user else None
        self.language = choose_language(cookies.get(LANGUAGE), headers.get("accept-language", ""))
        self.theme = cookies[THEME] if cookies.get(THEME) in THEMES else THEMES[0]
        self._form = cookies.get(FORM, "")

    @property
    def csrf(self) -> str:
        """A token for the forms of this answer. Without a cookie to bind it to, the answer sets one."""
        if not self._form:
            self._renew_form()
        return make_token(self._secret, self._binding)

    def sent_from_here(self, token: str) -> bool:
        """Whether the form was made for this session."""
        return bool(self._form) and any(is_token(token, key, self._binding) for key in self._good)

    def sign_in(self, tokens: Tokens) -> None:
        """Remember who this is; forms made before do not count any more."""
        self._renew_form()
        self.keep(tokens)

    def keep(self, tokens: Tokens) -> None:
        """Remember these tokens in place of those before."""
        self.user, self.access, self.refresh = tokens.user, tokens.access, tokens.refresh
        life = _REFRESH_LIFE if tokens.refresh else tokens.seconds
        self._put(ACCESS, tokens.access, tokens.seconds)
        self._put(USER, _write_user(self._secret, tokens.user), life)
        if tokens.refresh:
            self._put(REFRESH, tokens.refresh, life)

    def sign_out(self) -> None:
        """Forget who this was."""
        self.user = self.access = self.refresh = None
        self._form = ""
        for name in (ACCESS, REFRESH, USER, FORM):
            self._put(name, "", 0)

    def choose(self, *, language: str | None, theme: str | None) -> None:
        """Keep the reader's choice for a year."""
        if language:
            self.language = language
            self._put(LANGUAGE, language, _YEAR)
        if theme:
            self.theme = theme
            self._put(THEME, theme, _YEAR)

    def headers(self) -> Iterator[tuple[bytes, bytes]]:
        """The Set-Cookie headers of the answer."""
        for value in self._set.values():
            yield b"set-cookie", value.encode("latin-1")

    @property
    def _binding(self) -> str:
        return f"{self._form}|{self.user.id if self.user else ''}"

    def _renew_form(self) -> None:
        self._form = secrets.token_urlsafe(24)
        self._put(FORM, self._form, None)

    def _put(self, name: str, value: str, seconds: int | None) -> None:
        lives = "" if seconds is None else f"; Max-Age={seconds}"
        secure = "; Secure" if self._secure else ""
        # Lax and not Strict for all but forms: a link to the console from a mail has to arrive signed in.
        site = "Strict" if name == FORM else "Lax"
        self._set[name] = f"{name}={value}; Path=/; HttpOnly; SameSite={site}{lives}{secure}"


class SharedRefresh:
    """Renews each refresh token once, however many requests bring it at the same time.

    The backend ends a whole family of sessions when a token is used twice; a browser that loads several things
    at once does use it twice. The successor is remembered for a minute, for those that were sent before it arrived.
    """

    def __init__(
        self, renew: Callable[[str, str], Awaitable[Tokens]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._renew, self._clock = renew, clock
        self._known: dict[bytes, tuple[float, asyncio.Task[Tokens]]] = {}

    async def successor(self, refresh: str, language: str) -> Tokens:
        """The tokens that follow this one. A failure is not remembered."""
        self._forget()
        key = hashlib.sha256(refresh.encode()).digest()
        if key not in self._known:
            self._known[key] = (self._clock(), asyncio.ensure_future(self._renew(refresh, language)))
        task = self._known[key][1]
        try:
            # A request that is given up must not cut the refresh that others wait for.
            return await asyncio.shield(task)
        except Exception:
            if self._known.get(key, (0.0, None))[1] is task:
                del self._known[key]
            raise

    def _forget(self) -> None:
        old = self._clock() - _REMEMBERED_SECONDS
        self._known = {key: (at, task) for key, (at, task) in self._known.items() if at > old or not task.done()}


def _cookies(header: str) -> dict[str, str]:
    """The cookies of a request; a header that is none gives none."""
    pairs = (part.strip().partition("=") for part in header[:16384].split(";"))
    return {name: value.strip('"') for name, equals, value in pairs if equals}


def _write_user(secret: str, user: User) -> str:
    text = base64.urlsafe_b64encode(json.dumps(asdict(user)).encode()).decode()
    return sign(secret, text)


def _read_user(secret: str, cookie: str) -> User | None:
    text = read_signed(secret, cookie)
    if not text:
        return None
    try:
        return User(**json.loads(base64.urlsafe_b64decode(text)))
    except (binascii.Error, ValueError, TypeError):
        return None
