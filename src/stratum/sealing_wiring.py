"""Chooses for whom a stack's archive is sealed, and with which key it is opened here."""

from __future__ import annotations

from pathlib import Path

from stratum.adapters.seal import Seal, recipient_problem
from stratum.config import FILE, Settings
from stratum.core.errors import StratumError
from stratum.core.stack import Secret


def seal_of(settings: Settings, identity: Path | None = None) -> Seal:
    """As stratum.toml and .env say; `identity` goes before the key of .env. Raises `invalid-setting`.

    AGE_IDENTITY_FILE names a file, relative to the stack's directory; AGE_IDENTITY holds the key itself, which is what
    reaches the containers of a Compose stack. Neither is needed to back up.
    """
    recipients = settings.archive.recipients
    for recipient in recipients:
        if problem := recipient_problem(recipient):
            raise StratumError(
                "invalid-setting",
                file=settings.directory / FILE,
                setting="[archive] recipients",
                problem=f"{recipient!r}: {problem}",
            )
    named, key = settings.environment.get("AGE_IDENTITY_FILE", ""), settings.environment.get("AGE_IDENTITY", "")
    if identity is None and named and not (settings.inside and key):
        identity = settings.directory / Path(named).expanduser()
    return Seal(
        recipients=recipients,
        identity_file=identity.absolute() if identity is not None else None,
        identity=Secret(key) if key else None,
        workspace=settings.database_directory / "scratch",
    )
