"""What a plan on the host has done inside `backup`, under its own lock."""

from __future__ import annotations

from stratum.core.proof import Verdict
from stratum.ports import Ports
from stratum.project import Project


def back_up_inside(ports: Ports, project: Project) -> str:
    """Take a backup of the running databases; its id. Raises what `stratum backup` raises."""
    return str(project.inside(("backup",), under=ports.lock.token)["facts"]["backup_id"])


def drill_inside(backup_id: str, ports: Ports, project: Project) -> Verdict:
    """Drill a backup; the verdict is recorded whatever it is. Raises what `stratum drill` raises."""
    return Verdict(project.inside(("drill", backup_id), under=ports.lock.token)["verdict"])
