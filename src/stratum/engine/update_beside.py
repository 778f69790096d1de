"""update --no-downtime: the new release starts beside the one that serves, and visitors are led to it.

Nobody is stopped, so that no copy of the data can be the way back: what the migration adds stays. Hence the release of
before has to be seen working on it, on a clone, before anything is migrated; and the way back is of code alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stratum.core.containers import BACKUP
from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Facts, Plan, Step
from stratum.engine.deploy import kept_images, names_in
from stratum.engine.restore_point import NAME_MOMENT
from stratum.engine.run_command import run_application
from stratum.engine.switch_release import COMMIT, VERIFY
from stratum.ports import Action, Ports
from stratum.project import Project

_MIGRATE = Step(
    name="migrate-beside",
    summary="run the application's migrations while the release of before serves; none waits long for a lock",
    effect=Effect.ADDS,
    way_back="none: what they add stays, and the release of before was seen to work on it",
)
STEPS = (
    NAME_MOMENT,
    _MIGRATE,
    Step(name="second", summary="start the new release in second containers beside the one that serves, and wait until "
         "each is healthy", way_back="they are removed"),
    VERIFY,
    Step(name="lead", summary="let nginx lead visitors to them; what is under way ends where it began",
         way_back="nginx leads visitors to the services' own containers again"),
    Step(name="replace", summary="make the services' own containers anew from the new release, while the second ones "
         "serve", way_back="they are made anew from the images of before, and waited for"),
    replace(COMMIT, summary="commit the release: it stays from here on"),
    Step(name="own", summary="let nginx lead visitors to them, and remove the second containers"),
)  # fmt: skip
"""Between the rehearsal and the end of an update. No step stops what serves."""


def refuse_downtime_needed(ports: Ports, project: Project, *, rehearsed: bool, accept: tuple[str, ...]) -> None:
    """Raises `no-downtime-impossible` for what is known before anything is built."""
    if accept:
        problem = f"what the rehearsal finds is accepted ({', '.join(accept)}), and the release of before would meet it"
        raise StratumError("no-downtime-impossible", problem=problem)
    if not rehearsed or not ports.stack.rehearsal.start:
        problem = "nothing is started on a clone: [commands] names no service of it, or [rehearsal] start is off"
        raise StratumError("no-downtime-impossible", problem=problem)
    project.side_by_side.refuse_impossible()


def actions_beside(plan: Plan, ports: Ports, project: Project) -> Mapping[str, Action]:
    """What the steps of its own do, and how each is taken back."""
    # Zero would be no limit at all.
    limit = max(1, round(ports.stack.rehearsal.lock_limit.total_seconds() * 1000))
    own = [name for name in names_in(plan.params.get("services")) if name != "nginx"]

    def migrate(_: Facts) -> None:
        # Who waits for a lock keeps everybody waiting who comes after. Read by libpq, and by what is built on it.
        run_application(ports, "migrate", told={"PGOPTIONS": f"-c lock_timeout={limit}"})

    def second(_: Facts) -> None:
        project.side_by_side.start()

    def lead(_: Facts) -> Facts:
        project.side_by_side.refuse_unwell()
        return {"cut_off": project.side_by_side.lead_to_second()}

    def lead_undone(_: Facts) -> None:
        project.side_by_side.lead_to_own()

    def make_anew(_: Facts) -> None:
        project.start(own, alone=True)

    def own_back(facts: Facts) -> None:
        project.images.use(kept_images(facts))
        # First what they depend on, so that the next `up` finds all of them as it wants them, and makes none anew.
        project.start((BACKUP,), alone=True)
        project.start(own, alone=True)

    def lead_back(facts: Facts) -> Facts:
        busy = project.side_by_side.lead_to_own()
        visits, failed = project.side_by_side.visits_since(plan.created_at)
        project.side_by_side.end()
        before = facts.get("cut_off", 0)
        return {"visits": visits, "visits_failed": failed, "cut_off": busy + (before if isinstance(before, int) else 0)}

    return {
        _MIGRATE.name: Action(name=_MIGRATE.name, run=migrate),
        "second": Action(name="second", run=second, undo=lambda _: project.side_by_side.end()),
        "lead": Action(name="lead", run=lead, undo=lead_undone),
        "replace": Action(name="replace", run=make_anew, undo=own_back),
        "own": Action(name="own", run=lead_back),
    }
