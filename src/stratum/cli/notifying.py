"""notify: whether the alarm channel works, before it is needed."""

from __future__ import annotations

from typing import Annotated

import typer

from stratum.cli.session import HERE, JsonOption, StackOption, fail, reported, show_record, typed_arguments
from stratum.core.errors import ExitCode, StratumError


def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a test message to every address.")] = False,
    stack: StackOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Send a test message to every address of [notify] urls, and say for each whether it was delivered."""
    from stratum.adapters.messages import say
    from stratum.adapters.records import to_dict
    from stratum.core.answers import NotifyAnswer
    from stratum.wiring import open_notifier, open_watched, pass_on_inside

    with reported(as_json=as_json):
        if not test:
            raise StratumError("invalid-argument", argument="notify", problem="it does one thing: notify --test")
        pass_on_inside(stack, typed_arguments())
        name = open_watched(stack).stack.name
        deliveries = open_notifier(stack).tell(say(TITLE, {"stack": name}), say(BODY))
        if not deliveries:
            raise StratumError("nobody-to-tell")
        answer = NotifyAnswer(all_delivered=all(one.delivered for one in deliveries), deliveries=deliveries)
        lines = (
            say(DELIVERED, {"address": one.address})
            if one.delivered
            else say(NOT_DELIVERED, {"address": one.address, "problem": one.problem})
            for one in deliveries
        )
        show_record(to_dict(answer), "\n".join(lines), as_json=as_json)
        if not answer.all_delivered:
            fail(ExitCode.FAILED)


TITLE = "{stack}: a test of the alarm channel"
BODY = "Stratum was asked to send this. Nothing is wrong; the data was not touched."
DELIVERED = "delivered: address {address}"
NOT_DELIVERED = "NOT delivered: address {address}: {problem}"
SENTENCES = (TITLE, BODY, DELIVERED, NOT_DELIVERED)
