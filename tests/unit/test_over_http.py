"""The language of an answer follows the reader's wish, whatever else stands in the header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.adapters.over_http import parse_languages, status_of
from stratum.core.errors import KINDS, ErrorKind, ExitCode, StratumError


@pytest.mark.parametrize(
    ("accepted", "languages"),
    [
        ("fr", ("fr",)),
        ("fr-CH, fr;q=0.9, en;q=0.8", ("fr", "fr", "en")),
        ("en;q=0.2, fr;q=0.7", ("fr", "en")),
        ("de;q=0, fr", ("fr",)),
        ("", ()),
        ("*, ;q=1, 42, fr;q=much", ()),
    ],
)
def test_the_most_wanted_language_comes_first(accepted: str, languages: tuple[str, ...]) -> None:
    assert parse_languages(accepted) == languages


@given(st.text())
def test_any_header_can_be_read(accepted: str) -> None:
    assert all(language.isalpha() and language.isascii() for language in parse_languages(accepted))


@pytest.mark.parametrize("code", sorted(KINDS))
def test_no_error_is_a_success_over_http(code: str) -> None:
    kind = KINDS[code]
    error = StratumError(kind.code, **_anything(kind))

    assert 400 <= status_of(error, {}) < 600
    assert status_of(error, {kind.code: 418}) == 418
    assert kind.exit is not ExitCode.DONE


def _anything(kind: ErrorKind) -> dict[str, str]:
    from string import Formatter

    texts = (kind.message, kind.data, kind.next)
    return {name: "x" for text in texts for _, name, _, _ in Formatter().parse(text) if name}
