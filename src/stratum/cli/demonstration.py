"""demo: the whole story on the embedded runtime."""

from __future__ import annotations

from stratum.cli.session import JsonOption


def demo(as_json: JsonOption = False) -> None:
    """Bring a stack up, fill it under live writes, back it up, prove it, lose it in several ways, get it back."""
    raise NotImplementedError(as_json)
