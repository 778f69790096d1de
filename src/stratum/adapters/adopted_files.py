"""Writes the files of a stack whose database is there already; what is there already stays as it is."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.stack_files import add_lines, complete_env
from stratum.core.errors import StratumError

_IGNORED = (".env", ".stratum/", "archive/", "secrets/", "docker/stratum/")
OVERRIDE = "compose.override.yaml"
_VOLUME_KEY = "stratum-data"
_MOUNTED = """  # The files beside this one name no volume; this is the one its data is in.
  "@SERVICE@":
    volumes:
      - { type: volume, source: "@VOLUME_KEY@", target: "@MOUNT@" }

"""
_ENV = "# Settings and secrets of this stack. Never commit this file.\n"


def refuse_adopted(directory: Path) -> None:
    """Raises `stack-exists` where a stack is laid down already."""
    if (directory / "stratum.toml").exists():
        raise StratumError("stack-exists", directory=directory, file="stratum.toml")


def adopt_into(
    directory: Path, *, toml: str, variables: Mapping[str, str], generated: Sequence[str]
) -> tuple[Path, ...]:
    """Write stratum.toml, and what .env and .gitignore lack; returns what was written.

    `generated` are secrets that are made up where .env has none. No value that is set is changed, and .env can be
    read by its owner alone afterwards. Raises `stack-exists` before anything is written.
    """
    refuse_adopted(directory)
    directory.mkdir(parents=True, exist_ok=True)
    env = directory / ".env"
    if not env.exists():
        durable.write_file(env, _ENV, mode=0o600)
    wanted = {name: quoted(value) for name, value in variables.items()}
    written = (env,) if complete_env(env, wanted | {name: secrets.token_urlsafe(32) for name in generated}) else ()
    durable.write_file(directory / "stratum.toml", toml, mode=0o644)
    add_lines(directory / ".gitignore", _IGNORED)
    return (*written, directory / "stratum.toml", directory / ".gitignore")


@dataclass(frozen=True, kw_only=True, slots=True)
class AdoptedPlace:
    """Where a project's database has its data."""

    service: str
    network: str
    volume_key: str
    """What the project's files call its volume; empty where they name none, and the override has to."""
    mount: str


def write_override(directory: Path, place: AdoptedPlace) -> Path:
    """Add the services guard and backup to a Compose project, in a file of their own that Compose reads too.

    The database's volume is declared as not the project's to delete. Where the project's own files name none, the
    service is given it here: the one that .env names, which is the one that its data is in.
    """
    text = Path(__file__).with_name("adopted_services.yaml").read_text(encoding="utf-8")
    mounted = "" if place.volume_key else _MOUNTED
    values = {
        "MOUNTED": mounted,
        "SERVICE": place.service,
        "NETWORK": place.network,
        "VOLUME_KEY": place.volume_key or _VOLUME_KEY,
        "MOUNT": place.mount,
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    file = directory / OVERRIDE
    durable.write_file(file, text, mode=0o644)
    return file


def quoted(value: str) -> str:
    """As dotenv and Compose read it back without loss: between single quotes nothing is interpolated."""
    plain = value.isascii() and all(c.isalnum() or c in "-_./:@+,%=~" for c in value)
    if plain:
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
