"""Says in the reader's language what a job wrote down in the agent's."""

from __future__ import annotations

from stratum.adapters.messages import say_as_is, speak_error, speaking
from stratum.core.answers import SpokenError
from stratum.core.errors import KINDS, StratumError


def respeak(error: SpokenError, language: str) -> SpokenError:
    """The same error from its code and values; as it was written down where this release does not know it."""
    if error.code not in KINDS:
        return error
    try:
        with speaking([language]):
            return speak_error(StratumError(error.code, **error.details))
    except KeyError:
        # Another release's sentences have other values.
        return error


def say_again(text: str, language: str) -> str:
    """A text the catalogue may know, such as a step's summary; any other as it is."""
    with speaking([language]):
        return say_as_is(text)
