"""What an error is over HTTP: its status, and the languages its sentences may be in."""

from __future__ import annotations

from collections.abc import Mapping

from stratum.core.errors import ExitCode, StratumError

_BY_EXIT: dict[ExitCode, int] = {
    ExitCode.USAGE: 400,
    ExitCode.REFUSED: 409,
    ExitCode.LOCKED: 423,
    ExitCode.AT_RISK: 409,
    ExitCode.FAILED: 500,
    ExitCode.COULD_NOT_VERIFY: 500,
}
_LONGEST = 200


def status_of(error: StratumError, by_code: Mapping[str, int]) -> int:
    """The HTTP status of an error: by its code where the code says more than its exit code does."""
    if error.code in by_code:
        return by_code[error.code]
    return 404 if error.code.startswith("unknown-") else _BY_EXIT[error.exit]


def parse_languages(accepted: str) -> tuple[str, ...]:
    """The languages of an Accept-Language header in the order they are wanted, each as its first two or three letters.

    What cannot be read is passed over. (https://www.rfc-editor.org/rfc/rfc9110#field.accept-language)
    """
    weighed: list[tuple[float, str]] = []
    for part in accepted[:_LONGEST].split(","):
        tag, _, quality = part.strip().partition(";")
        language = tag.strip().split("-")[0].lower()
        weight = _weight(quality.strip())
        if language.isascii() and language.isalpha() and weight > 0:
            weighed.append((weight, language))
    return tuple(language for _, language in sorted(weighed, key=lambda pair: -pair[0]))


def _weight(quality: str) -> float:
    """`q=0.5` as a number; nothing at all is 1, and what is none is 0."""
    try:
        return float(quality.removeprefix("q=")) if quality else 1.0
    except ValueError:
        return 0.0
