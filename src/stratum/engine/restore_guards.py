"""What has to hold before a restore: the right cluster and version, room, and nothing that holds the name."""

from __future__ import annotations

from stratum.core.backup import DumpedDatabase, Manifest
from stratum.core.guard import GuardResult
from stratum.core.identity import Likeness
from stratum.core.proof import listed
from stratum.core.sizes import render_bytes
from stratum.engine.take_dump import space_guard
from stratum.engine.tripwire import observe_sighting
from stratum.ports import Ports, Role


def restore_guards(
    ports: Ports, manifest: Manifest, dumped: DumpedDatabase, *, into: str | None, rebuild: bool
) -> tuple[GuardResult, ...]:
    """Every condition of this restore, looked at now; reads only.

    `into` names the new database of a restore that replaces nothing; with `rebuild` there is no cluster to
    ask anything of.
    """
    size = dumped.facts.size_bytes
    space = space_guard(what="the restored database", needed=int(size * 1.1), free=ports.runtime.free_bytes(),
                        where="the data directory")  # fmt: skip
    guards = [
        _lineage_guard(ports, manifest, into=into is not None),
        _version_guard(ports, manifest, rebuild=rebuild),
    ]
    if not ports.stack.external:
        guards.append(space)
    if not rebuild:
        guards.append(_foreign_guard(ports, into=into is not None))
        guards.append(_obstacle_guard(ports, dumped.facts.properties.name, into=into is not None))
        if into is not None:
            guards.append(_name_guard(ports, into))
    return tuple(guards)


def own_server_notes(ports: Ports, manifest: Manifest, dumped: DumpedDatabase) -> tuple[str, ...]:
    """What cannot be guarded on a server of the user's own, for the person who decides."""
    if not ports.stack.external:
        return ()
    size = render_bytes(int(dumped.facts.size_bytes * 1.1))
    notes = [f"how much room the server has cannot be seen from here: the restored database needs about {size}"]
    if missing := missing_roles(ports, manifest):
        notes.append(
            f"roles the backup knows and the server does not: {listed(missing)}; what belongs to them cannot be "
            "restored until whoever administers the server makes them (globals.sql of the backup says how)"
        )
    return tuple(notes)


def missing_roles(ports: Ports, manifest: Manifest) -> tuple[str, ...]:
    """Roles of the backup that the running server does not have."""
    there = {role.name for role in ports.runtime.server(Role.MAINTENANCE).database.roles()}
    return tuple(role.name for role in manifest.roles if role.name not in there)


def _lineage_guard(ports: Ports, manifest: Manifest, *, into: bool) -> GuardResult:
    lineage = ports.archive.lineage()
    own = manifest.cluster.system_identifier in lineage
    return GuardResult(
        name="right-cluster",
        holds=own or into,
        statement=f"the backup is of cluster {manifest.cluster.system_identifier}",
        code="wrong-cluster",
        details={
            "backup": manifest.id,
            "backup_cluster": manifest.cluster.system_identifier,
            "lineage": ", ".join(lineage) or "none recorded",
        },
    )


def _version_guard(ports: Ports, manifest: Manifest, *, rebuild: bool) -> GuardResult:
    """A new cluster is made by the programs at hand, whatever major the damaged one had."""
    tools = int(ports.runtime.tools_version().split(".")[0])
    server = tools if rebuild else ports.runtime.observe().major or tools
    return GuardResult(
        name="right-version",
        holds=server >= manifest.cluster.major,
        statement=f"the backup is of PostgreSQL {manifest.cluster.major}, the server is {server}",
        code="wrong-version",
        details={
            "backup": manifest.id,
            "backup_major": str(manifest.cluster.major),
            "server_major": str(server),
        },
    )


def _foreign_guard(ports: Ports, *, into: bool) -> GuardResult:
    """A stranger's cluster is not a place to restore into; an older, emptied or new one of ours is."""
    sighting = observe_sighting(ports)
    observed = sighting.observed.system_identifier if sighting.observed else "none"
    manifests = ports.archive.manifests()
    return GuardResult(
        name="not-foreign",
        holds=into or sighting.likeness is not Likeness.FOREIGN,
        statement=f"the running cluster is {observed} ({sighting.likeness})",
        code="cluster-foreign",
        details={
            "observed": observed,
            "recorded": sighting.recorded.system_identifier if sighting.recorded else "none",
            "backups": str(len(manifests)),
            "newest": f"{manifests[-1].taken_at:%Y-%m-%d %H:%M:%S} UTC" if manifests else "never",
        },
    )


def _obstacle_guard(ports: Ports, database: str, *, into: bool) -> GuardResult:
    obstacles = () if into else ports.runtime.server(Role.MAINTENANCE).database.swap_obstacles(database)
    return GuardResult(
        name="can-be-swapped",
        holds=not obstacles,
        statement=listed(obstacles) or "nothing holds the database's name",
        code="swap-obstacle",
        details={"database": database, "obstacles": listed(obstacles)},
    )


def _name_guard(ports: Ports, into: str) -> GuardResult:
    taken = into in ports.runtime.server(Role.MAINTENANCE).database.database_oids()
    return GuardResult(name="name-free", holds=not taken, statement=f"{into} is {'taken' if taken else 'free'}",
                       code="name-taken", details={"database": into})  # fmt: skip
