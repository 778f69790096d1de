"""Which actions belong to which verb, so that a plan cut by a crash can be finished or taken back by anyone."""

from __future__ import annotations

from collections.abc import Callable

from stratum.core.errors import StratumError
from stratum.core.plan import unfinished_plans
from stratum.engine.accept_identity import accept_actions
from stratum.engine.bring_up import up_actions
from stratum.engine.destroy import destroy_actions
from stratum.engine.prune import prune_actions
from stratum.engine.restore_steps import restore_actions
from stratum.engine.restore_table import place_actions, table_actions
from stratum.engine.run_command import command_actions
from stratum.engine.run_drill import drill_actions
from stratum.engine.run_plan import ActionsOf, finish_unfinished
from stratum.engine.take_dump import dump_actions
from stratum.engine.undo_restore import undo_actions
from stratum.ports import Outcome, Ports, RunState

ACTIONS: dict[str, ActionsOf] = {
    "up": up_actions,
    "backup": dump_actions,
    "drill": drill_actions,
    "restore": restore_actions,
    "undo-restore": undo_actions,
    "restore-table": table_actions,
    "place-table": place_actions,
    "prune": prune_actions,
    "destroy": destroy_actions,
    "migrate": command_actions,
    "seed": command_actions,
    "identity-accept": accept_actions,
}


def finish_plans(ports: Ports) -> tuple[str, ...]:
    """Finish or take back what a crash cut short; every verb that changes anything begins with this."""
    ports.runtime.sweep_scratch()
    if not unfinished_plans(ports.journal.entries()):
        return ()
    return (*_start(ports), *finish_unfinished(ports, ACTIONS))


def _start(ports: Ports) -> tuple[str, ...]:
    """A stopped server is needed to see how far a plan came. One that will not start is as good as none.

    Raising here would keep `restore`, which is the cure, from ever running.
    """
    if ports.runtime.observe().state is not RunState.STOPPED:
        return ()
    try:
        ports.runtime.start()
    except StratumError as error:
        if error.code != "server-start-failed":
            raise
        return (f"the database does not start, so what was cut short in it goes with it: {error.message}",)
    return ()


def under_lock(ports: Ports, *, why: str, verb: Callable[[], Outcome]) -> Outcome:
    """Run a verb with the stack to itself, after finishing whatever a crash cut. Raises `locked`."""
    with ports.lock.hold(why=why):
        for line in finish_plans(ports):
            ports.progress.say(line)
        return verb()
