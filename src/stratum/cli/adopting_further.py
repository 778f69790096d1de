"""adopt --prove and --move: the first backup and drill of an adopted project, and its data into a held volume."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stratum.cli.session import carry_out, opened, show_outcome

if TYPE_CHECKING:
    from stratum.engine.prove_adopted import FirstProof


def move_data(place: Path, *, confirm: list[str], dry_run: bool, as_json: bool) -> None:
    """Carry the move out, or show it. Raises what `engine.move_volume` raises, and `not-from-here`."""
    from stratum.engine.deploy import project_of
    from stratum.engine.move_volume import move_volume

    with opened(place, as_json=as_json, dry_run=dry_run, confirm=confirm) as ports:
        project = project_of(ports)
        outcome = carry_out(ports, why="adopt --move", dry_run=dry_run, verb=lambda: move_volume(ports, project))
        params = outcome.plan.params
        done = (
            f"the data is in the volume {params['to_volume']}, and held\n"
            f"the volume {params['from_volume']} is kept as it was; `stratum restore --undo` goes back to it"
        )
        show_outcome(outcome, as_json=as_json, done=done)


def prove_adopted(place: Path, *, as_json: bool) -> FirstProof:
    """Give the server its roles, bring guard and agent up, take the first backup and drill it.

    Works on a Compose project as its superuser. A server of the user's own gets its roles from whoever administers
    it: there `not-from-here` is raised.
    """
    from stratum import adopt_wiring
    from stratum.engine.finish_plans import finish_plans
    from stratum.engine.prove_adopted import prove_adopted as run

    with opened(place, as_json=as_json) as ports, ports.lock.hold(why="adopt"):
        for line in finish_plans(ports):
            ports.progress.say(line)
        return run(ports, adopt_wiring.print_roles(place))
