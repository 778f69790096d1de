"""rollback: a recorded release runs again; with the data it worked on where asked, and the cost always said first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.rehearsal import not_accepted
from stratum.core.release import Release, has_same_code, recorded_releases
from stratum.core.way_back import LastUpdate, find_way
from stratum.engine.deploy import kept_images, names_in, observe_volume, project_of
from stratum.engine.rehearse import order_on_host
from stratum.engine.releases import image_label
from stratum.engine.roll_back_cost import Cost, observe_cost
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.switch_release import (
    COMMIT,
    OPEN,
    START,
    VERIFY,
    committed,
    is_open_to_others,
    start_all,
    start_database,
    switch_actions,
    switch_notes,
    switch_params,
    was_reached,
)
from stratum.engine.work_inside import back_up_inside
from stratum.ports import Action, Outcome, Ports, Prepared
from stratum.project import Project

_BACKUP = Step(name="backup", summary="take a backup of the databases as they are now", effect=Effect.ADDS,
               way_back="it stays: a backup harms nothing")  # fmt: skip
_TRY = Step(name="try", summary="start that release on a clone of that backup, which reaches nothing else",
            way_back="the clone is thrown away")  # fmt: skip
_KEEP = Step(name="keep", summary="give the images that run now a second name", effect=Effect.ADDS,
             way_back="the release that runs now is started again")  # fmt: skip
_STOP = Step(name="stop", summary="stop the application's services; the database goes on",
             way_back="they are started again", asks=True)  # fmt: skip
_CODE = Step(name="code", summary="bring the files and images of that release back",
             way_back="those of now are brought back")  # fmt: skip
_DATA = Step(name="data", summary="put the databases that release worked on in place; what they replace is kept",
             effect=Effect.SETS_ASIDE, way_back="the names are swapped back")  # fmt: skip
_TIDY = Step(name="tidy", summary="let go of the second names of this rollback")


_NOT_TRIED = "that release is not tried on a clone: [commands] names no service of it, or [rehearsal] start is off"


@dataclass(frozen=True, kw_only=True, slots=True)
class WayWithImages:
    """Where a rollback goes as `find_way` says, and the images that lead there."""

    target: Release
    update: LastUpdate | None
    forward: bool
    images: Mapping[str, str]
    """Service and the second name of its image."""


_UNREHEARSED = "unrehearsed"
"""What is accepted to go back where that release could not be tried, as an update has it."""


def roll_back(
    ports: Ports,
    project: Project,
    *,
    release: str | None = None,
    with_data: bool = False,
    accept: tuple[str, ...] = (),
) -> Outcome:
    """Go back to a recorded release; without a name to the one before.

    Without `with_data` the data stays as it is, and that release has to live with its schema: refused with
    `code-needs-its-data` where what it knew is gone, and with `release-does-not-run` where it does not become healthy
    on a clone of today's data, but for what is in `accept` by name. With it the databases are those it worked on: the
    cost, row by row, is shown before anything stops, and what they replace is kept. A rollback is undone by another
    one. Raises `nothing-to-roll-back`, `unknown-release`, `release-images-gone`, `data-not-beside`,
    `release-not-tried`, `source-changed`, `declined`.
    """
    project.check()
    if not project.external:
        observe_volume(ports, project)
    way = _find_way(ports, project, release, with_data=with_data)
    if way.target.commit not in {None, project.source.commit()}:
        project.source.refuse_changed()
    cost = observe_cost(ports, project, way.target, way.update, forward=way.forward, with_data=with_data)
    if not with_data and cost.gone:
        raise StratumError("code-needs-its-data", release=way.target.id, gone=", ".join(cost.gone))
    plan = _plan(ports, project, way, cost, with_data=with_data, accept=accept)
    return ports.run(Prepared(plan=plan, actions=rollback_actions(plan, ports)), ports)


def _find_way(ports: Ports, project: Project, wanted: str | None, *, with_data: bool) -> WayWithImages:
    entries = ports.journal.entries()
    found = find_way(entries, wanted, with_data=with_data)
    images = _images_of(project, found.target, recorded_releases(entries))
    return WayWithImages(target=found.target, update=found.update, forward=found.forward, images=images)


def _images_of(project: Project, target: Release, releases: Sequence[Release]) -> Mapping[str, str]:
    """The kept images of a release, under whichever of its names is left. Raises `release-images-gone`."""
    gone: tuple[str, ...] = ()
    for release in (one for one in reversed(releases) if has_same_code(one, target)):
        label = image_label(release.id)
        gone = project.images.gone(label, target.images)
        if not gone:
            kept = project.images.kept(label)
            return {service: image for service, image in kept.items() if service in target.images}
    raise StratumError("release-images-gone", release=target.id, services=", ".join(gone))


def _plan(
    ports: Ports, project: Project, way: WayWithImages, cost: Cost, *, with_data: bool, accept: tuple[str, ...]
) -> Plan:
    now, target = ports.clock.now(), way.target
    image = None if with_data else _image_to_try(ports, project, way)
    skipped = {step for step, there in ((_DATA, with_data), (_TRY, image is not None)) if not there}
    plan_id, switch = new_plan_id(now), switch_params(ports, project)
    steps = (_BACKUP, _TRY, _KEEP, _STOP, _CODE, _DATA, START, VERIFY, COMMIT, OPEN, _TIDY)
    return Plan(
        id=plan_id,
        verb="rollback",
        stack=ports.stack.name,
        created_at=now,
        headline=f"back to release {target.id} of {target.at:%Y-%m-%d %H:%M} UTC"
        + (", with its data" if with_data else ", the data stays as it is"),
        steps=tuple(step for step in steps if step not in skipped),
        params={
            "label": way.update.label if way.update else "",
            "forward": way.forward,
            "own_label": short(plan_id),
            "release_wanted": target.id,
            "commit": target.commit,
            "commit_now": project.source.commit(),
            "images_before": [f"{service}={image}" for service, image in way.images.items()],
            **switch,
            "cost": list(cost.lines),
            "databases": list(cost.databases) if with_data else [],
            "image_to_try": image,
            "accept": list(accept),
        },
        notes=(*cost.lines, *([] if with_data or image else [_NOT_TRIED]), *switch_notes(switch, with_data=with_data)),
        forward_from=COMMIT.name,
        confirmations=1,
    )


def _image_to_try(ports: Ports, project: Project, way: WayWithImages) -> str | None:
    """Of the service that the application's commands run in; None where nothing of it can be started on a clone."""
    service = ports.stack.commands.service
    there = ports.stack.rehearsal.start and service in project.application_services()
    return way.images.get(service) if there else None


