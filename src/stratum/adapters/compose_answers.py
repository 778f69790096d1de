"""Which files make a Compose project, and what `docker compose` and the verbs inside it print."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from stratum.adapters.process import Completed
from stratum.adapters.records import parse_plain
from stratum.core.answers import ErrorAnswer
from stratum.core.containers import BACKUP, POSTGRES, ContainerState
from stratum.core.errors import KINDS, StratumError
from stratum.core.file_sets import INSIDE_FILES

FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""As Compose looks for them. (https://docs.docker.com/compose/intro/compose-application-model/)"""
_SCRATCH = "scratch"
_OPTIONS = "PGOPTIONS"
OVERRIDES = (
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
)


def compose_files(directory: Path, *, external: bool = False) -> tuple[Path, ...]:
    """The files that make the project, as Compose itself would choose them. Raises `no-compose-file`."""
    found = [directory / name for name in FILE_NAMES if (directory / name).is_file()][:1]
    if not found:
        raise StratumError("no-compose-file", directory=directory, names=", ".join(FILE_NAMES))
    found += [directory / "docker" / "external-database.yaml"] if external else []
    return (*found, *[directory / name for name in OVERRIDES if (directory / name).is_file()][:1])


def tagged(image: str) -> str:
    """With the tag that Docker takes where none is given."""
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"


def repository(image: str) -> str:
    """Without its tag; a registry's port stands before the last stroke."""
    return image.removesuffix(":" + image.rpartition(":")[2])


def parse_objects(text: str) -> Iterator[dict[str, Any]]:
    """`docker compose ps --format json` prints one object a line since 2.21, and printed a list before."""
    for line in text.splitlines():
        if line.strip():
            found = json.loads(line)
            yield from found if isinstance(found, list) else (found,)


def parse_verb_answer(ended: Completed) -> dict[str, Any]:
    """The JSON object that a verb inside a container ended with; its refusal is raised as our own error.

    Raises `backup-service-away` where there is none, and `unexpected` for a refusal of another release that is not
    known here: it is a refusal all the same.
    """
    found = _last_object(ended.stdout)
    if not found:
        raise StratumError("backup-service-away", problem=last_lines(ended.stderr or ended.stdout))
    if "error" in found:
        spoken = parse_plain(ErrorAnswer, found, file="the answer of backup").error
        if spoken.code in KINDS:
            raise StratumError(spoken.code, **spoken.details)
        raise StratumError("unexpected", problem=f"{spoken.code}: {spoken.message}")
    return found


def _last_object(text: str) -> dict[str, Any]:
    """The JSON object a verb ends with; empty where it printed none."""
    start = text.find("{")
    try:
        found = json.loads(text[start:]) if start >= 0 else {}
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def parse_container(found: Mapping[str, Any], *, database: str) -> ContainerState:
    """One object of `docker compose ps`; the database's service is `postgres` to us, whatever its name is there."""
    ports = [p["PublishedPort"] for p in found.get("Publishers") or () if p.get("PublishedPort")]
    return ContainerState(
        service=POSTGRES if found["Service"] == database else found["Service"],
        container=found["Name"],
        state=found["State"],
        health=found.get("Health", ""),
        exit_code=int(found.get("ExitCode", 0)),
        port=ports[0] if ports else None,
        image=found.get("Image", ""),
    )


def unprotected_volumes(config: Mapping[str, Any], *, data: str, file_sets: Collection[str]) -> tuple[str, ...]:
    """Volumes that services write to, but for the data's, those of file sets and the one for throwaway servers."""
    services, found = config["services"], set()
    for spec in services.values():
        for mount in spec.get("volumes") or ():
            if mount.get("type") == "volume" and not mount.get("read_only"):
                found.add(mount.get("source", "one without a name"))
    places = {f"{INSIDE_FILES}/{name}" for name in file_sets}
    taken = {mount.get("source") for mount in services[BACKUP].get("volumes") or () if mount["target"] in places}
    ours = {key for key, spec in (config.get("volumes") or {}).items() if spec.get("name") == data}
    return tuple(sorted(found - ours - taken - {_SCRATCH}))


def words_told(told: Mapping[str, str], config: Mapping[str, Any], service: str) -> tuple[str, ...]:
    """`NAME=value` of what a command is told beside its service's settings.

    What libpq is told to tell the server (PGOPTIONS) is added to what the service says there itself; the last word on a
    setting holds (https://www.postgresql.org/docs/current/libpq-envars.html).
    """
    own = (config["services"].get(service) or {}).get("environment") or {}
    options = " ".join(filter(None, (own.get(_OPTIONS), told.get(_OPTIONS))))
    return tuple(f"{name}={options if name == _OPTIONS else value}" for name, value in told.items())


def last_lines(text: str) -> str:
    """The end of what a program said, fit to stand in an error."""
    return " | ".join(text.strip().splitlines()[-6:]) or "it said nothing"
