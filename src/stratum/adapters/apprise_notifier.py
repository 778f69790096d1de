"""Tells people through Apprise, and the dead-man's switch through one GET; an address never leaves this module."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stratum.core.answers import Delivery
from stratum.core.errors import StratumError

_NAME = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_TRIES = 2
_PING_SECONDS = 10.0


_NAMES_ADDRESSES = ("apprise", "httpx", "httpcore", "urllib3", "requests")


@dataclass(frozen=True, kw_only=True, slots=True)
class AppriseNotifier:
    """The addresses of one stack."""

    urls: Sequence[str] = field(repr=False)
    heartbeat_url: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What `$NAME` in an address stands for: the variables of .env."""

    def tell(self, title: str, body: str) -> tuple[Delivery, ...]:
        """Tell every address; one that fails keeps none of the others from being told."""
        return tuple(self._tell_one(number, url, title, body) for number, url in enumerate(self.urls, start=1))

    def ping(self) -> str | None:
        """Ask for the heartbeat address; what went wrong, or None. Without one there is nothing to do."""
        if not self.heartbeat_url:
            return None
        import httpx

        _hush()
        try:
            url = self._filled(self.heartbeat_url)
            problem = ""
            for _ in range(_TRIES):
                try:
                    answer = httpx.get(url, timeout=_PING_SECONDS, follow_redirects=True)
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    problem = type(error).__name__
                    continue
                if answer.is_success:
                    return None
                problem = f"it answered {answer.status_code}"
        except StratumError as error:
            return error.message
        return problem

    def _tell_one(self, number: int, url: str, title: str, body: str) -> Delivery:
        import apprise

        scheme = url.partition("://")[0] if "://" in url else "?"
        where = f"{number} ({scheme if re.fullmatch(r'[a-z0-9+-]{1,20}', scheme) else '?'})"
        _hush()
        try:
            address = apprise.Apprise()
            if not address.add(self._filled(url)):
                return Delivery(address=where, delivered=False, problem="it is not an address Apprise understands")
        except StratumError as error:
            return Delivery(address=where, delivered=False, problem=error.message)
        for _ in range(_TRIES):
            if address.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT):
                return Delivery(address=where, delivered=True)
        return Delivery(address=where, delivered=False, problem=f"it did not take the message ({_TRIES} tries)")

    def _filled(self, url: str) -> str:
        """The address with each `$NAME` replaced. Raises `missing-secret` for one .env does not set."""

        def value(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            if not self.environment.get(name):
                raise StratumError("missing-secret", file=".env", name=name)
            return self.environment[name]

        return _NAME.sub(value, url)


def _hush() -> None:
    """Keep the libraries' own logs silent: they name addresses, with the tokens in them."""
    for name in _NAMES_ADDRESSES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
