"""The reader's language: chosen from a cookie or the browser's wish, and what is said in it."""

from __future__ import annotations

import gettext
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "fr")
"""The first is the language of the source, for whoever asks for none of them."""
NAMES = {"en": "English", "fr": "Français"}
_CATALOGUES = Path(__file__).parent.parent / "locale"


def choose_language(cookie: str | None, accept: str) -> str:
    """The reader's own choice, else the most wanted language there is.

    (https://www.rfc-editor.org/rfc/rfc9110#field.accept-language)
    """
    if cookie in LANGUAGES:
        return cookie
    wanted = sorted((_wish(part) for part in accept.split(",")[:20]), key=lambda wish: -wish[0])
    return next((language for weight, language in wanted if weight > 0 and language in LANGUAGES), LANGUAGES[0])


def _wish(part: str) -> tuple[float, str]:
    tag, _, weight = part.partition(";")
    try:
        value = float(weight.strip().removeprefix("q=")) if weight.strip() else 1.0
    except ValueError:
        value = 0.0
    return value, tag.strip()[:2].lower()


@cache
def console_catalogue(language: str) -> gettext.NullTranslations:
    """The texts of the pages; English is the source and has no catalogue."""
    if language == LANGUAGES[0]:
        return gettext.NullTranslations()
    return gettext.translation("console", localedir=_CATALOGUES, languages=[language], fallback=True)
