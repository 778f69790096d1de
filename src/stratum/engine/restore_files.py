"""restore --files: unpack a set beside, compare it with the backup, ask, and put it in place; the old one is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stratum.core.backup import Manifest
from stratum.core.errors import StratumError
from stratum.core.file_sets import RESTORE, UNDO_RESTORE, FileContents, FileSetFacts
from stratum.core.plan import Effect, Facts, Plan, PlanEnd, Step, observe_progress
from stratum.core.proof import Verdict
from stratum.core.recovery import older_proven
from stratum.core.sizes import render_age, render_bytes
from stratum.engine.run_drill import find_manifest
from stratum.engine.run_plan import new_plan_id, short
from stratum.engine.take_dump import FILES_DIRECTORY, refuse_cut_files, space_guard
from stratum.engine.verify_backup import check_stored_files
from stratum.ports import Action, Outcome, Ports, Prepared

VERB, UNDO = RESTORE, UNDO_RESTORE
_SPARE_BYTES = 64 << 20
_UNPACK = Step(name="unpack", summary="unpack beside what is in place, under a hidden name, and compare",
               effect=Effect.ADDS, way_back="what was unpacked is removed")  # fmt: skip
_SWAP = Step(name="swap", summary="put it in place entry by entry, and keep what was there under a hidden name",
             effect=Effect.SETS_ASIDE, way_back="what was in place is put back", asks=True)  # fmt: skip


def restore_files(ports: Ports, name: str, *, backup_id: str | None, at: datetime | None = None) -> Outcome:
    """Bring one file set back from a backup: by its id, the newest at a time, or the newest that holds the set.

    Nothing is overwritten: what is in place is kept for `undo_files`. No database is touched. Raises `unknown-files`,
    `files-away`, `files-not-in-backup`, `no-backup-yet`, `unknown-backup`, `backup-damaged`, `disk-too-small`,
    `files-damaged`, `files-cut` and `files-not-writable`; the files in place are as they were after any of them.
    """
    sets = ports.file_sets
    sets.refuse_away()
    refuse_cut_files(ports, (name,))
    free = sets.free_bytes(name)
    manifest = _choose(ports, name, backup_id=backup_id, at=at)
    facts = find_file_set(manifest, name)
    _refuse_damaged(manifest, ports)
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    held = facts.contents
    plan = Plan(
        id=plan_id,
        verb=VERB,
        stack=ports.stack.name,
        created_at=now,
        headline=f"restore the file set {name} from {manifest.id}, taken {render_age(now - manifest.taken_at)} ago",
        steps=(_UNPACK, _SWAP),
        params={"files": name, "backup_id": manifest.id, "label": f"new-{short(plan_id)}",
                "kept": f"before-{short(plan_id)}"},
        guards=(space_guard(what=f"the file set {name}", needed=held.bytes + _SPARE_BYTES, free=free,
                            where="the disk they lie on"),),
        notes=(
            f"the backup holds {held.entries} entries, {render_bytes(held.bytes)}",
            *(("something wrote to the directory while it was packed",) if facts.changed else ()),
            "an application that runs sees the change as it happens; stop it first where it must not",
            f"what is in place is kept; `stratum restore --files {name} --undo` goes back to it",
        ),
        forward_from="swap",
        confirmations=1,
    )  # fmt: skip
    return ports.run(Prepared(plan=plan, actions=files_actions(plan, ports)), ports)


def undo_files(ports: Ports, name: str) -> Outcome:
    """Put back what the last restore of this set replaced, and keep what is in place now. Raises `nothing-to-undo`."""
    ports.file_sets.refuse_away()
    refuse_cut_files(ports, (name,))
    label = _last_kept(ports, name)
    now = ports.clock.now()
    plan_id = new_plan_id(now)
    plan = Plan(
        id=plan_id,
        verb=UNDO,
        stack=ports.stack.name,
        created_at=now,
        headline=f"put the file set {name} back as it was before it was last replaced",
        steps=(_SWAP,),
        params={"files": name, "label": label, "kept": f"before-{short(plan_id)}"},
        notes=("what is in place now is kept as well: the same command again comes back to it",),
        forward_from="swap",
        confirmations=1,
    )
    return ports.run(Prepared(plan=plan, actions=files_actions(plan, ports)), ports)


def files_actions(plan: Plan, ports: Ports) -> tuple[Action, ...]:
    """What the steps of both plans do."""
    name, label, kept = (str(plan.params[key]) for key in ("files", "label", "kept"))
    sets = ports.file_sets

    def unpack(_: Facts) -> Facts:
        manifest = find_manifest(str(plan.params["backup_id"]), ports)
        facts = find_file_set(manifest, name)
        ports.progress.say(f"unpacking the file set {name} of {manifest.id}")
        with ports.archive.opened(manifest.id, FILES_DIRECTORY) as plain:
            found = sets.unpack(name, plain / facts.path, label)
        if found != facts.contents:
            problem = f"{found.entries} entries, {found.bytes} bytes came back instead of {_said(facts.contents)}"
            raise StratumError("files-damaged", file=Path(facts.path).name, problem=problem)
        return {"entries": found.entries, "bytes": found.bytes}

    # A set that was taken out of stratum.toml since a crash must not stand in the way of every command from then on.
    is_known = name in ports.stack.file_sets

    def discard(_: Facts) -> None:
        if is_known:
            sets.discard(name, label)
            _say_what_came_meanwhile(ports, name)

    def swap_back(_: Facts) -> None:
        if is_known:
            sets.swap_back(name, label, keep=kept)

    actions = (
        Action(name="unpack", run=unpack, undo=discard),
        Action(
            name="swap",
            run=lambda _: sets.swap(name, label, keep=kept),
            undo=swap_back,
            known=lambda facts: _known(ports, name, facts),
            took_effect=lambda _: is_known and sets.is_swapped(name, label, keep=kept),
        ),
    )
    planned = {step.name for step in plan.steps}
    return tuple(action for action in actions if action.name in planned)


def _say_what_came_meanwhile(ports: Ports, name: str) -> None:
    """It is in no place anybody looks at, and in no backup."""
    for path in ports.file_sets.written_meanwhile(name):
        ports.progress.say(f"what was written to {name} while a restore of it was cut short is kept in {path}")


def _known(ports: Ports, name: str, facts: Facts) -> tuple[str, ...]:
    """What a person is shown before anything is replaced."""
    live = ports.file_sets.contents(name)
    came = (f"what came back: {facts['entries']} entries, {facts['bytes']} bytes",) if "entries" in facts else ()
    return (*came, f"in place now: {_said(live)}")


def _said(contents: FileContents) -> str:
    return f"{contents.entries} entries, {contents.bytes} bytes"


def _choose(ports: Ports, name: str, *, backup_id: str | None, at: datetime | None) -> Manifest:
    if backup_id is not None:
        return find_manifest(backup_id, ports)
    manifests = ports.archive.manifests()
    if not manifests:
        raise StratumError("no-backup-yet")
    holding = [
        m for m in manifests if any(one.name == name for one in m.file_sets) and (at is None or m.taken_at <= at)
    ]
    if not holding:
        known = {one.name for one in manifests[-1].file_sets}
        raise StratumError("files-not-in-backup", backup=manifests[-1].id, name=name,
                           known=", ".join(sorted(known)) or "(none)")  # fmt: skip
    return holding[-1]


def find_file_set(manifest: Manifest, name: str) -> FileSetFacts:
    """One file set of a backup by its name. Raises `files-not-in-backup`."""
    for found in manifest.file_sets:
        if found.name == name:
            return found
    known = ", ".join(found.name for found in manifest.file_sets) or "(none)"
    raise StratumError("files-not-in-backup", backup=manifest.id, name=name, known=known)


def _refuse_damaged(manifest: Manifest, ports: Ports) -> None:
    stored = check_stored_files(manifest, ports.archive.backup_path(manifest.id), ports)
    if stored.verdict is not Verdict.PROVEN:
        older = older_proven(ports.archive.manifests(), ports.archive.proofs(), than=manifest)
        raise StratumError("backup-damaged", backup=manifest.id, findings=stored.reason,
                           older=older.id if older else "(there is none)")  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptFiles:
    """What a restore of files, or the undo of one, replaced."""

    name: str
    label: str
    since: datetime


def observe_kept_files(ports: Ports) -> tuple[KeptFiles, ...]:
    """Replaced files that still lie there, newest first; read from the journal and the directories."""
    entries = ports.journal.entries()
    plans = [e.plan for e in entries if e.plan is not None and e.verb in {VERB, UNDO}]
    ended = [progress for plan in plans if (progress := observe_progress(entries, plan.id)).end is PlanEnd.DONE]
    found = (
        KeptFiles(name=str(one.plan.params["files"]), label=str(one.plan.params["kept"]),
                  since=one.ended_at or one.plan.created_at)
        for one in reversed(ended)
    )  # fmt: skip
    return tuple(
        kept for kept in found if kept.name in ports.stack.file_sets and ports.file_sets.has(kept.name, kept.label)
    )


def _last_kept(ports: Ports, name: str) -> str:
    for kept in observe_kept_files(ports):
        if kept.name == name:
            return kept.label
    raise StratumError("nothing-to-undo", reason=f"nothing that a restore of the file set {name} replaced is kept")
