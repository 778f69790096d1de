"""up on Docker: image and volume are compared before anything starts; then the database, the guard, the services."""

from __future__ import annotations

from stratum.core.containers import BACKUP, POSTGRES, VolumeLook
from stratum.core.errors import StratumError
from stratum.core.identity import Likeness
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.core.services import console_address
from stratum.core.volume_rules import refuse_mismatch, refuse_unusable_image
from stratum.engine.releases import note_release
from stratum.engine.run_plan import new_plan_id
from stratum.engine.tripwire import Sighting, look_alike_error
from stratum.ports import Action, Outcome, Ports, Prepared
from stratum.project import Project

_BUILD = Step(
    name="build",
    summary="build the images that are missing, or whose tools are of another PostgreSQL",
    effect=Effect.ADDS,
    way_back="they stay",
)
_HOLD = Step(
    name="hold-volume",
    summary="see that the data volume is there, and that a container outside the project holds it",
    effect=Effect.ADDS,
    way_back="volume and holder stay: an empty volume harms nothing",
)
_MAKE = Step(
    name="make-cluster",
    summary="make a new PostgreSQL cluster with its roles and an empty application database",
    effect=Effect.ADDS,
    way_back="a half-made cluster is thrown away at the next try; a whole one stays",
)
_START = Step(
    name="start-database",
    summary="start PostgreSQL, and wait until it answers",
    way_back="it goes on running; nothing works on the database",
)
_PASSWORDS = Step(
    name="passwords",
    summary="set the passwords that changed in .env in the server as well",
    effect=Effect.SETS_ASIDE,
    way_back="the new ones stay: put the old ones back into .env, and run `stratum up`",
)
_RECOGNISE = Step(
    name="recognise",
    summary="start the backup service, which compares the cluster with the recorded one, and records it",
)
_SERVICES = Step(
    name="services",
    summary="start all other services behind the guard, and wait until each is healthy",
    way_back="they go on running, or are started again; the database does not depend on them",
)


def deploy(ports: Ports, project: Project) -> Outcome:
    """Bring the project up. Refuses an image that does not belong to the data before anything is started.

    Never makes a new cluster where one was recorded. Raises the refusals of `core.volume_rules`, `image-missing`,
    `build-failed`, the tripwire's errors, `container-not-serving`; after any of them the data is as before.
    """
    project.check()
    volume, recorded = None if project.external else observe_volume(ports, project), ports.archive.recorded_identity()
    make = volume is not None and volume.empty
    if make and recorded is not None:
        raise look_alike_error(Sighting(likeness=Likeness.ABSENT, recorded=recorded, observed=None), ports)
    missing = project.images.missing()
    # A stranger's cluster is not given this stack's passwords; it is refused once it can be asked.
    ours = volume is not None and (recorded is None or volume.system_identifier == recorded.system_identifier)
    changed = project.changed_passwords() if ours else ()
    now = ports.clock.now()
    plan = Plan(
        id=new_plan_id(now),
        verb="deploy",
        stack=ports.stack.name,
        created_at=now,
        headline=f"bring {ports.stack.name} up",
        steps=tuple(
            step
            for step, wanted in (
                (_BUILD, bool(missing)),
                (_HOLD, not project.external),
                (_MAKE, make),
                (_START, True),
                (_PASSWORDS, bool(changed) and not make),
                (_RECOGNISE, True),
                (_SERVICES, True),
            )
            if wanted
        ),
        params={"make": make, "build": list(missing), "passwords": list(changed)},
        forward_from="start-database",
    )
    return note_release(ports, ports.run(Prepared(plan=plan, actions=deploy_actions(plan, ports)), ports))


def observe_volume(ports: Ports, project: Project) -> VolumeLook:
    """The volume. Raises the first reason why the image that .env names must not be started on it."""
    image, volume = project.look()
    refuse_unusable_image(image, mount=project.mount)
    refuse_mismatch(volume, image, ports.archive.recorded_identity())
    return volume


def deploy_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the plan's steps do. Each may be done again after a crash."""
    project = project_of(ports)

    def build(_: Facts) -> None:
        project.build()

    def make(_: Facts) -> None:
        if project.look()[1].empty:
            ports.runtime.create_cluster(bootstrap_role=None, application_database=True)

    def start_database(_: Facts) -> None:
        if not project.external:
            project.start((POSTGRES,))

    def recognise(_: Facts) -> Facts:
        # Only now: until the server has the new passwords, the containers must go on knowing the old ones.
        project.write_secrets()
        project.start((BACKUP,))
        return {"detail": ports.runtime.observe().detail, **_recognised()}

    def _recognised() -> Facts:
        return {"console_made": bool(project.inside(("identity", "check", "--record")).get("console_made"))}

    def serve(_: Facts) -> Facts:
        project.start()
        return {"console": console_address(ports.services.observe(ask=False))}

    actions = (
        Action(name="build", run=build),
        Action(name="hold-volume", run=lambda _: project.keep_volume()),
        Action(name="make-cluster", run=make),
        Action(name="start-database", run=start_database),
        Action(name="passwords", run=lambda _: project.apply_passwords(names_in(plan.params["passwords"]))),
        Action(name="recognise", run=recognise),
        Action(name="services", run=serve),
    )
    planned = {step.name for step in plan.steps}
    return tuple(action for action in actions if action.name in planned)


def names_in(value: object) -> tuple[str, ...]:
    """A list out of a plan's flat values."""
    return tuple(str(entry) for entry in value) if isinstance(value, list) else ()


def kept_images(facts: Facts) -> dict[str, str]:
    """Service and the second name of the image it ran, as the step `keep` wrote them down."""
    return {service: image for service, _, image in (entry.partition("=") for entry in names_in(facts.get("images")))}


def project_of(ports: Ports) -> Project:
    """The Compose project; raises `not-from-here` where there is none to drive."""
    if ports.project is None:
        raise StratumError("not-from-here", what="drive the stack's containers")
    return ports.project


def take_project_down(project: Project, *, remove: bool) -> None:
    """Stop every container the clean way; with `remove` take them and the networks away. The data stays."""
    project.check()
    if remove:
        project.down()
    else:
        project.stop()
