"""The tripwire beside a canary that goes on beating while the cluster is looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from stratum.core.identity import Identity, Likeness, Seen
from stratum.engine.tripwire import observe_sighting
from stratum.ports import Archive, Database, Ports, Role, RunState, Runtime, Server, ServerState
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over
from tests.fixtures.manifests import NOW, an_identity


def _seen(lsn: int) -> Seen:
    found = an_identity()
    return Seen(
        system_identifier=found.system_identifier, timeline=found.timeline, flushed_lsn=lsn, beat=1, beat_at=NOW
    )


@dataclass(frozen=True, slots=True)
class _BeatenMeanwhile:
    """A database whose canary commits, and is noted in the archive, right after it was looked at."""

    archive: Archive

    def observe_identity(self, names: tuple[str, ...]) -> Identity:
        del names
        found = an_identity(flushed_lsn=2000)
        self.archive.record_seen(_seen(3000))
        return found


@dataclass(frozen=True, slots=True)
class _Running:
    database: _BeatenMeanwhile

    def observe(self) -> ServerState:
        return ServerState(state=RunState.RUNNING, detail="running", major=17, port=5433)

    def server(self, role: Role) -> Server:
        del role
        return cast("Server", self)


def _watched(noted: int) -> Ports:
    ports = ports_over(RecordingJournal(World()))
    ports.archive.initialise("led")
    ports.archive.record_identity(an_identity(flushed_lsn=1000))
    ports.archive.record_seen(_seen(noted))
    database = cast("Database", _BeatenMeanwhile(ports.archive))
    return replace(ports, runtime=cast("Runtime", _Running(cast("_BeatenMeanwhile", database))))


def test_a_beat_that_is_noted_during_the_look_makes_no_older_copy() -> None:
    assert observe_sighting(_watched(noted=1500)).likeness is Likeness.SAME


def test_a_beat_that_was_noted_before_the_look_still_unmasks_an_older_copy() -> None:
    assert observe_sighting(_watched(noted=2500)).likeness is Likeness.OLDER
