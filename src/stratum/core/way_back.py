"""Which release a rollback means, and on which side of the last update the data stands: read out of the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from stratum.core.errors import StratumError
from stratum.core.plan import JournalEntry, PlanEnd, observe_progress
from stratum.core.release import Release, has_same_code, recorded_releases


class Side(StrEnum):
    """Of the last update that was done."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, kw_only=True, slots=True)
class LastUpdate:
    """What the last update that was done left to go back with."""

    label: str
    """Of the copies it made."""
    stands: Side
    """Which data is live: rollbacks with data since then have moved it."""
    before: Release
    after: Release
    """What ran before it, and what it brought."""
    heads_before: tuple[str, ...]
    """Database and migration head, when its copies were made."""
    moved: tuple[str, ...]
    """Databases that the last rollback with data put in place."""

    def side_of(self, release: Release) -> Side | None:
        """Whose data this release worked on; None for one that is neither of the two."""
        if has_same_code(release, self.after):
            return Side.AFTER
        return Side.BEFORE if has_same_code(release, self.before) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """Where a rollback leads, and which data that release worked on."""

    target: Release
    update: LastUpdate | None
    """The update whose copies hold the data it worked on; None where that is live, or not kept."""
    forward: bool
    """Whether it leads back to what an earlier rollback had left."""


def find_way(entries: Sequence[JournalEntry], wanted: str | None, *, with_data: bool) -> Way:
    """The way of a rollback to this release, by default to the one before; pure.

    Raises `nothing-to-roll-back`, `unknown-release`, and with the data `data-not-beside`.
    """
    releases = recorded_releases(entries)
    target, last = find_release(releases, wanted), find_last_update(entries)
    side = last.side_of(target) if last else None
    beside = last if last is not None and side is not None and side is not last.stands else None
    if has_same_code(target, releases[-1]) and not (with_data and beside):
        raise StratumError("nothing-to-roll-back", reason=f"release {target.id} is what runs")
    if with_data and beside is None:
        live = (
            "the live databases are what it worked on"
            if side
            else "copies are kept of the last update alone, and only where it stopped the application"
        )
        raise StratumError("data-not-beside", release=target.id, reason=live)
    return Way(target=target, update=beside, forward=side is Side.AFTER)


def find_release(releases: Sequence[Release], wanted: str | None) -> Release:
    """The recorded release of this id, or of the only id that ends so; without one the release before.

    That is the newest one of other code than what runs. Raises `nothing-to-roll-back` and `unknown-release`.
    """
    if not releases:
        raise StratumError("nothing-to-roll-back", reason="no release is recorded")
    running = releases[-1]
    if wanted is None:
        others = [release for release in releases[:-1] if not has_same_code(release, running)]
        if not others:
            raise StratumError("nothing-to-roll-back", reason="no other release is recorded")
        return others[-1]
    found = [release for release in releases if release.id == wanted or release.id.endswith(f"-{wanted}")]
    if len(found) != 1:
        raise StratumError("unknown-release", release=wanted)
    return found[0]


def find_last_update(entries: Sequence[JournalEntry]) -> LastUpdate | None:
    """The last update that was done and whose releases are recorded; None where there is none, or it made no copies."""
    releases = recorded_releases(entries)
    plans = [entry.plan for entry in entries if entry.plan is not None and entry.verb in {"update", "rollback"}]
    ended = [observe_progress(tuple(entries), plan.id) for plan in plans]
    done = [progress for progress in ended if progress.end is PlanEnd.DONE]
    numbers = [n for n, progress in enumerate(done) if progress.plan.verb == "update"]
    if not numbers:
        return None
    update = done[numbers[-1]]
    if update.plan.params.get("no_downtime"):
        return None
    brought = next((n for n, release in enumerate(releases) if release.plan_id == update.plan.id), 0)
    if brought == 0:
        return None
    since = [progress.plan for progress in done[numbers[-1] + 1 :] if progress.plan.params.get("databases")]
    return LastUpdate(
        label=str(update.plan.params["label"]),
        stands=Side.BEFORE if since and not since[-1].params.get("forward") else Side.AFTER,
        before=releases[brought - 1],
        after=releases[brought],
        heads_before=_words(update.facts.get("heads_before")),
        moved=_words(since[-1].params.get("databases")) if since else (),
    )


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in value) if isinstance(value, list) else ()
