"""A cluster recovered in a volume of its own: wherever it fails or is killed, one whole volume is live and known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from stratum.core.backup import DigestMode, TableFacts
from stratum.core.containers import VolumeLook
from stratum.core.errors import StratumError
from stratum.core.identity import Identity
from stratum.core.plan import JournalEntry
from stratum.core.proof import Check, Verdict
from stratum.core.volume_recovery import Moment, RecoveredCluster, RecoveryOrder
from stratum.engine.finish_plans import HOST_ACTIONS
from stratum.engine.recover_volume import recover_volume
from stratum.engine.run_plan import finish_unfinished
from stratum.engine.undo_recover import find_switched, undo_recover
from stratum.ports import Ports, Runtime
from stratum.project import Project
from stratum.recovery import Recovery
from tests.fakes.world_of_steps import AnsweringConsent, RecordingJournal, World, ports_over
from tests.fixtures.manifests import a_table, an_identity, some_facts

OLD = "pg_data"
BEFORE, AFTER = an_identity(), an_identity(timeline=2, flushed_lsn=900)


@dataclass(kw_only=True, slots=True)
class FakeVolumes:
    """Volumes by name, each with the identity of what is in it."""

    inside: dict[str, object] = field(default_factory=lambda: {OLD: BEFORE})
    named: str = OLD
    fails: bool = False
    verdict: Verdict = Verdict.PROVEN
    digested: list[DigestMode | None] = field(default_factory=list)

    def live(self) -> str:
        return self.named

    def exists(self, name: str) -> bool:
        return name in self.inside

    def make(self, name: str) -> None:
        self.inside.setdefault(name, None)

    def recover(self, name: str, order: RecoveryOrder) -> RecoveredCluster:
        assert self.inside[name] is None, "it is built in an empty volume"
        if self.fails:
            raise StratumError("recovery-failed", problem="it broke")
        self.inside[name] = AFTER
        self.digested.append(order.digest)
        check = Check(name="amcheck", verdict=self.verdict, reason="a page is torn")
        facts = some_facts(tables=(a_table(rows=2),))
        return RecoveredCluster(
            base_id=order.stack, identity=AFTER, databases=(facts,), checks=(check,), reached="the last commit"
        )

    def count_live(self, databases: Sequence[str], mode: DigestMode) -> dict[str, tuple[TableFacts, ...]]:
        del mode
        return dict.fromkeys(databases, (a_table(rows=5),))

    def use(self, name: str) -> None:
        self.named = name

    def remove(self, name: str) -> None:
        assert name != self.named, "the live volume was about to be deleted"
        self.inside.pop(name, None)


class FakeImages:
    """All are built."""

    def missing(self) -> tuple[str, ...]:
        return ()


@dataclass(kw_only=True, slots=True)
class FakeProject:
    """A project whose containers start where that is wanted."""

    volumes: FakeVolumes = field(default_factory=FakeVolumes)
    fails_at: str = ""
    passwords_set: bool = False
    external: bool = False

    def check(self) -> None:
        return

    def look(self) -> tuple[None, VolumeLook]:
        name = self.volumes.named
        return None, VolumeLook(name=name, exists=self.volumes.exists(name))

    @property
    def images(self) -> FakeImages:
        return FakeImages()

    def down(self) -> None:
        return

    def start(self, services: Sequence[str] = ()) -> None:
        if self.fails_at and self.fails_at in (services or ("all",)):
            raise StratumError("container-not-serving", service=self.fails_at, state="unhealthy", log="-")

    def apply_passwords(self, roles: Sequence[str] | None) -> None:
        self.passwords_set = roles is None

    def write_secrets(self) -> None:
        return

    def inside(self, argv: Sequence[str]) -> dict[str, Any]:
        del argv
        return {}


@dataclass(kw_only=True, slots=True)
class Host:
    """The host of one stack, whose commands may be killed."""

    project: FakeProject = field(default_factory=FakeProject)
    consent: AnsweringConsent = field(default_factory=AnsweringConsent)
    journal: RecordingJournal = field(default_factory=lambda: RecordingJournal(World()))
    removed_cluster: bool = False
    _ports: Ports | None = None

    def check(self, order: RecoveryOrder) -> str:
        del order
        return "2026-03-01T02-30-00Z-base"

    def remove_cluster(self) -> None:
        self.removed_cluster = True
        self.project.volumes.inside.pop(self.project.volumes.named, None)

    @property
    def ports(self) -> Ports:
        if self._ports is None:
            made = ports_over(self.journal, consent=self.consent)
            made.archive.initialise("led")
            made.archive.record_identity(BEFORE)
            self._ports = replace(
                made,
                project=cast("Project", self.project),
                runtime=cast("Runtime", self),
                recovery=cast("Recovery", self),
                stack=_stack(made),
            )
        return self._ports

    def recover(self, *, why: str | None = None) -> None:
        recover_volume(self.ports, cast("Project", self.project), Moment(), why=why)

    def undo(self) -> None:
        switched = find_switched(self.ports, cast("Project", self.project))
        assert switched is not None
        undo_recover(self.ports, cast("Project", self.project), switched)

    def is_settled(self) -> bool:
        """What .env names is whole, and it is what is recorded."""
        return self.project.volumes.inside.get(self.project.volumes.named) == self.ports.archive.recorded_identity()


def _stack(ports: Ports) -> Any:  # noqa: ANN401 - the record that the ports hold
    return replace(ports.stack, databases=("app",))


def test_the_recovered_volume_is_live_and_the_old_one_is_a_command_away() -> None:
    host = Host()
    host.recover()

    new = host.project.volumes.named
    assert (new != OLD, host.is_settled(), host.project.passwords_set) == (True, True, True)
    assert host.project.volumes.inside[OLD] == BEFORE
    assert any("5 rows now, 2 after" in line for line in host.consent.asked[0][1])

    host.undo()
    assert (host.project.volumes.named, host.is_settled()) == (OLD, True)
    host.undo()
    assert (host.project.volumes.named, host.is_settled()) == (new, True)


def test_a_cluster_that_does_not_hold_is_not_offered() -> None:
    host = Host(project=FakeProject(volumes=FakeVolumes(verdict=Verdict.FAILED)))
    with pytest.raises(StratumError) as raised:
        host.recover()

    assert raised.value.code == "recovery-failed"
    assert (host.consent.asked, set(host.project.volumes.inside), host.is_settled()) == ([], {OLD}, True)


def test_a_no_leaves_everything_as_it_was() -> None:
    host = Host(consent=AnsweringConsent(agrees=False))
    with pytest.raises(StratumError):
        host.recover()

    assert (set(host.project.volumes.inside), host.is_settled()) == ({OLD}, True)


def test_a_database_that_does_not_start_on_the_new_volume_brings_the_old_one_back() -> None:
    host = Host(project=FakeProject(fails_at="postgres"))
    with pytest.raises(StratumError):
        host.recover()

    assert (host.project.volumes.named, set(host.project.volumes.inside), host.is_settled()) == (OLD, {OLD}, True)


def test_a_service_that_does_not_start_takes_no_volume_back() -> None:
    """Others may have started and written by then."""
    host = Host(project=FakeProject(fails_at="all"))
    with pytest.raises(StratumError) as raised:
        host.recover()

    assert (raised.value.code, host.project.volumes.named != OLD, host.is_settled()) == ("plan-unfinished", True, True)


@pytest.mark.parametrize("undoing", [False, True])
def test_wherever_it_is_killed_the_next_command_leaves_one_whole_volume_live(undoing: bool) -> None:
    whole = Host()
    if undoing:
        whole.recover()
    moments: list[tuple[tuple[JournalEntry, ...], dict[str, object], str, Identity]] = []

    class Noting(RecordingJournal):
        def append(self, entry: JournalEntry) -> None:
            recorded, volumes = whole.ports.archive.recorded_identity(), whole.project.volumes
            assert recorded is not None
            super().append(entry)
            moments.append((self.entries(), dict(volumes.inside), volumes.named, recorded))

    noting = Noting(World(), whole.journal.entries())
    whole._ports = replace(whole.ports, journal=noting)
    whole.undo() if undoing else whole.recover()

    assert len(moments) > 5, "it was looked at after every entry"
    for entries, inside, named, recorded in moments:
        cut = Host(
            project=FakeProject(volumes=FakeVolumes(inside=inside, named=named)),
            journal=RecordingJournal(World(), entries),
        )
        cut.ports.archive.record_identity(recorded)
        finish_unfinished(cut.ports, HOST_ACTIONS)
        assert cut.is_settled(), entries[-1]
        assert OLD in cut.project.volumes.inside


def test_content_is_digested_where_there_is_a_living_cluster_to_compare_it_with() -> None:
    compared, lost = Host(), Host()
    compared.recover()
    lost.project.volumes.inside.clear()
    lost.recover(why="it is gone")
    assert compared.project.volumes.digested == [DigestMode.FULL]
    assert lost.project.volumes.digested == [DigestMode.COUNTS]


def test_a_lost_volume_comes_back_under_its_own_name_and_is_removed_when_that_fails() -> None:
    host = Host()
    host.project.volumes.inside.clear()
    host.project.volumes.fails = True
    with pytest.raises(StratumError):
        host.recover(why="it is gone")
    assert (host.removed_cluster, host.project.volumes.inside) == (True, {})

    host.project.volumes.fails = False
    host.recover(why="it is gone")
    assert (host.project.volumes.named, host.is_settled()) == (OLD, True)
    assert find_switched(host.ports, cast("Project", host.project)) is None, "there is nothing to go back to"


def test_wal_is_handed_out_whole_first_and_a_changed_segment_ends_the_recovery(tmp_path: Path) -> None:
    from stratum.adapters.shelved_wal import DamagedError, fetch
    from stratum.adapters.zstd import compress_file

    name, target = "00000001000000000000000A", tmp_path / "out"
    filed, receiving = tmp_path / "00000001", tmp_path / "receiving-00000001-x"
    for folder in (filed, receiving):
        folder.mkdir()
    (receiving / f"{name}.partial").write_bytes(b"what came so far")
    assert fetch(tmp_path, name, target)
    assert target.read_bytes() == b"what came so far"

    plain = tmp_path / name
    plain.write_bytes(b"the whole segment" * 100)
    stored = filed / f"{name}.zst"
    digest = compress_file(plain, stored)
    assert fetch(tmp_path, name, target)
    assert target.read_bytes() == b"what came so far", "a file without its line is one whose filing was cut"
    (filed / "SHA256SUMS").write_text(f"{digest}  {stored.name}\n", encoding="utf-8")
    assert fetch(tmp_path, name, target)
    assert target.read_bytes() == plain.read_bytes()
    assert not fetch(tmp_path, "00000002.history", target)

    stored.write_bytes(stored.read_bytes()[:-1] + b"\x00")
    with pytest.raises(DamagedError):
        fetch(tmp_path, name, target)
