"""The design's first five invariants on a real stack, each tried to be broken."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stratum.adapters import durable
from stratum.cli.render import SilentProgress
from stratum.core.backup import Manifest
from stratum.core.errors import StratumError
from stratum.core.plan import Effect
from stratum.core.proof import Verdict, newest_proven
from stratum.engine.destroy import destroy
from stratum.engine.prune import prune
from stratum.engine.restore import Target, restore
from stratum.engine.take_dump import take_dump
from stratum.ports import Role, Server
from stratum.wiring import open_stack
from tests.fixtures.cut_stacks import CutStack, bin_dir_of, endpoint_of
from tests.fixtures.stacks import DATABASE, OWNER, Asked

# 1. Nothing destructive runs that was not first shown as a plan, guarded, and recoverable. ---------------------


@pytest.mark.parametrize("verb", ["restore", "undo", "destroy"])
def test_what_replaces_or_removes_data_shows_its_plan_first_and_obeys_a_no(cut_stack: CutStack, verb: str) -> None:
    if verb == "undo":
        cut_stack.stack.restore()
    before, asked = cut_stack.notes(), Asked(answer=False)
    with pytest.raises(StratumError) as declined:
        _asking_verb(cut_stack, verb, asked)
    assert declined.value.code == "declined"
    assert any(step.effect in {Effect.SETS_ASIDE, Effect.REMOVES} for step in asked.plans[0].steps)
    assert cut_stack.notes() == before
    cut_stack.assert_nothing_is_left_over()


def _asking_verb(cut: CutStack, verb: str, asked: Asked) -> None:
    ports = cut.stack.ports(asked=asked)
    if verb == "restore":
        restore(ports, Target())
    elif verb == "undo":
        cut.stack.undo(asked=asked)
    else:
        destroy(ports)


def test_a_dry_run_of_a_destructive_verb_changes_nothing(cut_stack: CutStack) -> None:
    cut_stack.stack.backup()
    before = _everything_of(cut_stack)
    ports = open_stack(cut_stack.stack.directory, consent=Asked(), progress=SilentProgress(), dry_run=True)
    for verb in (destroy, prune, take_dump):
        assert verb(ports).end is None
    assert cut_stack.stack.cli("drill", "--dry-run").returncode == 0
    assert _everything_of(cut_stack) == before


def _everything_of(cut: CutStack) -> dict[str, object]:
    dumps = sorted(path.name for path in (cut.stack.archive / "dumps").iterdir())
    proofs = [proof.id for proof in cut.stack.ports().archive.proofs()]
    entries = len(cut.entries())
    return {"databases": cut.stack.databases(), "dumps": dumps, "proofs": proofs, "entries": entries}


@dataclass(frozen=True, kw_only=True, slots=True)
class _LateClock:
    """A clock that stands where the test put it."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


def test_a_plan_without_its_guard_is_refused_before_anything_is_journaled(cut_stack: CutStack) -> None:
    """Destroy wants a backup proven within a day."""
    late = datetime.now(UTC) + timedelta(days=3)
    entries = len(cut_stack.entries())
    with pytest.raises(StratumError) as refused:
        destroy(cut_stack.stack.ports(clock=_LateClock(at=late)))
    assert refused.value.code == "no-proven-backup"
    assert len(cut_stack.entries()) == entries
    assert len(cut_stack.notes()) == 100


# 2. A restore never overwrites. --------------------------------------------------------------------------------


def test_a_restore_keeps_the_very_database_it_replaces(cut_stack: CutStack) -> None:
    mark = cut_stack.write_mark()
    oids = cut_stack.stack.ports().runtime.server(Role.MAINTENANCE).database.database_oids()
    outcome = cut_stack.stack.restore()
    after = cut_stack.stack.ports().runtime.server(Role.MAINTENANCE).database.database_oids()
    assert after[str(outcome.plan.params["kept"])] == oids[DATABASE]
    held = cut_stack.notes_by_place()
    assert mark in held[str(outcome.plan.params["kept"]), "public"]
    assert mark not in held[DATABASE, "public"]


def test_a_backup_that_does_not_bring_back_what_its_manifest_promises_is_never_swapped_in(cut_stack: CutStack) -> None:
    """Its files are as their sums say: only comparing what was built beside finds it out."""
    before = cut_stack.notes()
    backup = cut_stack.stack.archive / "dumps" / cut_stack.stack.backup()
    manifest = json.loads((backup / "manifest.json").read_text())
    for table in manifest["databases"][0]["facts"]["tables"]:
        table["digest"] = str(int(table["digest"]) + (table["name"] == "book"))
    (backup / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StratumError) as refused:
        cut_stack.stack.restore(backup.name)
    assert refused.value.code == "restore-not-proven"
    assert cut_stack.notes() == before
    cut_stack.assert_nothing_is_left_over()


# 3. Retention never removes the newest proven backup, and stops by itself. --------------------------------------


