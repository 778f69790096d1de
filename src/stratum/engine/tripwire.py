"""The tripwire: refuses to work on a cluster that is not the one recorded, and says which look-alike it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stratum.core.errors import StratumError
from stratum.core.identity import Identity, Likeness, compare_identity, recreated_databases
from stratum.ports import Ports, Role, RunState

_CODES = {
    Likeness.ABSENT: "cluster-absent",
    Likeness.FRESH: "cluster-fresh",
    Likeness.FOREIGN: "cluster-foreign",
    Likeness.OLDER: "cluster-older",
    Likeness.RECREATED: "cluster-recreated",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """What was recorded, what stands there now, and how the two relate."""

    likeness: Likeness
    recorded: Identity | None
    observed: Identity | None


def observe_sighting(ports: Ports) -> Sighting:
    """Compare the running cluster with the record; reads only. Raises `not-running` for a stopped one."""
    # What was noted is read first: the canary goes on beating, and what it notes later is no older copy's doing.
    recorded, seen = ports.archive.recorded_identity(), ports.archive.seen()
    observed = None
    if ports.runtime.observe().state not in {RunState.ABSENT, RunState.DAMAGED}:
        database = ports.runtime.server(Role.MAINTENANCE).database
        observed = database.observe_identity(ports.stack.databases)
        if recorded is not None and observed.system_identifier != recorded.system_identifier:
            # A stranger's data may stand in databases of any name.
            observed = database.observe_identity(tuple(database.database_oids()))
    likeness = compare_identity(recorded=recorded, observed=observed, seen=seen)
    return Sighting(likeness=likeness, recorded=recorded, observed=observed)


def refuse_look_alike(ports: Ports) -> Sighting:
    """Raise the look-alike's own error unless the cluster is the recorded one, or none was recorded yet."""
    sighting = observe_sighting(ports)
    if sighting.likeness in {Likeness.SAME, Likeness.UNRECORDED}:
        return sighting
    raise look_alike_error(sighting, ports)


def look_alike_error(sighting: Sighting, ports: Ports) -> StratumError:
    """The refusal for this look-alike, with the backups that can bring the recorded cluster back."""
    recorded, observed = sighting.recorded, sighting.observed
    manifests = ports.archive.manifests()
    newest = f"{manifests[-1].taken_at:%Y-%m-%d %H:%M:%S} UTC" if manifests else "never"
    details: dict[str, object] = {"backups": len(manifests), "newest": newest}
    if recorded is not None:
        details |= {"recorded": recorded.system_identifier, "recorded_lsn": render_lsn(_farthest(recorded, ports))}
    if observed is not None:
        details |= {"observed": observed.system_identifier, "observed_lsn": render_lsn(observed.flushed_lsn)}
    if recorded is not None and observed is not None:
        details |= {"databases": ", ".join(recreated_databases(recorded=recorded, observed=observed))}
    return StratumError(_CODES[sighting.likeness], **details)


def _farthest(recorded: Identity, ports: Ports) -> int:
    """The highest position the recorded cluster was ever seen at."""
    seen = ports.archive.seen()
    same = seen is not None and (seen.system_identifier, seen.timeline) == (
        recorded.system_identifier,
        recorded.timeline,
    )
    return max(recorded.flushed_lsn, seen.flushed_lsn) if seen is not None and same else recorded.flushed_lsn


def record_identity(ports: Ports) -> Identity:
    """Write down the running cluster as the one this stack has."""
    observed = ports.runtime.server(Role.MAINTENANCE).database.observe_identity(ports.stack.databases)
    image, libc_version = ports.runtime.image()
    identity = replace(observed, image=image, libc_version=libc_version)
    ports.archive.record_identity(identity)
    return identity


def settle_identity(ports: Ports) -> bool:
    """Refuse a look-alike, record the cluster, and make the console's database where it is missing.

    Says whether the console's database was made; whoever was signed in then was a user of one that is gone.
    Raises the tripwire's errors.
    """
    refuse_look_alike(ports)
    record_identity(ports)
    made = ports.runtime.prepare_console()
    if made:
        ports.archive.raise_token_epoch(because=f"console database made at {ports.clock.now():%Y-%m-%dT%H:%M:%S}")
        record_identity(ports)
    return made


def record_identity_of(ports: Ports, *, cluster: object) -> None:
    """Record the running cluster if it is still the one with this system identifier, and no older copy of it.

    For a step that may run long after the one it follows: a plan that a crash cut is finished by whatever
    command comes next, and must not vouch for a look-alike that was put there in the meantime.
    """
    if ports.runtime.observe().state is RunState.RUNNING:
        sighting = observe_sighting(ports)
        observed = sighting.observed
        if observed and observed.system_identifier == cluster and sighting.likeness is not Likeness.OLDER:
            record_identity(ports)
            return
    ports.progress.say(f"cluster {cluster} does not stand here any more: the record is left as it is")


def render_lsn(lsn: int) -> str:
    """As PostgreSQL writes it: two hexadecimal halves."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
