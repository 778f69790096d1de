"""restore on the host of a Compose stack: a lost volume, a whole cluster as of a moment, and the way back from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stratum.cli.session import carry_out, opened, reported, show_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from stratum.core.volume_recovery import Moment
    from stratum.engine.restore import Target
    from stratum.ports import Outcome, Ports


def restored_on_host(
    stack: Path,
    wanted: Target | Moment | None,
    *,
    moment: Moment | None = None,
    confirm: list[str],
    dry_run: bool,
    as_json: bool,
) -> bool:
    """Do what only the host can: says whether it was so, and else the command goes on inside.

    `wanted` is a whole cluster as of a moment, a target that matters where the volume is lost, or None for the way
    back. `moment` goes with a target: a position or a name in WAL is none that a dump could have.
    """
    from stratum import wiring

    with reported(as_json=as_json):
        if not wiring.is_compose_host(stack):
            return False
    with opened(stack, as_json=as_json, dry_run=dry_run, confirm=confirm) as ports:
        verb = _verb(ports, wanted, moment)
        if verb is None:
            return False
        outcome = carry_out(ports, why="restore", dry_run=dry_run, verb=verb)
        show_outcome(outcome, as_json=as_json, done=_done(outcome))
    return True


def _verb(ports: Ports, wanted: Target | Moment | None, moment: Moment | None) -> Callable[[], Outcome] | None:
    from stratum.core.volume_recovery import Moment
    from stratum.engine.bring_back import bring_back
    from stratum.engine.rebuild_volume import why_lost
    from stratum.engine.recover_volume import recover_volume
    from stratum.engine.undo_recover import find_switched, undo_recover

    project = ports.project
    if project is None or project.external:
        return None
    if wanted is None:
        switched = find_switched(ports, project)
        return None if switched is None else lambda: undo_recover(ports, project, switched)
    why = why_lost(ports, project)
    if isinstance(wanted, Moment):
        return lambda: recover_volume(ports, project, wanted, why=why)
    if why is not None and moment is not None and moment.at is None:
        return lambda: recover_volume(ports, project, moment, why=why)
    return None if why is None else lambda: bring_back(ports, project, wanted, why=why)


def _done(outcome: Outcome) -> str:
    params, facts = outcome.plan.params, outcome.facts
    kept, reached = params.get("from_volume"), facts.get("reached")
    lines = [f"done: {outcome.plan.headline}"]
    if reached:
        lines.append(str(reached))
    if kept and kept != params.get("to_volume"):
        lines.append(f"the volume {kept} is kept as it was; `stratum restore --undo` goes back to it")
    return "\n".join(lines)
