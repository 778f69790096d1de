"""status: the sentence, and how the database, the archive and the plans stand; reads only."""

from __future__ import annotations

from stratum.core.agent_status import Status
from stratum.core.protection import describe_protection
from stratum.engine.run_plan import describe_unfinished, observe_cut
from stratum.ports import Ports

__all__ = ["Status", "report_status"]


def report_status(ports: Ports) -> Status:
    """Say how things stand without changing or repairing anything. Raises `archive-missing`."""
    state = ports.runtime.observe()
    manifests = ports.archive.manifests()
    recorded = ports.archive.recorded_identity()
    receiver = ports.wal.receiver()
    return Status(
        stack=ports.stack.name,
        protection=describe_protection(
            manifests,
            ports.archive.proofs(),
            failure_domain=ports.archive.failure_domain().name,
            now=ports.clock.now(),
            receiver=receiver,
            copies=tuple(state for state in ports.archive.copies() if state.name in ports.stack.copies),
            bases=frozenset(base.id for base in ports.wal.bases()),
        ),
        database=state.state.value,
        database_detail=state.detail,
        port=state.port,
        cluster=recorded.system_identifier if recorded else None,
        backups=len(manifests),
        broken_backups=tuple(broken.id for broken in ports.archive.broken()),
        foreign_files=ports.archive.foreign(),
        cut_plans=tuple(map(describe_unfinished, observe_cut(ports))),
        services=ports.services.observe(ask=False),
        receiver=receiver,
    )
