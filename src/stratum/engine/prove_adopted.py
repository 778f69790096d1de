"""adopt --prove: an adopted project's roles, its guard and agent, and its first backup, proven by a drill."""

from __future__ import annotations

from dataclasses import dataclass

from stratum.core.errors import StratumError
from stratum.core.proof import Verdict
from stratum.engine.deploy import deploy, project_of
from stratum.engine.work_inside import back_up_inside, drill_inside
from stratum.ports import Outcome, Ports


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstProof:
    """What came of it."""

    brought_up: Outcome
    backup_id: str
    verdict: Verdict


def prove_adopted(ports: Ports, roles: str) -> FirstProof:
    """Run the script of roles as the superuser, bring the project up, take a backup and drill it.

    The script may be run again. The rows of the database are only read. Raises `not-from-here`, `tool-failed` and what
    `up`, `backup` and `drill` raise; what was done before that stays: a role and a backup harm nothing.
    """
    project = project_of(ports)
    if project.external:
        raise StratumError("not-from-here", what="give a server of your own its roles")
    project.check()
    ports.progress.say("giving the server the roles that take backups")
    project.run_sql(roles)
    brought_up = deploy(ports, project)
    backup_id = back_up_inside(ports, project)
    return FirstProof(brought_up=brought_up, backup_id=backup_id, verdict=drill_inside(backup_id, ports, project))
