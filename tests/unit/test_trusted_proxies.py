"""A visitor's address and scheme come from a proxy that was named, and from nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from starlette.types import Message, Receive, Scope, Send

from stratum.adapters import trusted_proxies
from stratum.adapters.trusted_proxies import Forwarded, parse_trusted_proxies


@dataclass(kw_only=True)
class Network:
    """What the private network's DNS answers, and how often it was asked."""

    names: dict[str, list[str]] = field(default_factory=dict)
    asked: int = 0

    async def look_up(self, name: str) -> Iterable[str]:
        self.asked += 1
        return self.names.get(name, [])


@dataclass(kw_only=True)
class Service:
    """A service behind Forwarded: `ask` gives back the address and the scheme that it saw."""

    proxies: str = ""
    network: Network = field(default_factory=Network)
    seen: tuple[str | None, str] = (None, "")
    _in_front: Forwarded = field(init=False)

    def __post_init__(self) -> None:
        self._in_front = Forwarded(self._answer, parse_trusted_proxies(self.proxies), self.network.look_up)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        self.seen = (scope["client"][0] if scope["client"] else None, scope["scheme"])

    def ask(self, peer: str | None, *chain: str, proto: str = "") -> tuple[str | None, str]:
        headers = [(b"x-forwarded-for", part.encode()) for part in chain]
        headers += [(b"x-forwarded-proto", proto.encode())] if proto else []
        scope = {"type": "http", "scheme": "http", "client": (peer, 5000) if peer else None, "headers": headers}
        asyncio.run(self._in_front(scope, _receive, _send))
        return self.seen


async def _receive() -> Message:
    return {}


async def _send(message: Message) -> None:
    del message


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_proxy_on_this_machine_is_believed_by_default(peer: str) -> None:
    assert Service().ask(peer, "203.0.113.7", proto="https") == ("203.0.113.7", "https")


@pytest.mark.parametrize("peer", ["172.18.0.1", "198.51.100.9", "testclient", None])
def test_a_stranger_is_not_believed(peer: str | None) -> None:
    assert Service().ask(peer, "203.0.113.7", proto="https") == (peer, "http")


def test_a_network_that_was_named_is_believed_and_its_neighbour_is_not() -> None:
    service = Service(proxies="172.18.0.0/16, 10.0.0.4")

    assert service.ask("172.18.3.4", "203.0.113.7", proto="https") == ("203.0.113.7", "https")
    assert service.ask("10.0.0.4", "203.0.113.7") == ("203.0.113.7", "http")
    assert service.ask("10.0.0.5", "203.0.113.7", proto="https") == ("10.0.0.5", "http")
    assert service.ask("127.0.0.1", "203.0.113.7") == ("127.0.0.1", "http")


def test_a_proxy_is_known_by_its_name_and_the_network_s_gateway_is_not() -> None:
    service = Service(proxies="nginx", network=Network(names={"nginx": ["172.18.0.5"]}))

    assert service.ask("172.18.0.5", "203.0.113.7", proto="https") == ("203.0.113.7", "https")
    assert service.ask("172.18.0.1", "203.0.113.7", proto="https") == ("172.18.0.1", "http")


def test_a_name_that_the_world_s_own_dns_answers_is_no_neighbour() -> None:
    service = Service(proxies="nginx", network=Network(names={"nginx": ["8.8.8.8"]}))

    assert service.ask("8.8.8.8", "203.0.113.7", proto="https") == ("8.8.8.8", "http")


def test_a_proxy_that_was_made_anew_is_known_at_its_new_address(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(names={"nginx": ["172.18.0.5"]})
    service = Service(proxies="nginx", network=network)
    service.ask("172.18.0.5", "203.0.113.7")
    network.names["nginx"] = ["172.18.0.6"]
    monkeypatch.setattr(trusted_proxies, "_AGAIN_AFTER_S", -1.0)

    assert service.ask("172.18.0.6", "203.0.113.7") == ("203.0.113.7", "http")
    assert service.ask("172.18.0.5", "203.0.113.7") == ("172.18.0.5", "http")


def test_an_address_is_not_taken_for_granted_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(names={"nginx": ["172.18.0.5"]})
    service = Service(proxies="nginx", network=network)
    service.ask("172.18.0.5", "203.0.113.7")
    network.names["nginx"] = []
    monkeypatch.setattr(trusted_proxies, "_KNOWN_FOR_S", -1.0)

    assert service.ask("172.18.0.5", "203.0.113.7") == ("172.18.0.5", "http")


def test_strangers_do_not_make_it_ask_the_dns_for_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trusted_proxies, "_AGAIN_AFTER_S", 3600.0)
    network = Network(names={"nginx": ["172.18.0.5"]})
    service = Service(proxies="nginx", network=network)

    for last in range(1, 5):
        service.ask(f"172.18.9.{last}", "203.0.113.7")

    assert network.asked == 1


def test_a_request_that_claims_nothing_asks_nobody() -> None:
    network = Network(names={"nginx": ["172.18.0.5"]})
    service = Service(proxies="nginx", network=network)

    assert service.ask("172.18.0.5") == ("172.18.0.5", "http")
    assert network.asked == 0


def test_what_a_visitor_claims_before_the_proxy_adds_its_own_is_passed_over() -> None:
    service = Service(proxies="127.0.0.1, 10.0.0.0/24")

    assert service.ask("127.0.0.1", "192.0.2.1, 203.0.113.7")[0] == "203.0.113.7"
    assert service.ask("127.0.0.1", "192.0.2.1", "203.0.113.7, 10.0.0.9")[0] == "203.0.113.7"
    assert service.ask("127.0.0.1", "10.0.0.8, 10.0.0.9")[0] == "10.0.0.8"


@pytest.mark.parametrize(
    ("chain", "seen"),
    [
        ("203.0.113.7:41000", "203.0.113.7"),
        ("[2001:db8::7]:41000", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("203.0.113.7, <script>", "127.0.0.1"),
    ],
)
def test_only_an_address_counts_as_one(chain: str, seen: str) -> None:
    assert Service().ask("127.0.0.1", chain)[0] == seen


@pytest.mark.parametrize("proto", ["ftp", "https, http", "javascript"])
def test_a_scheme_that_no_visitor_uses_changes_nothing(proto: str) -> None:
    assert Service().ask("127.0.0.1", proto=proto) == ("127.0.0.1", "http")


@pytest.mark.parametrize("text", ["*", "0.0.0.0/0", "::/0", "172.16.0", "172.18.0.1/16", "a b", "-nginx", "nginx/8"])
def test_what_names_no_proxy_or_everybody_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"believe everybody|is no address"):
        parse_trusted_proxies(f"127.0.0.1,{text}")


def test_the_machine_s_own_resolver_is_asked() -> None:
    async def ask() -> set[str]:
        return set(await trusted_proxies._look_up("localhost")) | set(await trusted_proxies._look_up("no.such.invalid"))

    assert asyncio.run(ask()) & {"127.0.0.1", "::1"}
