"""Alarms arrive at a real receiver, failures are said for each address, and no address shows itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from stratum.adapters.apprise_notifier import AppriseNotifier
from tests.fixtures.receivers import Receiver, a_receiver

_PRIVATE = "nobodys-business"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with a_receiver() as received:
        yield received


def test_a_message_arrives_with_its_title_and_text(receiver: Receiver) -> None:
    notifier = AppriseNotifier(
        urls=(f"json://127.0.0.1:{receiver.port}/$HOOK",), environment={"HOOK": _PRIVATE}
    )  # fmt: skip

    (delivery,) = notifier.tell("led: alarm: clock", "the clock is off\ndata: as it was\nnext: set it")

    assert delivery.delivered
    assert delivery.address == "1 (json)"
    assert [(m["title"], m["message"]) for m in receiver.messages] == [
        ("led: alarm: clock", "the clock is off\ndata: as it was\nnext: set it")
    ]
    assert receiver.paths == [f"/{_PRIVATE}"]


def test_one_address_that_fails_keeps_no_other_from_being_told(receiver: Receiver) -> None:
    with a_receiver(answer=500) as broken:
        notifier = AppriseNotifier(
            urls=(
                f"json://127.0.0.1:{broken.port}",
                "gibberish",
                "json://h/$UNSET",
                f"json://127.0.0.1:{receiver.port}",
            )
        )
        found = notifier.tell("title", "body")

    assert [delivery.delivered for delivery in found] == [False, False, False, True]
    assert all(delivery.problem for delivery in found[:3])
    assert "UNSET" in found[2].problem
    assert len(broken.messages) == 2, "tried again once, and not for ever"
    assert len(receiver.messages) == 1


def test_an_address_shows_itself_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with a_receiver(answer=403) as refusing:
        urls = (f"json://user:{_PRIVATE}@127.0.0.1:{refusing.port}/{_PRIVATE}", f"nonsense{_PRIVATE}://x")
        notifier = AppriseNotifier(
            urls=urls, heartbeat_url=f"http://127.0.0.1:{refusing.port}/{_PRIVATE}", environment={"TOKEN": _PRIVATE}
        )
        shown = (repr(notifier), repr(notifier.tell("t", "b")), repr(notifier.ping()), caplog.text)

    assert [text for text in shown if _PRIVATE in text] == []


def test_the_heartbeat_is_asked_for_and_what_keeps_it_from_answering_is_said(receiver: Receiver) -> None:
    url = f"http://127.0.0.1:{receiver.port}/ping/$ID"
    notifier = AppriseNotifier(urls=(), heartbeat_url=url, environment={"ID": "7"})

    assert notifier.ping() is None
    assert receiver.paths == ["/ping/7"]

    receiver.answer = 503
    assert notifier.ping() == "it answered 503"
    assert "ID" in (AppriseNotifier(urls=(), heartbeat_url=url).ping() or "")
    assert AppriseNotifier(urls=()).ping() is None
