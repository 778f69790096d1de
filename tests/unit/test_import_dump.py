"""When a dump that somebody else took is said to have been taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from stratum.core.plan import Plan
from stratum.engine.import_dump import import_dump
from stratum.ports import Outcome, Ports, Prepared
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over
from tests.fixtures.manifests import NOW


@pytest.mark.parametrize(("written", "is_kept"), [(NOW - timedelta(days=9), True), (NOW + timedelta(days=9), False)])
def test_a_file_from_the_future_does_not_pass_for_the_newest_backup_for_ever(written: datetime, is_kept: bool) -> None:
    shown: list[Plan] = []

    def show(prepared: Prepared, ports: Ports) -> Outcome:
        del ports
        shown.append(prepared.plan)
        return Outcome(plan=prepared.plan, end=None, facts={})

    ports = replace(ports_over(RecordingJournal(World())), run=show)
    ports.archive.initialise("led")
    import_dump(ports, Path("a.dump"), database="app", taken_at=written, bytes_=1)

    (plan,) = shown
    assert plan.params["taken_at"] == (written if is_kept else plan.created_at).isoformat()
