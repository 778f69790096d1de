"""protect --degrade on the host of a Compose stack: the hand tool for when the service that receives WAL is gone."""

from __future__ import annotations

from stratum.core.containers import BACKUP
from stratum.engine.zero_loss import note_by_hand
from stratum.ports import Ports
from stratum.project import Project

_STATEMENTS = "ALTER SYSTEM SET synchronous_standby_names = '';\nSELECT pg_reload_conf();\n"
"""Neither waits for a standby: they write no commit."""


def is_alone(project: Project) -> bool:
    """Whether nobody is there whom the verb could be passed on to."""
    return not any(state.service == BACKUP and state.state == "running" for state in project.containers())


def degrade_on_host(ports: Ports, project: Project) -> str:
    """Let commits wait no more, asked of the server in its own container. Raises what running psql there raises.

    Returns what kept the change from the journal; empty where it is there.
    """
    project.run_sql(_STATEMENTS)
    return note_by_hand(ports)