def test_retention_that_keeps_nothing_keeps_the_newest_proven_backup(cut_stack: CutStack) -> None:
    proven = cut_stack.newest_proven()
    for _ in range(3):
        cut_stack.stack.backup()
    prune(cut_stack.stack.ports())
    ports = cut_stack.stack.ports()
    left = [manifest.id for manifest in ports.archive.manifests()]
    assert proven in left
    assert len(left) == 2, "the proven one, and the newest that keep_last keeps"
    found = newest_proven(ports.archive.manifests(), ports.archive.proofs())
    assert found is not None


def test_retention_removes_nothing_after_a_failed_drill_or_a_collapse(cut_stack: CutStack) -> None:
    for _ in range(2):
        cut_stack.stack.backup()
    before = cut_stack.stack.ports().archive.manifests()
    cut_stack.stack.execute("DELETE FROM book; TRUNCATE orders, accounts, events CASCADE", user=OWNER)
    with pytest.raises(StratumError, match="a drop of"):
        cut_stack.stack.backup()
    _assert_retention_is_stopped(cut_stack, before)


def test_retention_removes_nothing_after_a_drill_that_failed(cut_stack: CutStack) -> None:
    cut_stack.stack.backup()
    newest = cut_stack.stack.archive / "dumps" / cut_stack.stack.backup()
    before = cut_stack.stack.ports().archive.manifests()
    _flip_a_byte(max(newest.rglob("*.zst"), key=lambda path: path.stat().st_size))
    assert cut_stack.stack.drill().verdict is Verdict.FAILED
    _assert_retention_is_stopped(cut_stack, before)


def _assert_retention_is_stopped(cut: CutStack, before: tuple[Manifest, ...]) -> None:
    with pytest.raises(StratumError) as stopped:
        prune(cut.stack.ports())
    assert stopped.value.code == "retention-stopped"
    assert cut.stack.ports().archive.manifests() == before


def _flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


# 4. A backup becomes visible only when complete. ---------------------------------------------------------------


def test_a_backup_is_under_its_name_only_once_it_is_whole_and_on_disk(
    cut_stack: CutStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every write of the publishing, what carries a backup's name is what was there before."""
    sync, write = durable.sync_tree, durable.write_file
    dumps = cut_stack.stack.archive / "dumps"
    before = sorted(path.name for path in dumps.iterdir())
    seen: list[str] = []

    def look(what: str) -> None:
        seen.append(what)
        visible = sorted(path.name for path in dumps.iterdir() if not path.name.endswith(".partial"))
        assert visible == before, f"visible when writing {what}"

    def syncing(path: Path) -> None:
        look("the files")
        assert not (path / "manifest.json").exists(), "the manifest comes last"
        sync(path)

    def writing(path: Path, content: str, *, mode: int = 0o640) -> None:
        if path.parent.parent == dumps:
            look(path.name)
        write(path, content, mode=mode)

    monkeypatch.setattr(durable, "sync_tree", syncing)
    monkeypatch.setattr(durable, "write_file", writing)
    backup_id = cut_stack.stack.backup()
    assert seen == ["SHA256SUMS", "the files", "manifest.json"]
    assert (dumps / backup_id / "manifest.json").exists()


# 5. Every file in the archive can be restored by hand. ---------------------------------------------------------


def test_the_commands_of_restore_md_bring_back_every_row_with_stock_tools(cut_stack: CutStack) -> None:
    cut_stack.write_mark()
    cut_stack.stack.backup()
    manifest = cut_stack.stack.ports().archive.manifests()[-1]
    page = (cut_stack.stack.archive / "RESTORE.md").read_text()
    script = page.split("```sh\n")[1].split("```")[0]
    runtime = cut_stack.stack.ports().runtime
    with runtime.scratch(purpose="by-hand", bootstrap_role="postgres") as server:
        done = _run_as_a_person_would(script, cut_stack, server)
        assert done.returncode == 0, done.stderr
        restored = server.database.observe_facts(DATABASE, manifest.digest_mode)
    expected = manifest.databases[0].facts
    assert {(t.qualified, t.rows, t.digest) for t in restored.tables} == {
        (t.qualified, t.rows, t.digest) for t in expected.tables
    }
    assert restored.properties.owner == expected.properties.owner


def _run_as_a_person_would(script: str, cut: CutStack, server: Server) -> subprocess.CompletedProcess[str]:
    """In a shell, in the archive's directory, with the PG* variables the page asks for; any failure ends it."""
    endpoint = endpoint_of(server)
    env = {
        "PATH": f"{bin_dir_of(server)}:/usr/bin:/bin",
        "PGHOST": endpoint.host,
        "PGPORT": str(endpoint.port),
        "PGUSER": endpoint.user,
        "PGPASSWORD": endpoint.password.reveal,
        "LC_ALL": "C.UTF-8",
    }
    argv = ("sh", "-e", "-c", script)
    return subprocess.run(argv, cwd=cut.stack.archive, env=env, capture_output=True, text=True, check=False)
