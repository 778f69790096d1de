"""How a base backup is shown to a person: the seconds it reaches, its size and its proofs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stratum.core.coverage import BaseAnswer
    from stratum.ports import Ports


def base_detail(answer: BaseAnswer, ports: Ports) -> str:
    """All of one base backup; reads the names of WAL files for what it reaches."""
    from stratum.core.sizes import render_bytes
    from stratum.core.wal import render_lsn

    base = answer.manifest
    lines = [
        f"{base.id}: base backup of {base.stack}, PostgreSQL {base.cluster.major}",
        f"reaches         {_reach(answer, ports)}",
        f"size            {render_bytes(base.bytes)} in {len(base.files)} files, of {render_bytes(base.cluster_bytes)}",
        f"WAL in it       {render_lsn(base.start_lsn)} to {render_lsn(base.stop_lsn)}, timeline {base.start_timeline}",
        f"databases       {', '.join(base.databases)}",
    ]
    lines += [f"tablespace {space.oid}: was in {space.location}" for space in base.tablespaces]
    lines += ["pinned: retention keeps it"] if answer.pinned else []
    lines += [f"proof {p.finished_at:%Y-%m-%d %H:%M} UTC: {p.method} {p.verdict}" for p in answer.proofs]
    return "\n".join(lines)


def _reach(answer: BaseAnswer, ports: Ports) -> str:
    from stratum.core.wal_reach import furthest_reached

    base = answer.manifest
    furthest = furthest_reached(base, ports.wal.inventory(base.cluster.system_identifier))
    begins = f"{base.finished_at:%Y-%m-%d %H:%M:%S} UTC"
    if furthest is None or furthest <= base.finished_at:
        return f"{begins} and no other moment: no WAL follows it"
    return f"any second from {begins} to {furthest:%Y-%m-%d %H:%M:%S} UTC"
