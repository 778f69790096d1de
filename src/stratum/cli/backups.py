"""backup, backups, verify, drill, prune: making backups, proving them, and letting old ones go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stratum.cli.moments import AtOption, parse_time
from stratum.cli.session import (
    HERE,
    DryRunOption,
    IdentityOption,
    JsonOption,
    StackOption,
    carry_out,
    fail,
    opened,
    show_outcome,
    show_record,
)
from stratum.core.errors import ExitCode, StratumError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stratum.core.answers import BackupSummary
    from stratum.core.backup import Manifest
    from stratum.core.proof import Check, Proof, Verdict
    from stratum.ports import Outcome, Ports

BackupArgument = Annotated[str, typer.Argument(metavar="ID", help="A backup's id, or the last part of it.")]
OptionalBackup = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="A backup's id, or its last part; by default the newest.")
]


def backup(
    stack: StackOption = HERE,
    kind: Annotated[str, typer.Option(help="What to take: dump or base.")] = "dump",
    accept_fewer_rows: Annotated[
        bool, typer.Option("--accept-fewer-rows", help="Call it a backup although most rows are gone.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a backup now: a dump in one snapshot, counted and read back; or with --kind base the whole cluster."""
    from stratum.engine.take_base_backup import take_base_backup
    from stratum.engine.take_dump import take_dump

    with opened(stack, as_json=as_json, dry_run=dry_run, inside=True) as ports:
        if kind not in {"dump", "base"}:
            raise StratumError("invalid-argument", argument="--kind", problem=f"{kind!r} is not one of: dump, base")

        def verb() -> Outcome:
            return take_base_backup(ports) if kind == "base" else take_dump(ports, accept_fewer_rows=accept_fewer_rows)

        outcome = carry_out(ports, why="backup", dry_run=dry_run, verb=verb)
        show_outcome(outcome, as_json=as_json, done=_taken(outcome, kind))


def _taken(outcome: Outcome, kind: str) -> str:
    from stratum.core.sizes import render_bytes

    facts = outcome.facts
    size = render_bytes(float(str(facts.get("bytes", 0))))
    if kind == "base":
        return (
            f"base backup {facts.get('backup_id')}: the whole cluster in {size}; `stratum drill --at` proves a moment"
        )
    return f"backup {facts.get('backup_id')}: {facts.get('rows')} rows in {size}; `stratum drill` proves it"


