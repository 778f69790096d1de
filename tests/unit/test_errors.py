"""Every error speaks in three parts, and every kind of the table can be spoken."""

from __future__ import annotations

from string import Formatter

import pytest

from stratum.core.errors import EVERY_KIND, KINDS, ErrorKind, ExitCode, StratumError


def _named(kind: ErrorKind) -> set[str]:
    texts = (kind.message, kind.data, kind.next)
    return {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_of_error_speaks_in_three_parts_when_given_its_values(kind: ErrorKind) -> None:
    values = {name: f"<{name}>" for name in _named(kind)}

    error = StratumError(kind.code, **values)

    spoken = (error.message, error.data, error.next)
    assert all(spoken)
    assert not any("{" in text for text in spoken)
    assert all(any(value in text for text in spoken) for value in values.values())
    assert error.exit is not ExitCode.DONE


def test_the_exit_codes_are_those_of_the_contract() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "REFUSED": 10,
        "LOCKED": 11,
        "COULD_NOT_VERIFY": 12,
        "AT_RISK": 13,
    }


def test_no_two_kinds_share_a_code() -> None:
    assert [kind.code for kind in EVERY_KIND] == list(KINDS)


def test_the_exit_codes_of_a_refusal_follow_its_family() -> None:
    from stratum.core.refusals import LOCKED, REFUSED, USAGE

    assert {kind.exit for kind in USAGE} == {ExitCode.USAGE}
    assert {kind.exit for kind in REFUSED} == {ExitCode.REFUSED}
    assert {kind.exit for kind in LOCKED} == {ExitCode.LOCKED}


def test_an_error_keeps_its_details_as_text_and_its_record_without_them() -> None:
    error = StratumError("port-taken", port=5433)

    assert error.details == {"port": "5433"}
    assert str(error) == "port 5433 on 127.0.0.1 is taken by another program"
    assert error.record() == {
        "code": "port-taken",
        "message": error.message,
        "data": error.data,
        "next": error.next,
    }


def test_an_unknown_code_is_a_mistake_of_the_program() -> None:
    with pytest.raises(KeyError):
        StratumError("no-such-code")


def test_a_value_with_braces_is_shown_as_it_is() -> None:
    assert StratumError("query-failed", problem="unexpected {name} in {0}").message.endswith("unexpected {name} in {0}")
