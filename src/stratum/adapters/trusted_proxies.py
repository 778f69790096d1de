"""Whose word is taken about where a request came from: that of the proxies that were named, and nobody else's."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_LABELS = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_KNOWN_FOR_S = 10.0
"""As long a name's addresses are taken for granted: Docker may give them to another container later."""
_AGAIN_AFTER_S = 1.0
"""A peer that is not known may be a proxy that was just made anew; strangers cause no more questions than this."""
_LOOK_UP_S = 2.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LookUp = Callable[[str], Awaitable[Iterable[str]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrustedProxies:
    """The proxies by network, or by the name that a private network's own DNS knows them by."""

    networks: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("::1"))
    names: tuple[str, ...] = ()


def parse_trusted_proxies(text: str) -> TrustedProxies:
    """Addresses, networks such as 172.18.0.0/16, and host names, with commas between them; loopback when empty.

    Raises ValueError, in words for `invalid-setting`, for what is none of these and for what would believe everybody.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        return TrustedProxies()
    found = [(part, _network(part)) for part in parts]
    return TrustedProxies(
        networks=tuple(network for _, network in found if network is not None),
        names=tuple(_name(part) for part, network in found if network is None),
    )


def _network(text: str) -> Network | None:
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        return None
    if found.prefixlen == 0:
        raise ValueError(f"{text} would believe everybody")
    return found


def _name(text: str) -> str:
    """A host name; its last part is no number, else it is an address that was mistyped."""
    name = text.lower()
    if not _LABELS.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise ValueError(f"{text} is no address, network or host name")
    return name


class Forwarded:
    """Gives a request that comes through a trusted proxy the visitor's own address and scheme; pure ASGI.

    What anybody else says about it is read by nobody. The gateway of a container's network is such a stranger: who
    uses a published port may arrive with its address, so a proxy beside this container is better named than its
    network. (https://docs.docker.com/engine/network/port-publishing/)
    """

    def __init__(self, app: ASGIApp, proxies: TrustedProxies, look_up: LookUp | None = None) -> None:
        self._app, self._proxies, self._look_up = app, proxies, look_up or _look_up
        self._known: frozenset[Address] = frozenset()
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            chain, scheme = _said(scope["headers"])
            peer = parse_address(scope["client"][0]) if scope.get("client") else None
            if (chain or scheme) and peer is not None and await self._believes(peer):
                scope["scheme"] = scheme or scope["scheme"]
                scope["client"] = (str(self._visitor(chain) or peer), 0)
        await self._app(scope, receive, send)

    def _visitor(self, chain: list[str]) -> Address | None:
        """From the right, the first that is no proxy: each proxy adds the one it saw at the end of the list."""
        visitor = None
        for text in reversed(chain):
            address = parse_address(text)
            if address is None:
                break
            visitor = address
            if not (address in self._known or self._is_listed(address)):
                break
        return visitor

    async def _believes(self, peer: Address) -> bool:
        if self._is_listed(peer):
            return True
        if not self._proxies.names:
            return False
        async with self._asking:
            age_s = time.monotonic() - self._asked_at
            if age_s > (_KNOWN_FOR_S if peer in self._known else _AGAIN_AFTER_S):
                self._known = frozenset([address for name in self._proxies.names for address in await self._ask(name)])
                self._asked_at = time.monotonic()
        return peer in self._known

    async def _ask(self, name: str) -> tuple[Address, ...]:
        """A name's addresses. One that the world's DNS answers, as the container is not there, is no neighbour."""
        found = [parse_address(text) for text in await self._look_up(name)]
        return tuple(address for address in found if address is not None and address.is_private)

    def _is_listed(self, address: Address) -> bool:
        return any(address in network for network in self._proxies.networks)


def _said(headers: Iterable[tuple[bytes, bytes]]) -> tuple[list[str], str | None]:
    """The chain of X-Forwarded-For, and the scheme of X-Forwarded-Proto where it is one."""
    values: dict[bytes, list[str]] = {b"x-forwarded-for": [], b"x-forwarded-proto": []}
    for name, value in headers:
        if name in values:
            values[name].append(value.decode("latin-1"))
    chain = [part.strip() for value in values[b"x-forwarded-for"] for part in value.split(",")]
    scheme = values[b"x-forwarded-proto"][-1].strip().lower() if values[b"x-forwarded-proto"] else None
    return chain, scheme if scheme in {"http", "https"} else None


def parse_address(text: str) -> Address | None:
    """An address with or without a port, an IPv4 one out of its IPv6 form; None for anything else."""
    host = text
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


async def _look_up(name: str) -> Iterable[str]:
    """What DNS answers; nothing while it does not."""
    try:
        async with asyncio.timeout(_LOOK_UP_S):
            found = await asyncio.get_running_loop().getaddrinfo(name, None)
    except (OSError, TimeoutError):
        return ()
    return {str(place[0]) for *_, place in found}
