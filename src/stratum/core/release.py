"""A release: what ran after a deploy, recorded in the journal, so that it can be told from others and gone back to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from stratum.core.plan import Facts, JournalEntry, JournalKind

FORMAT = 1
VERB = "release"
"""Under which the journal notes one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What runs, as far as it tells one release from another."""

    commit: str | None
    images: Mapping[str, str]
    configuration: str
    stratum: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """What ran after one deploy. A way back to an older release is a deploy of its own."""

    format: int = FORMAT
    id: str
    at: datetime
    """When it had been found well."""
    who: str
    verb: str
    """What brought it: up, update, rollback; `found` for one that ran before anything was recorded."""
    plan_id: str
    """The plan that brought it; empty for one that was found."""
    commit: str | None
    """Of the stack's files; None where they are no git checkout."""
    images: dict[str, str]
    """By service, the digest that names the image on this machine; empty without containers."""
    heads: dict[str, str]
    """By database, where its migrations stood; empty text where no known migration tool keeps a record."""
    configuration: str
    """A fingerprint of stratum.toml, the Compose files and .env; values that may be secret are not in it."""
    stratum: str
    """The version of Stratum that brought it."""
    running: bool = False
    """Whether it is the one recorded last."""
    kept: bool | None = None
    """Whether its images are still there to go back to; None where there are none, or nobody could look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleasesAnswer:
    """What `stratum releases --json` prints: newest first."""

    format: int = FORMAT
    releases: tuple[Release, ...]


def release_facts(look: Look, *, verb: str, plan_id: str, heads: Mapping[str, str]) -> Facts:
    """What the journal notes of a release; `recorded_releases` reads it."""
    return {
        "by": verb,
        "plan": plan_id,
        "commit": look.commit,
        "images": _pairs(look.images),
        "heads": _pairs(heads),
        "configuration": look.configuration,
        "stratum": look.stratum,
    }


def recorded_releases(entries: Iterable[JournalEntry]) -> tuple[Release, ...]:
    """All that the journal holds, oldest first; the last is the running one."""
    noted = [entry for entry in entries if entry.kind is JournalKind.NOTED and entry.verb == VERB]
    return tuple(_release(entry, running=entry is noted[-1]) for entry in noted)


def is_look_of(release: Release, look: Look) -> bool:
    """Whether what runs is this release still."""
    return (release.commit, release.images, release.configuration, release.stratum) == (
        look.commit,
        dict(look.images),
        look.configuration,
        look.stratum,
    )


def has_same_code(one: Release, other: Release) -> bool:
    """Whether both are of one commit and the same images: between them there is nothing to go back to."""
    return (one.commit, one.images) == (other.commit, other.images)


def past_releases(releases: Sequence[Release], *, kept: int) -> tuple[Release, ...]:
    """Releases whose images need not be kept: all but the newest of each of the `kept` newest kinds of code."""
    found: list[Release] = []
    codes: list[Release] = []
    for release in reversed(releases):
        if len(codes) < kept and not any(has_same_code(release, code) for code in codes):
            codes.append(release)
        else:
            found.append(release)
    return tuple(found)


def _release(entry: JournalEntry, *, running: bool) -> Release:
    facts = entry.facts
    commit = facts.get("commit")
    return Release(
        id=entry.plan_id,
        at=entry.at,
        who=entry.who,
        verb=str(facts.get("by", "")),
        plan_id=str(facts.get("plan", "")),
        commit=None if commit is None else str(commit),
        images=_parted(facts.get("images")),
        heads=_parted(facts.get("heads")),
        configuration=str(facts.get("configuration", "")),
        stratum=str(facts.get("stratum", "")),
        running=running,
    )


def _pairs(values: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(values.items())]


def _parted(value: object) -> dict[str, str]:
    pairs = value if isinstance(value, list) else []
    return {name: found for name, _, found in (str(pair).partition("=") for pair in pairs)}
