"""A fingerprint of a stack's files, to see that its settings changed; nothing that may be secret goes into it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from stratum.adapters.compose_answers import FILE_NAMES, OVERRIDES

_FILES = ("stratum.toml", *FILE_NAMES, *OVERRIDES, "docker/external-database.yaml", "docker/postgres-network.yaml")
_LENGTH = 16
_PLAIN = re.compile(
    r".*_(IMAGE|MOUNT|DIRECTORY|USER|DB|PORT|SIZE|MEMORY|DIR|ADDRESS|TTL|TTL_MS|PATH|UID|GID)|STACK_NAME|LANGUAGE"
)
"""Variables of .env whose values are no secret by what they are for. Of all others the name alone counts."""
_SECRET_LINE = re.compile(
    r"(?P<name>\w*(PASS|SECRET|TOKEN|KEY|CREDENTIAL)\w*[\"']?\s*[:=]).*", re.IGNORECASE
)  # what stands behind such a name, in YAML and TOML alike
_ADDRESS = re.compile(r"://[^\s\"']*")
"""May hold a password, or a token as its path."""


def fingerprint(directory: Path, environment: Mapping[str, str]) -> str:
    """The same for the same settings, on any machine; 16 hexadecimal digits.

    Another password gives the same: it is not read into the sum, so that nobody can try passwords against it.
    """
    digest = hashlib.sha256()
    for part in _parts(directory, environment):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:_LENGTH]


def without_secrets(text: str) -> str:
    """The text with nothing left of what may be a secret in it."""
    return _ADDRESS.sub("://", _SECRET_LINE.sub(r"\g<name>", text))


def _parts(directory: Path, environment: Mapping[str, str]) -> Iterator[str]:
    for name in _FILES:
        file = directory / name
        if file.is_file():
            yield from (name, without_secrets(file.read_text(encoding="utf-8", errors="replace")))
    for name, value in sorted(environment.items()):
        yield f"{name}={value}" if _PLAIN.fullmatch(name) else name
