"""A cluster that is not the recorded one: the database runs, the guard says why, and no service works on it.

Each scenario starts the stack by hand as well as by the command line, and ends with the stack's own rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stratum.cli.render import SilentProgress
from stratum.wiring import open_stack
from tests.fixtures.compose_stacks import ROWS, ComposeStack, ComposeStacks
from tests.fixtures.stacks import Asked, wait_until


@pytest.fixture(scope="module")
def stack(compose_stacks: ComposeStacks) -> Iterator[ComposeStack]:
    with compose_stacks.started(what="guard") as stack:
        yield stack


@contextmanager
def _another_volume(stack: ComposeStack, what: str) -> Iterator[None]:
    """Have .env name another volume while the block runs; after it the stack's own cluster serves its rows."""
    stack.by_hand("down")
    with stack.setting(POSTGRES_VOLUME=f"{stack.name}_{what}"):
        yield
        stack.by_hand("down")
    stack.by_hand("up", "--detach", "--wait", "postgres")
    assert stack.rows() == ROWS


def _assert_guarded(stack: ComposeStack, *said: str) -> None:
    """By hand: the guard ends with an explanation, what waits for it is not started, what brings data back runs."""
    by_hand = stack.compose("up", "--detach")

    assert by_hand.returncode != 0
    assert "guard" in by_hand.stderr
    states = stack.states()
    assert states == {
        "postgres": "running", "guard": "exited", "backup": "running", "backend": "created", "frontend": "created",
    }  # fmt: skip
    assert stack.container("guard").wait() != 0
    log = stack.container("guard").logs()
    for part in (*said, "data:", "next:"):
        assert part in log
    wait_until(lambda: stack.container("backup").inspect()["State"]["Health"]["Status"] == "healthy")


def _make_cluster(stack: ComposeStack) -> None:
    """A new cluster with the stack's own passwords in the volume that .env names."""
    ports = open_stack(stack.directory, consent=Asked(), progress=SilentProgress())
    ports.runtime.create_cluster(bootstrap_role=None, application_database=True)


def test_a_new_cluster_and_then_one_with_other_rows_are_refused(stack: ComposeStack) -> None:
    with _another_volume(stack, "new"):
        _make_cluster(stack)
        _assert_guarded(stack, "empty")
        assert stack.refusal("up") == "cluster-fresh"

        stack.sql("CREATE TABLE visitors AS SELECT 1 AS id")
        _assert_guarded(stack, "another")
        assert stack.refusal("up") == "cluster-foreign"
        assert stack.rows("visitors") == 1


def test_another_stacks_data_is_refused(stack: ComposeStack, compose_stacks: ComposeStacks) -> None:
    """Its roles have other passwords, so that nobody of this stack gets in there at all."""
    with compose_stacks.started(what="other") as other:
        other.by_hand("down")
        stack.by_hand("down")
        with stack.setting(POSTGRES_VOLUME=other.volume):
            _assert_guarded(stack)
            assert stack.refusal("up") == "wrong-password"
            stack.by_hand("down")
        other.by_hand("up", "--detach", "--wait", "postgres")
        assert other.rows() == ROWS
    stack.by_hand("up", "--detach", "--wait", "postgres")
    assert stack.rows() == ROWS


def test_an_older_copy_of_the_volume_is_refused(stack: ComposeStack) -> None:
    own = stack.volume
    stack.by_hand("down")
    older = stack.docker.ask("volume", "create", f"{stack.name}_older")
    copy = ("run", "--rm", "--volume", f"{own}:/from:ro", "--volume", f"{older}:/to", "postgres:16-bookworm",
            "cp", "-a", "/from/.", "/to")  # fmt: skip
    stack.docker.ask(*copy)
    stack.stratum("up")
    stack.sql("CREATE TABLE later AS SELECT generate_series(1, 1000) AS id")
    stack.sql("CHECKPOINT")
    stack.stratum("up")

    with _another_volume(stack, "older"):
        _assert_guarded(stack, "older")
        assert stack.refusal("up") == "cluster-older"
    assert stack.rows("later") == 1000
