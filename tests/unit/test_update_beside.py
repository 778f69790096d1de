"""An update without downtime: what its migration is told, what is made anew, and what is refused beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from stratum.core.errors import StratumError
from stratum.core.plan import Plan
from stratum.engine.update_beside import actions_beside, refuse_downtime_needed
from stratum.ports import Ports, Runtime
from stratum.project import Project
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over


@dataclass(kw_only=True, slots=True)
class FakeRuntime:
    """Remembers what the migration was told."""

    told: Mapping[str, str] | None = None

    def run_command(self, argv: Sequence[str], *, told: Mapping[str, str] | None = None) -> None:
        del argv
        self.told = told


@dataclass(kw_only=True, slots=True)
class FakeProject:
    """Remembers, in order, what was asked of it, its images and its second containers."""

    asked: list[str] = field(default_factory=list)

    @property
    def side_by_side(self) -> FakeProject:
        return self

    @property
    def images(self) -> FakeProject:
        return self

    def refuse_impossible(self) -> None:
        self.asked.append("whether it is possible")

    def use(self, kept: Mapping[str, str]) -> None:
        self.asked.append(f"use {dict(kept)}")

    def start(self, services: Sequence[str], *, alone: bool) -> None:
        self.asked.append(f"start {' '.join(services)}{' alone' if alone else ''}")


def _ports(runtime: FakeRuntime, limit: timedelta = timedelta(seconds=2)) -> Ports:
    ports = ports_over(RecordingJournal(World()))
    rehearsal = replace(ports.stack.rehearsal, lock_limit=limit)
    return replace(ports, runtime=cast("Runtime", runtime), stack=replace(ports.stack, rehearsal=rehearsal))


_PLAN = Plan(id="2026-11-01T10-00-00Z-mg5j", verb="update", stack="led", created_at=datetime(2026, 11, 1, tzinfo=UTC),
             headline="update", steps=(), params={"services": ["backend", "frontend", "nginx"]})  # fmt: skip


@pytest.mark.parametrize(("limit", "milliseconds"), [(timedelta(seconds=2), 2000), (timedelta(0), 1)])
def test_no_statement_of_the_migration_waits_longer_for_a_lock_than_the_limit(
    limit: timedelta, milliseconds: int
) -> None:
    """Zero would be no limit at all (https://www.postgresql.org/docs/current/runtime-config-client.html)."""
    runtime = FakeRuntime()

    actions_beside(_PLAN, _ports(runtime, limit), cast("Project", FakeProject()))["migrate-beside"].run({})

    assert runtime.told == {"PGOPTIONS": f"-c lock_timeout={milliseconds}"}


def test_the_proxy_is_never_made_anew_and_the_way_back_begins_with_what_the_services_need() -> None:
    project = FakeProject()
    replacing = actions_beside(_PLAN, _ports(FakeRuntime()), cast("Project", project))["replace"]
    assert replacing.undo is not None

    replacing.run({})
    replacing.undo({"images": ["backend=shop-backend:before"]})

    assert project.asked == [
        "start backend frontend alone",
        "use {'backend': 'shop-backend:before'}",
        "start backup alone",
        "start backend frontend alone",
    ]


@pytest.mark.parametrize(("rehearsed", "accept"), [(False, ()), (True, ("orders",))])
def test_what_cannot_be_seen_on_a_clone_or_is_accepted_is_refused_before_anything_is_built(
    rehearsed: bool, accept: tuple[str, ...]
) -> None:
    project = FakeProject()

    with pytest.raises(StratumError) as raised:
        refuse_downtime_needed(_ports(FakeRuntime()), cast("Project", project), rehearsed=rehearsed, accept=accept)

    assert (raised.value.code, project.asked) == ("no-downtime-impossible", [])
