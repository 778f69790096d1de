"""What a verb inside a container ended with: its answer, or its refusal as an error of one's own."""

from __future__ import annotations

import json

import pytest

from stratum.adapters.compose_answers import parse_verb_answer, words_told
from stratum.adapters.process import Completed
from stratum.core.errors import ExitCode, StratumError


def test_an_answer_is_read_from_behind_what_was_printed_before_it() -> None:
    assert parse_verb_answer(_ended('a warning\n{"format": 1, "likeness": "same"}')) == {
        "format": 1,
        "likeness": "same",
    }


def test_a_refusal_is_raised_with_its_own_code_and_values() -> None:
    printed = _refusal("locked", {"why": "backup", "who": "somebody", "since": "now"})

    with pytest.raises(StratumError) as raised:
        parse_verb_answer(_ended(printed))

    assert raised.value.code == "locked"
    assert "somebody" in raised.value.message


def test_a_refusal_that_only_another_release_knows_is_no_answer() -> None:
    with pytest.raises(StratumError) as raised:
        parse_verb_answer(_ended(_refusal("cluster-upside-down", {})))

    assert raised.value.code == "unexpected"
    assert "cluster-upside-down" in raised.value.message
    assert raised.value.exit is not ExitCode.DONE


@pytest.mark.parametrize("printed", ["", "no such service: backup", "{cut short"])
def test_silence_is_no_answer(printed: str) -> None:
    with pytest.raises(StratumError) as raised:
        parse_verb_answer(_ended(printed))

    assert raised.value.code == "backup-service-away"


def _refusal(code: str, details: dict[str, str]) -> str:
    spoken = {"code": code, "message": "it is so", "data": "untouched", "next": "look", "details": details}
    return json.dumps({"format": 1, "error": spoken})


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PGOPTIONS": "-c search_path=shop", "HOST": "its own"}, "-c search_path=shop -c lock_timeout=9"),
        ({"PGOPTIONS": None}, "-c lock_timeout=9"),
        (None, "-c lock_timeout=9"),
    ],
)
def test_what_a_service_tells_the_server_itself_is_still_told(environment: dict[str, str | None], said: str) -> None:
    config = {"services": {"app": {"environment": environment}}}

    told = words_told({"PGOPTIONS": "-c lock_timeout=9", "HOST": "app"}, config, "app")

    assert told == (f"PGOPTIONS={said}", "HOST=app")


def _ended(printed: str) -> Completed:
    return Completed(exit_code=1, stdout=printed, stderr="")