def list_backups(stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """All backups, newest first, with what is known of each."""
    from stratum.adapters.records import to_dict
    from stratum.engine.list_backups import list_backups as run

    with opened(stack, as_json=as_json) as ports:
        found = run(ports)
        lines = [_row(backup) for backup in found.backups] or ["there is no backup yet"]
        lines += [f"{broken.id}  damaged: {broken.why}" for broken in found.broken]
        show_record(to_dict(found), "\n".join(lines), as_json=as_json)


def show(backup_id: BackupArgument, stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """One backup: databases, tables, rows, sizes and its proofs; of a base backup the seconds it reaches."""
    from stratum.adapters.records import to_dict
    from stratum.cli.base_backups import base_detail
    from stratum.engine.list_backups import show_backup
    from stratum.engine.report_coverage import show_base
    from stratum.engine.verify_base import find_base

    with opened(stack, as_json=as_json) as ports:
        base = find_base(backup_id, ports)
        if base is not None:
            answer = show_base(base.id, ports)
            show_record(to_dict(answer), base_detail(answer, ports), as_json=as_json)
            return
        found = show_backup(backup_id, ports)
        show_record(to_dict(found), _detail(found.manifest, found.proofs), as_json=as_json)


def pin(backup_id: BackupArgument, stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """Keep a backup whatever retention says."""
    _pin(backup_id, stack, pinned=True, as_json=as_json)


def unpin(backup_id: BackupArgument, stack: StackOption = HERE, as_json: JsonOption = False) -> None:
    """Let retention decide about a backup again."""
    _pin(backup_id, stack, pinned=False, as_json=as_json)


def _pin(backup_id: str, stack: Path, *, pinned: bool, as_json: bool) -> None:
    from stratum.adapters.records import to_dict
    from stratum.engine.list_backups import pin_backup

    with opened(stack, as_json=as_json) as ports:
        answer = pin_backup(backup_id, ports, pinned=pinned)
        state = "pinned" if answer.pinned else "not pinned"
        show_record(to_dict(answer), f"{answer.backup_id} is {state}", as_json=as_json)


def export(
    backup_id: BackupArgument,
    into: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A directory that does not exist yet.")],
    stack: StackOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Copy a backup, with its checksums and instructions, to be restored anywhere without Stratum."""
    from stratum.engine.list_backups import export_backup

    with opened(stack, as_json=as_json) as ports:
        if into.exists():
            raise StratumError("invalid-argument", argument="DIRECTORY", problem=f"{into} exists already")
        found = export_backup(backup_id, into, ports)
        record = {"format": 1, "backup_id": found, "directory": str(into)}
        show_record(record, f"{found} is in {into}; RESTORE.md there says how to use it", as_json=as_json)


def verify(
    backup_id: OptionalBackup = None,
    every: Annotated[bool, typer.Option("--all", help="Every backup.")] = False,
    identity: IdentityOption = None,
    stack: StackOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Read every stored byte of a backup and compare it with its manifest."""
    from stratum.adapters.records import to_dict
    from stratum.core.proof import overall

    with opened(stack, as_json=as_json, inside=True, identity=identity) as ports:
        with ports.lock.hold(why="verify"):
            proofs, wal = _verified(ports, backup_id, every=every)
        broken = (*ports.archive.broken(), *ports.wal.broken_bases()) if every else ()
        lines = [*(_proof_text(proof) for proof in proofs), *(f"{b.id}: damaged: {b.why}" for b in broken)]
        lines += [f"{check.name}: {check.verdict}: {check.reason}" for check in wal]
        record = {"format": 1, "proofs": [to_dict(p) for p in proofs], "broken": [to_dict(b) for b in broken],
                  "wal": [to_dict(check) for check in wal]}  # fmt: skip
        show_record(record, "\n".join(lines) or "there is no backup yet", as_json=as_json)
        if broken:
            fail(ExitCode.AT_RISK)
        _exit_with(overall((*wal, *(check for proof in proofs for check in proof.checks))))


def _verified(ports: Ports, backup_id: str | None, *, every: bool) -> tuple[list[Proof], tuple[Check, ...]]:
    """The proofs of what was asked for: one backup of either kind, or all of them and all WAL."""
    from stratum.engine.list_backups import choose_manifest
    from stratum.engine.verify_backup import verify_backup
    from stratum.engine.verify_base import find_base, verify_base, verify_wal

    if every:
        proofs = [verify_backup(manifest, ports) for manifest in ports.archive.manifests()]
        return [*proofs, *(verify_base(base, ports) for base in ports.wal.bases())], verify_wal(ports)
    base = find_base(backup_id, ports) if backup_id is not None else None
    return [verify_base(base, ports) if base else verify_backup(choose_manifest(backup_id, ports), ports)], ()


def drill(
    backup_id: OptionalBackup = None,
    at: AtOption = None,
    latest: Annotated[
        bool, typer.Option("--latest", help="Prove the last received write instead of a backup.")
    ] = False,
    identity: IdentityOption = None,
    stack: StackOption = HERE,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup, or go back to a moment, in a throwaway server and look at what came back: the proof."""
    from stratum.adapters.records import to_dict
    from stratum.core.volume_recovery import Moment
    from stratum.engine.list_backups import choose_manifest
    from stratum.engine.recover_moment import drill_moment
    from stratum.engine.run_drill import run_drill

    with opened(stack, as_json=as_json, dry_run=dry_run, inside=True, identity=identity) as ports:
        if sum((backup_id is not None, at is not None, latest)) > 1:
            raise StratumError("invalid-argument", argument="--at", problem="name one: a backup, --at or --latest")

        def verb() -> Outcome:
            has_dump = backup_id is not None or ports.archive.manifests()
            if at is None and not latest and has_dump:
                return run_drill(choose_manifest(backup_id, ports), ports)
            return drill_moment(ports, Moment(at=parse_time(at) if at else None))

        outcome = carry_out(ports, why="drill", dry_run=dry_run, verb=verb)
        if outcome.end is None:
            show_outcome(outcome, as_json=as_json, done="")
            return
        proof = next(p for p in reversed(ports.archive.proofs()) if p.id == outcome.facts["proof_id"])
        show_record(to_dict(proof), _proof_text(proof), as_json=as_json)
        _exit_with(proof.verdict)


def prune(stack: StackOption = HERE, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Apply retention: remove what no rule keeps. The newest proven backup always stays."""
    from stratum.engine.prune import prune as run

    with opened(stack, as_json=as_json, dry_run=dry_run, inside=True) as ports:
        outcome = carry_out(ports, why="prune", dry_run=dry_run, verb=lambda: run(ports))
        show_outcome(outcome, as_json=as_json, done=f"done: {outcome.plan.headline}")


def _exit_with(verdict: Verdict) -> None:
    from stratum.core.proof import Verdict

    if verdict is Verdict.FAILED:
        fail(ExitCode.AT_RISK)
    if verdict is Verdict.COULD_NOT_VERIFY:
        fail(ExitCode.COULD_NOT_VERIFY)


def _row(backup: BackupSummary) -> str:
    from stratum.core.sizes import render_bytes

    verdict = backup.verdict.value if backup.verdict else "not drilled"
    pin = "  pinned" if backup.pinned else ""
    taken = f"{backup.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    held = "   whole cluster" if backup.kind == "base" else f"{backup.rows:>10} rows"
    return f"{backup.id}  {taken}  {held}  {render_bytes(backup.bytes):>10}  {verdict}{pin}"


def _detail(manifest: Manifest, proofs: Sequence[Proof]) -> str:
    from stratum.core.sizes import render_bytes

    lines = [
        f"{manifest.id}: {manifest.kind} of {manifest.stack}, PostgreSQL {manifest.cluster.major}",
        f"recovery point  {manifest.taken_at:%Y-%m-%d %H:%M:%S.%f} UTC",
        f"size            {render_bytes(manifest.bytes)} in {len(manifest.files)} files",
        f"digest          {manifest.digest_mode} ({manifest.digest_algorithm})",
    ]
    for database in manifest.databases:
        facts = database.facts
        lines.append(f"database {facts.properties.name}: {facts.rows} rows, {render_bytes(facts.size_bytes)}")
        lines += [f"  {table.rows:>10}  {table.qualified}" for table in facts.tables]
        lines += [f"  migrations: {head.tool} at {head.head}" for head in facts.migrations]
    for files in manifest.file_sets:
        meanwhile = "; something wrote to it while it was read" if files.changed else ""
        size = f"{files.contents.entries} entries, {render_bytes(files.contents.bytes)}"
        lines.append(f"files {files.name}: {size}{meanwhile}")
    lines += [f"proof {p.finished_at:%Y-%m-%d %H:%M} UTC: {p.method} {p.verdict}" for p in proofs]
    return "\n".join(lines)


def _proof_text(proof: Proof) -> str:
    """A proof for a person. A verification never prints `proven` as its headline: only a drill proves."""
    from stratum.core.proof import Method, Verdict

    if proof.method is Method.VERIFY and proof.verdict is Verdict.PROVEN:
        headline = f"{proof.backup_id}: every stored byte is as it was written (only a drill proves that it restores)"
    elif proof.restore_seconds is not None:
        headline = f"{proof.backup_id}: {proof.verdict}; {proof.rows} rows restored in {proof.restore_seconds:.1f} s"
    else:
        headline = f"{proof.backup_id}: {proof.verdict}"
    return "\n".join([headline, *(f"  {check.verdict:>16}  {check.name}: {check.reason}" for check in proof.checks)])
