"""A cluster recovered beside a living one is digested, to be compared with it; beside nothing it is not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from stratum.core.backup import DigestMode
from stratum.core.plan import Plan
from stratum.core.volume_recovery import RecoveredCluster, RecoveryOrder
from stratum.engine.restore_cluster import VERB, cluster_actions
from stratum.ports import RunState, Runtime, ServerState
from stratum.recovery import Recovery
from tests.fakes.world_of_steps import RecordingJournal, World, ports_over
from tests.fixtures.manifests import NOW, an_identity


@dataclass(kw_only=True, slots=True)
class BesideAServer:
    """A recovery that remembers what it was asked to digest, and the server it works beside."""

    state: RunState
    digested: list[DigestMode | None] = field(default_factory=list)

    def observe(self) -> ServerState:
        return ServerState(state=self.state, detail="as told")

    def beside(self, order: RecoveryOrder) -> RecoveredCluster:
        self.digested.append(order.digest)
        return RecoveredCluster(base_id="b", identity=an_identity(), databases=(), checks=(), reached="the last write")


@pytest.mark.parametrize(
    ("state", "digest"),
    [
        (RunState.RUNNING, DigestMode.FULL),
        (RunState.STOPPED, None),
        (RunState.ABSENT, None),
    ],
)
def test_content_is_digested_where_a_serving_cluster_is_compared_with(
    state: RunState, digest: DigestMode | None
) -> None:
    world = BesideAServer(state=state)
    made = ports_over(RecordingJournal(World()))
    made.archive.initialise("led")
    ports = replace(made, runtime=cast("Runtime", world), recovery=cast("Recovery", world))
    plan = Plan(
        id="p",
        verb=VERB,
        stack="led",
        created_at=NOW,
        headline="back",
        steps=(),
        params={"aside": "before", "at": None},
    )
    cluster_actions(plan, ports)[0].run({})
    assert world.digested == [digest]
