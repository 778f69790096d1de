"""releases: what ran after each deploy, noted in the journal and listed newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stratum import __version__
from stratum.core.errors import StratumError
from stratum.core.plan import JournalEntry, JournalKind, Plan, PlanEnd
from stratum.core.release import (
    VERB,
    Look,
    Release,
    ReleasesAnswer,
    is_look_of,
    past_releases,
    recorded_releases,
    release_facts,
)
from stratum.engine.run_plan import new_plan_id, short
from stratum.ports import Outcome, Ports, Role

FOUND = "found"
KEPT_RELEASES = 5
"""Of so many releases of different code, the newest, the images are kept under a second name."""


def list_releases(ports: Ports) -> ReleasesAnswer:
    """All releases the journal holds, newest first; looks at the images that are still there, and at nothing else."""
    found = recorded_releases(ports.journal.entries())
    there = _images_there(ports)
    return ReleasesAnswer(releases=tuple(_with_kept(release, there) for release in reversed(found)))


def running_release(ports: Ports) -> Release | None:
    """The one recorded last; None before the first deploy."""
    found = recorded_releases(ports.journal.entries())
    return found[-1] if found else None


def note_release(ports: Ports, outcome: Outcome) -> Outcome:
    """After an `up` that was carried out: record what runs, where that is something new."""
    if outcome.end is PlanEnd.DONE:
        record_release(ports, outcome.plan)
    return outcome


def record_found(ports: Ports) -> None:
    """Before another one takes its place: note what runs, where nothing is recorded or other images run by now."""
    last, project = running_release(ports), ports.project
    if last is None or (project is not None and last.images != project.images.in_use()):
        record_release(ports, None)


def record_release(ports: Ports, plan: Plan | None, *, heads: Mapping[str, str] | None = None) -> Release:
    """Note what runs now, brought by this plan, in the journal; without a plan as one that was found.

    Where the migrations stand is asked unless the caller knows. What runs already as recorded is not noted again. Its
    images get a second name, so that they stay to go back to.
    """
    look, last = observe_release(ports), running_release(ports)
    if last is not None and is_look_of(last, look) and plan_brought(last, plan):
        return last
    now = ports.clock.now()
    entry = JournalEntry(
        at=now,
        kind=JournalKind.NOTED,
        plan_id=new_plan_id(now),
        verb=VERB,
        who=ports.who,
        facts=release_facts(
            look,
            verb=verb_of(plan),
            plan_id=plan.id if plan else "",
            heads=_heads(ports) if heads is None else heads,
        ),
    )
    _keep_images(ports, entry)
    ports.journal.append(entry)
    return recorded_releases((entry,))[0]


def plan_brought(last: Release, plan: Plan | None) -> bool:
    """Whether the recorded release need not be noted for this plan: only an update and a rollback are always."""
    return plan is None or plan.verb not in {"update", "rollback"} or last.plan_id == plan.id


def verb_of(plan: Plan | None) -> str:
    """What a person typed."""
    if plan is None:
        return FOUND
    return "up" if plan.verb == "deploy" else plan.verb


def observe_release(ports: Ports) -> Look:
    """What runs: commit, images and settings."""
    project = ports.project
    return Look(
        commit=project.source.commit() if project else None,
        images=project.images.in_use() if project else {},
        configuration=ports.files.fingerprint(),
        stratum=__version__,
    )


def image_label(release_id: str) -> str:
    """The tag that a release's images are kept under."""
    return f"release-{short(release_id)}"


def _keep_images(ports: Ports, entry: JournalEntry) -> None:
    """Give the images that run a second name, and take those of releases long past away."""
    if ports.project is None:
        return
    ports.project.images.keep(image_label(entry.plan_id))
    there = ports.project.images.labels()
    for release in past_releases(recorded_releases((*ports.journal.entries(), entry)), kept=KEPT_RELEASES):
        if image_label(release.id) in there:
            ports.project.images.forget(image_label(release.id))


def _heads(ports: Ports) -> Mapping[str, str]:
    """Where each database's migrations stand; a database that cannot be asked is no reason not to record a release."""
    try:
        if ports.project is not None:
            answer = ports.project.inside(("undo-copy", "heads", VERB), under=ports.lock.token)
            return {str(name): str(head) for name, head in answer["heads"].items()}
        database = ports.runtime.server(Role.MAINTENANCE).database
        there = database.database_oids()
        return {name: database.observe_migration_head(name) for name in ports.stack.databases if name in there}
    except StratumError as error:
        ports.progress.say(f"where the migrations stand could not be recorded: {error.message}")
        return {}


def _images_there(ports: Ports) -> frozenset[str] | None:
    """The second names there are; None where there are no images, or no engine answers."""
    if ports.project is None:
        return None
    try:
        return ports.project.images.labels()
    except StratumError as error:
        ports.progress.say(f"whether images are kept could not be looked up: {error.message}")
        return None


def _with_kept(release: Release, there: frozenset[str] | None) -> Release:
    return replace(release, kept=None if there is None else image_label(release.id) in there)
