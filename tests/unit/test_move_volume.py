"""An adopted database moved into a held volume: wherever that fails or is killed, one whole volume is live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from stratum.core.containers import POSTGRES, ImageLook, Libc, VolumeLook
from stratum.core.errors import StratumError
from stratum.core.plan import JournalEntry
from stratum.engine.finish_plans import HOST_ACTIONS
from stratum.engine.move_volume import move_volume
from stratum.engine.run_plan import finish_unfinished
from stratum.engine.undo_recover import find_switched, undo_recover
from stratum.ports import Ports
from stratum.project import Project
from tests.fakes.world_of_steps import AnsweringConsent, RecordingJournal, World, ports_over
from tests.fixtures.manifests import an_identity

OLD = "f" * 64
_RECORDED = an_identity()


@dataclass(kw_only=True, slots=True)
class FakeVolumes:
    """Volumes by name with what is in them; nothing may be copied while a server runs."""

    inside: dict[str, str] = field(default_factory=lambda: {OLD: "rows"})
    named: str = OLD
    running: bool = True
    fails_at: str = ""

    def live(self) -> str:
        return self.named

    def exists(self, name: str) -> bool:
        return name in self.inside

    def make(self, name: str) -> None:
        self.inside.setdefault(name, "")

    def refuse_unmovable(self, source: str, target: str) -> None:
        assert (source in self.inside, self.inside[target]) == (True, "")
        if self.fails_at == "room":
            raise StratumError("move-refused", volume=source, problem="no room")

    def copy(self, source: str, target: str) -> str:
        assert not self.running, "a server was running on what is copied"
        self.inside[target] = self.inside[source][:2]
        if self.fails_at == "copy":
            raise StratumError("volume-copy-not-whole", volume=source, problem="it differs")
        self.inside[target] = self.inside[source]
        return "digest"

    def use(self, name: str) -> None:
        assert not self.running
        self.named = name

    def remove(self, name: str) -> None:
        assert name != self.named, "the live volume was about to be deleted"
        self.inside.pop(name, None)


@dataclass(kw_only=True, slots=True)
class FakeProject:
    """A project whose verbs inside answer, and whose server starts where that is wanted."""

    volumes: FakeVolumes = field(default_factory=FakeVolumes)
    verdict: str = "proven"
    mount: str = "/var/lib/postgresql/data"
    external: bool = False

    def check(self) -> None:
        return

    def look(self) -> tuple[ImageLook, VolumeLook]:
        name = self.volumes.named
        image = ImageLook(name="postgres:16-bookworm", major=16, libc=Libc.GLIBC, libc_version="")
        return image, VolumeLook(name=name, exists=True, empty=not self.volumes.inside[name], major=16)

    def keep_volume(self) -> None:
        return

    def stop(self) -> None:
        self.volumes.running = False

    down = stop

    def start(self, services: Sequence[str] = ()) -> None:
        moved = self.volumes.named != OLD
        if self.volumes.fails_at == "start" and moved and POSTGRES in services:
            raise StratumError("container-not-serving", service=POSTGRES, state="exited", log="-")
        assert self.volumes.inside[self.volumes.named] == "rows", "a server was started on half a cluster"
        self.volumes.running = True

    def apply_passwords(self, roles: Sequence[str] | None) -> None:
        del roles

    def write_secrets(self) -> None:
        return

    def inside(self, argv: Sequence[str], *, under: str | None = None) -> dict[str, Any]:
        del under
        return {"facts": {"backup_id": "b1"}} if argv[0] == "backup" else {"verdict": self.verdict}


@dataclass(kw_only=True, slots=True)
class Host:
    """The host of one adopted project."""

    project: FakeProject = field(default_factory=FakeProject)
    consent: AnsweringConsent = field(default_factory=AnsweringConsent)
    journal: RecordingJournal = field(default_factory=lambda: RecordingJournal(World()))
    _ports: Ports | None = None

    @property
    def ports(self) -> Ports:
        if self._ports is None:
            made = ports_over(self.journal, consent=self.consent)
            made.archive.initialise("led")
            made.archive.record_identity(_RECORDED)
            self._ports = replace(made, project=cast("Project", self.project))
        return self._ports

    def move(self) -> None:
        move_volume(self.ports, cast("Project", self.project))

    def refusal(self) -> str:
        with pytest.raises(StratumError) as raised:
            self.move()
        return raised.value.code

    def is_as_before(self) -> bool:
        volumes = self.project.volumes
        return (volumes.named, volumes.inside, volumes.running) == (OLD, {OLD: "rows"}, True)


def _host(*, fails_at: str = "", verdict: str = "proven", agrees: bool = True) -> Host:
    project = FakeProject(volumes=FakeVolumes(fails_at=fails_at), verdict=verdict)
    return Host(project=project, consent=AnsweringConsent(agrees=agrees))


def test_the_data_is_in_a_volume_with_a_name_and_the_old_one_is_a_command_away() -> None:
    host = _host()
    host.move()

    volumes = host.project.volumes
    assert (volumes.named, volumes.running) == ("led_pg_data", True)
    assert volumes.inside == {OLD: "rows", "led_pg_data": "rows"}
    assert "backup b1 is proven" in host.consent.asked[0][1]
    assert host.refusal() == "move-refused", "it is where it should be"

    switched = find_switched(host.ports, cast("Project", host.project))
    assert switched is not None
    undo_recover(host.ports, cast("Project", host.project), switched)
    assert (volumes.named, volumes.running) == (OLD, True)


@pytest.mark.parametrize(
    ("host", "code"),
    [
        (_host(verdict="failed"), "backup-not-proven"),
        (_host(fails_at="room"), "move-refused"),
        (_host(agrees=False), "declined"),
        (_host(fails_at="copy"), "volume-copy-not-whole"),
        (_host(fails_at="start"), "container-not-serving"),
    ],
    ids=["drill", "room", "no", "copy", "start"],
)
def test_whatever_fails_everything_runs_on_the_old_volume_again(host: Host, code: str) -> None:
    assert host.refusal() == code
    assert host.is_as_before()


def test_a_name_that_is_taken_is_left_to_whoever_has_it() -> None:
    host = _host()
    host.project.volumes.inside["led_pg_data"] = "of somebody else"
    host.move()

    assert host.project.volumes.named.startswith("led_pg_data_")
    assert host.project.volumes.inside["led_pg_data"] == "of somebody else"


def test_wherever_it_is_killed_the_next_command_leaves_one_whole_volume_live_and_running() -> None:
    whole = _host()
    moments: list[tuple[tuple[JournalEntry, ...], FakeVolumes]] = []

    class Noting(RecordingJournal):
        def append(self, entry: JournalEntry) -> None:
            super().append(entry)
            volumes = whole.project.volumes
            moments.append((self.entries(), replace(volumes, inside=dict(volumes.inside))))

    whole.journal = Noting(World())
    whole.move()

    assert len(moments) > 10, "it was looked at after every entry"
    for entries, volumes in moments[:-1]:
        cut = Host(project=FakeProject(volumes=volumes), journal=RecordingJournal(World(), entries))
        finish_unfinished(cut.ports, HOST_ACTIONS)
        settled = volumes.named == "led_pg_data" and volumes.running and volumes.inside[OLD] == "rows"
        assert cut.is_as_before() or settled, entries[-1]
