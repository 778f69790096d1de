"""The reader's language: chosen from a cookie or the browser's wish, and what is said in it."""

from __future__ import annotations

import gettext
from functools import cache
from pathlib import Path

from stratum.adapters.over_http import parse_languages

LANGUAGES = ("en", "fr")
"""The first is the language of the source, for whoever asks for none of them."""
NAMES = {"en": "English", "fr": "Français"}
_CATALOGUES = Path(__file__).parent.parent / "locale"


def choose_language(cookie: str | None, accept: str) -> str:
    """The reader's own choice, else the most wanted language there is."""
    if cookie in LANGUAGES:
        return cookie
    return next((language for language in parse_languages(accept) if language in LANGUAGES), LANGUAGES[0])


@cache
def console_catalogue(language: str) -> gettext.NullTranslations:
    """The texts of the pages; English is the source and has no catalogue."""
    if language == LANGUAGES[0]:
        return gettext.NullTranslations()
    return gettext.translation("console", localedir=_CATALOGUES, languages=[language], fallback=True)
