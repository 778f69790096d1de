"""Every text of the console's pages speaks French to a French reader, with the same values in it."""

from __future__ import annotations

import re
from functools import cache

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from tests.architecture.sources import ROOT

_SOURCE = ROOT / "src" / "stratum"


@cache
def _catalogue() -> Catalog:
    with (_SOURCE / "locale" / "fr" / "LC_MESSAGES" / "console.po").open("rb") as lines:
        return read_po(lines, locale="fr", abort_invalid=True)


def _texts() -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for template in sorted((_SOURCE / "frontend" / "templates").glob("*.html")):
        with template.open("rb") as lines:
            for _, function, message, _ in babel_extract(lines, ("_", "ngettext"), [], {}):
                texts = (message,) if isinstance(message, str) else tuple(text for text in message or () if text)
                found.add(texts[: 2 if function == "ngettext" else 1])
    return found


def _values(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)", text))


@pytest.mark.parametrize("texts", sorted(_texts()), ids=lambda texts: texts[0][:40])
def test_a_text_of_the_pages_has_its_french(texts: tuple[str, ...]) -> None:
    message = _catalogue().get(texts[0])
    assert message is not None, f"console.po lacks {texts!r}"
    french = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
    assert all(french)
    assert len(french) == len(texts), f"{texts!r} needs {len(texts)} forms"
    assert {frozenset(_values(text)) for text in french} == {frozenset(_values(text)) for text in texts}
