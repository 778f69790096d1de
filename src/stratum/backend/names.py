"""Names of users: one form for what looks the same, and a way to compare them without capitals."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

MOST_CHARACTERS = 60


def normalise_name(name: str) -> str:
    """NFKC, with single spaces; raises ValueError for a name that is empty, too long, or not wholly visible."""
    plain = " ".join(unicodedata.normalize("NFKC", name).split())
    if not 1 <= len(plain) <= MOST_CHARACTERS:
        raise ValueError(f"a name has 1 to {MOST_CHARACTERS} characters")
    if not all(character.isprintable() for character in plain):
        raise ValueError("a name has visible characters only")
    if all(unicodedata.category(character).startswith("M") for character in plain):
        raise ValueError("a name has visible characters only")
    return plain


def fold_name(name: str) -> str:
    """How two names are compared."""
    folded = unicodedata.normalize("NFKC", " ".join(name.split()).casefold())
    return unicodedata.normalize("NFKC", folded.casefold())


UserName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(normalise_name)]
"""A name in a request's body, as it is kept."""
