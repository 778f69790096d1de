"""Which actions belong to which verb, so that a plan cut by a crash can be finished or taken back by anyone."""

from __future__ import annotations

from collections.abc import Callable

from stratum.core.errors import StratumError
from stratum.core.plan import Plan, unfinished_plans
from stratum.engine.accept_identity import accept_actions
from stratum.engine.bring_up import up_actions
from stratum.engine.deploy import deploy_actions
from stratum.engine.destroy import destroy_actions, destroy_volume_actions
from stratum.engine.import_dump import import_actions
from stratum.engine.move_volume import VERB as MOVE
from stratum.engine.move_volume import move_actions
from stratum.engine.prune import prune_actions
from stratum.engine.rebuild_volume import rebuild_actions
from stratum.engine.recover_moment import drill_moment_actions, moment_actions
from stratum.engine.recover_volume import recover_actions
from stratum.engine.rehearse import rehearsal_actions
from stratum.engine.restore_cluster import cluster_actions, undo_cluster_actions
from stratum.engine.restore_files import UNDO as UNDO_FILES
from stratum.engine.restore_files import VERB as FILES
from stratum.engine.restore_files import files_actions
from stratum.engine.restore_steps import restore_actions
from stratum.engine.restore_table import place_actions, table_actions
from stratum.engine.roll_back import rollback_actions
from stratum.engine.rotate import VERB as ROTATE
from stratum.engine.rotate import rotate_actions
from stratum.engine.run_command import command_actions
from stratum.engine.run_drill import drill_actions
from stratum.engine.run_plan import ActionsOf, finish_unfinished
from stratum.engine.take_base_backup import base_actions
from stratum.engine.take_dump import dump_actions
from stratum.engine.undo_recover import undo_recover_actions
from stratum.engine.undo_restore import undo_actions
from stratum.engine.undo_upgrade import UNDO as UNDO_UPGRADE
from stratum.engine.undo_upgrade import undo_upgrade_actions
from stratum.engine.undo_upgrade_on_host import UNDO as UNDO_ON_HOST
from stratum.engine.undo_upgrade_on_host import undo_on_host_actions
from stratum.engine.update import update_actions
from stratum.engine.upgrade_on_host import VERB as UPGRADE_ON_HOST
from stratum.engine.upgrade_on_host import host_upgrade_actions
from stratum.engine.upgrade_postgres import VERB as UPGRADE
from stratum.engine.upgrade_postgres import upgrade_actions
from stratum.ports import Outcome, Ports, RunState

ACTIONS: dict[str, ActionsOf] = {
    "up": up_actions,
    "backup": dump_actions,
    "base-backup": base_actions,
    "moment": moment_actions,
    "drill-moment": drill_moment_actions,
    "restore-cluster": cluster_actions,
    "undo-restore-cluster": undo_cluster_actions,
    "drill": drill_actions,
    "rehearse": rehearsal_actions,
    "restore": restore_actions,
    "undo-restore": undo_actions,
    "restore-table": table_actions,
    "place-table": place_actions,
    "import": import_actions,
    FILES: files_actions,
    UNDO_FILES: files_actions,
    "prune": prune_actions,
    "destroy": destroy_actions,
    "migrate": command_actions,
    "seed": command_actions,
    "identity-accept": accept_actions,
    ROTATE: rotate_actions,
    UPGRADE: upgrade_actions,
    UNDO_UPGRADE: undo_upgrade_actions,
}
HOST_ACTIONS: dict[str, ActionsOf] = {
    "deploy": deploy_actions,
    "update": update_actions,
    "rollback": rollback_actions,
    "rebuild-volume": rebuild_actions,
    MOVE: move_actions,
    UPGRADE_ON_HOST: host_upgrade_actions,
    UNDO_ON_HOST: undo_on_host_actions,
    "recover-volume": recover_actions,
    "undo-recover-volume": undo_recover_actions,
    "destroy-volume": destroy_volume_actions,
    "migrate": command_actions,
    "seed": command_actions,
    ROTATE: rotate_actions,
}
"""Plans that move containers and volumes: only the host can finish them, and none of the others."""


_LEADS_AWAY: dict[str, frozenset[str]] = {
    "update": frozenset({"update", "rollback"}),
    "rollback": frozenset({"update", "rollback"}),
    "upgrade-postgres": frozenset({UPGRADE_ON_HOST}),
}
"""By command, the plans that need not be finished for it: a release that was committed and does not come up is what
`rollback`, or the next `update`, is asked for."""


def finish_plans(ports: Ports, *, why: str = "") -> tuple[str, ...]:
    """Finish or take back what a crash cut short; every verb that changes anything begins with this.

    `why` is the command that is begun, which some plans need not be finished for.
    """
    ports.runtime.sweep_scratch()
    actions = ACTIONS if ports.project is None else HOST_ACTIONS
    if ports.rotation is None:  # its steps start anew what this process may be a part of
        actions = {verb: found for verb, found in actions.items() if verb != ROTATE}
    cut = [one.plan for one in unfinished_plans(ports.journal.entries()) if one.plan.verb in actions]
    elsewhere = frozenset(plan.id for plan in cut if _is_finished_elsewhere(plan, ports))
    if len(cut) == len(elsewhere):
        return ()
    leaving = _LEADS_AWAY.get(why, ())
    return (*_start(ports), *finish_unfinished(ports, actions, leaving=leaving, elsewhere=elsewhere))


def _is_finished_elsewhere(plan: Plan, ports: Ports) -> bool:
    """A restore of files whose set is read-only here: the next restore of that set finishes it, where it may write."""
    if plan.verb not in {FILES, UNDO_FILES}:
        return False
    name = str(plan.params["files"])
    return name in ports.stack.file_sets and not ports.file_sets.writable(name)


def _start(ports: Ports) -> tuple[str, ...]:
    """A stopped server is needed to see how far a plan came. One that will not start is as good as none.

    Raising here would keep `restore`, which is the cure, from ever running.
    """
    if ports.project is not None or ports.runtime.observe().state is not RunState.STOPPED:
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
        for line in finish_plans(ports, why=why):
            ports.progress.say(line)
        return verb()
