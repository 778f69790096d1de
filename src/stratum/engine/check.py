"""check: the checklist, each line looked at on its own so that one that fails hides no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from stratum.core.backup import Manifest
from stratum.core.checklist import LINES, Line, LineState, Place
from stratum.core.errors import StratumError
from stratum.core.identity import Likeness
from stratum.core.plan import JournalKind
from stratum.core.proof import Proof, Verdict, listed, newest_proven, standing_proofs
from stratum.core.services import ServicePhase, ServiceState
from stratum.core.sizes import render_age, render_bytes
from stratum.engine.check_copies import look_at_copies, look_at_scrub, survives_elsewhere
from stratum.engine.check_receiving import look_at_continuity, look_at_receiving, look_at_slot_lag, look_at_zero_loss
from stratum.engine.deploy import project_of
from stratum.engine.run_drill import bytes_for_drill
from stratum.engine.run_plan import describe_unfinished, observe_cut
from stratum.engine.tripwire import observe_sighting
from stratum.ports import Ports, Role, RunState

_RECENT, _WEEK = timedelta(hours=24), timedelta(days=7)
_STARTING = timedelta(seconds=30)
_CERTIFICATE = timedelta(days=21)
_CLOCK_SECONDS = 5.0
_DESTRUCTIVE = {"destroy", "destroy-volume", "identity-accept"}

Look = Callable[[Ports], Line]


def run_check(ports: Ports) -> tuple[Line, ...]:
    """Look at every line that can be seen from here. Changes nothing; what cannot be looked at is not green."""
    return tuple(_looked_at(name, look, ports) for name, look in _LOOKS.items() if _is_seen_from_here(name, ports))


def look_again(names: Sequence[str], ports: Ports) -> tuple[Line, ...]:
    """The same for a few lines that are cheap to look at and should not wait for the rest."""
    return tuple(_looked_at(name, _LOOKS[name], ports) for name in names)


def _is_seen_from_here(name: str, ports: Ports) -> bool:
    kind = LINES[name]
    if name == ("volume-held" if ports.stack.external else "own-server"):
        return False
    if ports.project is not None:
        return kind.place is Place.HOST
    if ports.inside:
        return kind.place is Place.INSIDE
    return not kind.docker_only


def mend(ports: Ports) -> None:
    """Mend what can be mended without touching data: the mode of .env, .gitignore, the holder of the volume."""
    project = ports.project
    if project is not None and not project.external and project.look()[1].exists:
        project.keep_volume()
    state = ports.files.observe()
    if state.env_mode is not None and state.env_mode & 0o077:
        ports.files.protect_env()
    if state.env_ignored_by_git is False:
        ports.files.ignore_env()


def _looked_at(name: str, look: Look, ports: Ports) -> Line:
    try:
        line = look(ports)
    except StratumError as error:
        line = Line(name=name, state=LineState.UNKNOWN, details={"why": error.message})
    if line.state is LineState.RED and name in ports.stack.accepted_risks:
        return replace(line, state=LineState.ACCEPTED)
    return line


def _line(name: str, *, holds: bool, **details: object) -> Line:
    shown = {key: str(value) for key, value in details.items()}
    return Line(name=name, state=LineState.HOLDS if holds else LineState.RED, details=shown)


def _no_backup(name: str) -> Line:
    return Line(name=name, state=LineState.RED, no_backup=True)


def _archive(ports: Ports) -> Line:
    try:
        ports.archive.check_writable()
    except StratumError as error:
        return _line("archive", holds=False, problem=error.message)
    return _line("archive", holds=True)


def _data_directory(ports: Ports) -> Line:
    state = ports.runtime.observe()
    return _line("data-directory", holds=state.state is RunState.RUNNING, detail=state.detail)


def _volume_held(ports: Ports) -> Line:
    _, volume = project_of(ports).look()
    problem = "" if volume.held else "held by no running container: it can be removed or pruned"
    if not volume.exists or volume.empty:
        problem = "empty" if volume.exists else "gone"
    return _line("volume-held", holds=not problem, volume=volume.name, problem=problem)


def _own_server(ports: Ports) -> Line:
    rights = ports.runtime.server(Role.MAINTENANCE).database.observe_rights(ports.stack.databases)
    replication = "yes" if rights.may_replicate else "no, so there is no restore to any moment"
    return _line("own-server", holds=not rights.missing, missing=listed(rights.missing), replication=replication)


def _other_volumes(ports: Ports) -> Line:
    names = project_of(ports).other_volumes(ports.stack.file_sets)
    return _line("other-volumes", holds=not names, volumes=listed(names))


def _docker(ports: Ports) -> Line:
    try:
        found = project_of(ports).check()
    except StratumError as error:
        return _line("docker", holds=False, problem=error.message)
    return _line("docker", holds=True, engine=found.engine, compose=found.compose)


def _identity(ports: Ports) -> Line:
    sighting = observe_sighting(ports)
    identifier = sighting.recorded.system_identifier if sighting.recorded else "none"
    return _line(
        "identity", holds=sighting.likeness is Likeness.SAME, identifier=identifier, likeness=sighting.likeness
    )


def _recent_backup(ports: Ports) -> Line:
    newest = _newest(ports)
    if newest is None:
        return _no_backup("recent-backup")
    age = ports.clock.now() - newest.taken_at
    return _line("recent-backup", holds=age < _RECENT, age=render_age(age))


def _backup_size(ports: Ports) -> Line:
    newest = _newest(ports)
    if newest is None:
        return _no_backup("backup-size")
    holds = newest.rows > 0 and newest.bytes > 0
    return _line("backup-size", holds=holds, rows=newest.rows, bytes=render_bytes(newest.bytes))


def _backup_proven(ports: Ports) -> Line:
    manifests, proofs = ports.archive.manifests(), ports.archive.proofs()
    proven = newest_proven(manifests, proofs)
    proof = standing_proofs(proofs).get(proven.id) if proven else None
    failed = _failed_since(proofs, proof)
    if proof is None or failed:
        state = f"{failed.method} of {failed.backup_id} says {failed.verdict}" if failed else "none is proven"
        return _line("backup-proven", holds=False, state=state)
    age = ports.clock.now() - proof.finished_at
    said = f"the last proof is {render_age(age)} old"
    return _line("backup-proven", holds=age < _WEEK, backup=proof.backup_id, age=render_age(age), state=said)


def _failed_since(proofs: tuple[Proof, ...], proof: Proof | None) -> Proof | None:
    newer = [
        p for p in proofs if p.verdict is not Verdict.PROVEN and (proof is None or p.finished_at > proof.finished_at)
    ]
    return newer[-1] if newer else None


def _dumps_readable(ports: Ports) -> Line:
    newest, tools = _newest(ports), ports.runtime.offline_tools()
    if newest is None:
        return _no_backup("dumps-readable")
    try:
        with ports.archive.opened(newest.id) as path:
            entries = sum(len(tools.contents(path / database.path)) for database in newest.databases)
    except StratumError as error:
        return _line("dumps-readable", holds=False, problem=error.message)
    return _line("dumps-readable", holds=True, entries=entries)


def _broken_backups(ports: Ports) -> Line:
    failed = {i for i, proof in standing_proofs(ports.archive.proofs()).items() if proof.verdict is Verdict.FAILED}
    there = {manifest.id for manifest in ports.archive.manifests()}
    names = [broken.id for broken in ports.archive.broken()] + sorted(failed & there)
    return _line("broken-backups", holds=not names, names=listed(names))


def _no_destructive_command(ports: Ports) -> Line:
    since = ports.clock.now() - _WEEK
    run = [
        f"{entry.verb} ({entry.at:%Y-%m-%d %H:%M} UTC)"
        for entry in ports.journal.entries()
        if entry.kind is JournalKind.PLAN_STARTED and entry.verb in _DESTRUCTIVE and entry.at > since
    ]
    return _line("no-destructive-command", holds=not run, commands=listed(run))


def _disk_space(ports: Ports) -> Line:
    newest = _newest(ports)
    needed = bytes_for_drill(newest) if newest else 0
    data_free, archive_free = ports.runtime.free_bytes(), ports.archive.free_bytes()
    enough = data_free > needed and archive_free > 2 * (newest.bytes if newest else 0)
    return _line("disk-space", holds=enough, needed=render_bytes(needed), data_free=render_bytes(data_free),
                 archive_free=render_bytes(archive_free))  # fmt: skip


def _off_the_disk(ports: Ports) -> Line:
    domain = ports.archive.failure_domain()
    found = survives_elsewhere(ports)
    name = found.failure_domain if found and domain.name not in {"other-disk", "other-host"} else domain.name
    return _line("off-the-disk", holds=name in {"other-disk", "other-host"}, domain=name)


def _env_private(ports: Ports) -> Line:
    mode = ports.files.observe().env_mode
    return _line(
        "env-private", holds=mode is not None and not mode & 0o077, mode="none" if mode is None else f"{mode:o}"
    )


def _env_ignored(ports: Ports) -> Line:
    return _line("env-ignored", holds=ports.files.observe().env_ignored_by_git is not False)


def _secrets(ports: Ports) -> Line:
    weak = ports.files.observe().weak_secrets
    return _line("secrets", holds=not weak, names=", ".join(weak))


def _clock(ports: Ports) -> Line:
    server = ports.runtime.server(Role.MAINTENANCE).database.observe_health().clock_at
    apart = abs((server - ports.clock.now()).total_seconds())
    return _line("clock", holds=apart < _CLOCK_SECONDS, seconds=f"{max(apart, 0.1):.1f}")


def _checksums(ports: Ports) -> Line:
    return _line("checksums", holds=ports.runtime.server(Role.MAINTENANCE).database.observe_health().data_checksums)


def _checksum_failures(ports: Ports) -> Line:
    failures = ports.runtime.server(Role.MAINTENANCE).database.observe_health().checksum_failures
    return _line("checksum-failures", holds=failures == 0, count=failures)


def _certificate(ports: Ports) -> Line:
    found = ports.files.observe()
    ends = found.certificate_ends_at
    holds = not found.certificate_problem and (ends is None or ends - ports.clock.now() >= _CERTIFICATE)
    said = found.certificate_problem or (f"{ends:%Y-%m-%d}" if ends else "-")
    return _line("certificate", holds=holds, days=_CERTIFICATE.days, ends=said)


def _notifications(ports: Ports) -> Line:
    urls = ports.stack.notify.urls
    return _line("notifications", holds=bool(urls), count=len(urls))


def look_at_services(ports: Ports) -> Line:
    """The line `services`. Raises `service-not-serving` while those that do not answer were only just started."""
    found = ports.services.observe(ask=True)
    down = [state.name for state in found if not state.serves]
    begun = [state for state in found if state.name in down and _was_just_started(state, ports)]
    if down and len(begun) == len(down):
        raise StratumError(
            "service-not-serving",
            service=listed(down),
            said="it does not answer",
            log=f"it was started at {begun[0].since:%H:%M:%S} UTC",
        )
    said = listed(down or [state.name for state in found]) or "there is no console"
    return _line("services", holds=not down, services=said)


def _was_just_started(state: ServiceState, ports: Ports) -> bool:
    """Migrations come before the first answer: until then nobody can say whether it will serve."""
    running = state.phase is ServicePhase.RUNNING
    return running and state.since is not None and ports.clock.now() - state.since < _STARTING


def _versions(ports: Ports) -> Line:
    tools = ports.runtime.tools_version()
    server = ports.runtime.server(Role.MAINTENANCE).database.server_version_num() // 10000
    return _line("versions", holds=int(tools.split(".")[0]) >= server, tools=tools, server=server)


def _no_cut_plan(ports: Ports) -> Line:
    cut = observe_cut(ports)
    return _line("no-cut-plan", holds=not cut, plans=listed(describe_unfinished(progress) for progress in cut))


def _newest(ports: Ports) -> Manifest | None:
    manifests = ports.archive.manifests()
    return manifests[-1] if manifests else None


_LOOKS: dict[str, Look] = {
    "archive": _archive,
    "data-directory": _data_directory,
    "volume-held": _volume_held,
    "own-server": _own_server,
    "other-volumes": _other_volumes,
    "docker": _docker,
    "identity": _identity,
    "recent-backup": _recent_backup,
    "backup-size": _backup_size,
    "backup-proven": _backup_proven,
    "dumps-readable": _dumps_readable,
    "broken-backups": _broken_backups,
    "no-destructive-command": _no_destructive_command,
    "disk-space": _disk_space,
    "off-the-disk": _off_the_disk,
    "copies": look_at_copies,
    "archive-reread": look_at_scrub,
    "env-private": _env_private,
    "env-ignored": _env_ignored,
    "secrets": _secrets,
    "clock": _clock,
    "checksums": _checksums,
    "checksum-failures": _checksum_failures,
    "wal-received": look_at_receiving,
    "wal-continuous": look_at_continuity,
    "slot-lag": look_at_slot_lag,
    "zero-loss-degraded": look_at_zero_loss,
    "certificate": _certificate,
    "notifications": _notifications,
    "services": look_at_services,
    "versions": _versions,
    "no-cut-plan": _no_cut_plan,
}