def rollback_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do, and how each is taken back."""
    project = project_of(ports)
    switch = switch_actions(plan, ports, project, checks=("health",))
    # What an older Stratum called the commit.
    record = committed(replace(switch[COMMIT.name], name="record"))
    actions = {
        **switch,
        "record": record,
        **_service_actions(plan, ports, project, stop=switch["stop"]),
        **_release_actions(plan, ports, project),
    }
    return tuple(actions[step.name] for step in plan.steps)


def _service_actions(plan: Plan, ports: Ports, project: Project, *, stop: Action) -> Mapping[str, Action]:
    """Backup, the second names, and the question before the services end."""
    params = plan.params

    def backup(_: Facts) -> Facts:
        return {"backup_id": back_up_inside(ports, project)}

    def attempt(facts: Facts) -> Facts:
        return _try_release(plan, ports, project, backup_id=str(facts["backup_id"]))

    def keep(_: Facts) -> Facts:
        kept = project.images.keep(f"before-{params['own_label']}")
        return {"images": [f"{service}={image}" for service, image in kept.items()]}

    def back_to_service(_: Facts) -> None:
        start_all(project, names_in(params.get("beside")))

    def known(_: Facts) -> tuple[str, ...]:
        return names_in(params["cost"]) or ("no row is taken away",)

    def tidy(_: Facts) -> None:
        project.images.forget(f"before-{params['own_label']}")

    return {
        "backup": Action(name="backup", run=backup),
        "try": Action(name="try", run=attempt),
        "keep": Action(name="keep", run=keep, undo=back_to_service),
        "stop": replace(stop, known=known),
        "tidy": Action(name="tidy", run=tidy),
    }


def _try_release(plan: Plan, ports: Ports, project: Project, *, backup_id: str) -> Facts:
    """Its image on a clone, with the services' files as they are now; what nobody accepted ends the rollback."""
    params, accepted = plan.params, names_in(plan.params.get("accept"))
    order = order_on_host(ports, backup_id)
    # What the release of now has to do, an older one may never have done.
    checks = {name: argv for name, argv in order.checks.items() if name != "smoke"}
    order = replace(order, migrate=(), image=str(params["image_to_try"]), checks=checks)
    try:
        found = project.rehearse(order, under=ports.lock.token)
    except StratumError as error:
        if _UNREHEARSED in accepted:
            return {"rehearsal": None, "rehearsal_problem": error.message}
        raise StratumError("release-not-tried", release=params["release_wanted"], problem=error.message) from None
    names = not_accepted(found, accepted)
    if names:
        accept = " ".join(f"`--accept {name}`" for name in names)
        raise StratumError("release-does-not-run", release=params["release_wanted"], summary=found.summary,
                           accept=accept)  # fmt: skip
    return {"rehearsal_id": found.id, "rehearsal": found.verdict.value}


def _release_actions(plan: Plan, ports: Ports, project: Project) -> Mapping[str, Action]:
    """Files, images and data of that release."""
    params, under, label = plan.params, ports.lock.token, str(plan.params["label"])
    databases = [word for name in names_in(params["databases"]) for word in ("--database", name)]
    there, back = ("forward", "back") if params.get("forward") else ("back", "forward")

    def code(_: Facts) -> None:
        _move_source(project, params["commit"])
        project.images.use(kept_images({"images": params["images_before"]}))

    def code_back(facts: Facts) -> None:
        _move_source(project, params["commit_now"])
        project.images.use(kept_images(facts))

    def data(_: Facts) -> None:
        start_database(project)
        project.inside(("undo-copy", there, label, *databases), under=under)

    def data_back(_: Facts) -> None:
        leave = was_reached(plan, ports) or is_open_to_others(plan, ports, project)
        project.stop(names_in(params["services"]))
        start_database(project)
        if not leave:
            project.inside(("undo-copy", back, label, *databases), under=under)

    return {
        "code": Action(name="code", run=code, undo=code_back),
        "data": Action(name="data", run=data, undo=data_back),
    }


def _move_source(project: Project, commit: object) -> None:
    if commit is not None and project.source.commit() != commit:
        project.source.move(str(commit))
