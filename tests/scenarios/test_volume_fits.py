"""Images, names and volumes that do not belong together: refused with a reason, by hand as by the command line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.compose_stacks import DATABASE, ROWS, ComposeStack, ComposeStacks
from tests.fixtures.stacks import wait_until


@pytest.fixture(scope="module")
def running(compose_stacks: ComposeStacks) -> Iterator[ComposeStack]:
    with compose_stacks.started(what="fits") as stack:
        yield stack


@pytest.fixture
def stack(running: ComposeStack) -> ComposeStack:
    """The module's stack with its database up, however the scenario before left it."""
    _start_database(running)
    return running


def _start_database(stack: ComposeStack) -> None:
    stack.by_hand("up", "--detach", "--wait", "postgres")
    assert stack.rows() == ROWS


def _rows_of_the_first(stack: ComposeStack) -> int:
    """Asked of the container itself, whatever name .env gives the project now."""
    query = ("psql", "-X", "-At", "-U", "postgres", "-d", DATABASE, "-c", "SELECT count(*) FROM orders")
    return int(stack.container("postgres").ask(*query))


def test_a_renamed_project_gets_no_second_server_on_the_volume(stack: ComposeStack) -> None:
    renamed = f"{stack.name}b"
    with stack.setting(STACK_NAME=renamed):
        assert stack.refusal("up") == "volume-in-use"
        stack.by_hand("up", "--detach", "postgres")
        wait_until(lambda: "another server works on the volume" in stack.by_hand("logs", "postgres"))
        assert _rows_of_the_first(stack) == ROWS
        stack.by_hand("down", "--volumes")

    stack.by_hand("down")
    with stack.setting(STACK_NAME=renamed):
        _start_database(stack)
        stack.by_hand("down", "--volumes")
    _start_database(stack)


@pytest.mark.parametrize("way", ["-p", "COMPOSE_PROJECT_NAME"])
def test_another_project_name_by_hand_starts_no_second_server(stack: ComposeStack, way: str) -> None:
    other = f"{stack.name}c"
    named = (("-p", other), {}) if way == "-p" else ((), {"COMPOSE_PROJECT_NAME": other})

    refused = stack.compose(*named[0], "up", "--detach", env=named[1])

    assert refused.returncode != 0
    assert f'The container name "/{stack.name}-postgres" is already in use' in refused.stderr
    assert stack.rows() == ROWS
    stack.compose(*named[0], "down", "--volumes", env=named[1])
    assert stack.rows() == ROWS


def test_a_name_that_the_shell_has_set_does_not_divert_the_command_line(stack: ComposeStack) -> None:
    stack.stratum("up", env={"COMPOSE_PROJECT_NAME": f"{stack.name}d", "POSTGRES_VOLUME": "elsewhere"})

    assert stack.rows() == ROWS
    projects = stack.docker.ask("ps", "--all", "--format", '{{.Label "com.docker.compose.project"}}').splitlines()
    assert f"{stack.name}d" not in projects


def test_an_image_of_another_major_is_refused_before_it_starts(stack: ComposeStack) -> None:
    stack.docker.require_image("postgres:17-bookworm")
    with stack.setting(POSTGRES_IMAGE="postgres:17-bookworm"):
        assert stack.refusal("up") == "volume-other-major"
        assert stack.rows() == ROWS
        stack.by_hand("up", "--detach", "postgres")
        wait_until(lambda: "incompatible with server" in stack.by_hand("logs", "postgres"))

    _start_database(stack)


def test_a_mount_path_of_another_major_makes_no_new_cluster(stack: ComposeStack) -> None:
    """The image's own volume at the other path has no name, and would be new and empty at every start.

    The old container is removed first: of one that it makes anew Compose keeps the mounts.
    """
    with stack.setting(POSTGRES_MOUNT="/var/lib/postgresql"):
        assert stack.refusal("up") == "mount-mismatch"
        assert stack.rows() == ROWS
        stack.by_hand("rm", "--force", "--stop", "postgres")
        stack.by_hand("up", "--detach", "postgres")
        wait_until(lambda: "POSTGRES_PASSWORD" in stack.by_hand("logs", "postgres"))
        stack.by_hand("rm", "--force", "--stop", "--volumes", "postgres")

    _start_database(stack)


def test_by_hand_on_an_empty_volume_nothing_is_made_and_nothing_works(stack: ComposeStack) -> None:
    stack.by_hand("down")
    empty = stack.docker.ask("volume", "create", f"{stack.name}_empty")
    with stack.setting(POSTGRES_VOLUME=empty):
        by_hand = stack.compose("up", "--detach")

        assert by_hand.returncode != 0
        assert "POSTGRES_PASSWORD" in stack.by_hand("logs", "postgres")
        states = stack.states()
        assert {states[name] for name in ("guard", "backend", "frontend")} == {"created"}
        assert states["backup"] == "running"
        assert stack.refusal("up") == "cluster-absent"
        stack.by_hand("down")

    listing = ("run", "--rm", "--volume", f"{empty}:/look:ro", "postgres:16-bookworm", "ls", "-A", "/look")
    assert stack.docker.ask(*listing) == ""
    _start_database(stack)


def test_by_hand_without_the_volume_nothing_is_made(stack: ComposeStack) -> None:
    stack.by_hand("down")
    with stack.setting(POSTGRES_VOLUME=f"{stack.name}_nowhere"):
        by_hand = stack.compose("up", "--detach")

        assert by_hand.returncode != 0
        assert f'"{stack.name}_nowhere" not found' in by_hand.stderr
        assert stack.refusal("up") == "cluster-absent"
        assert f"{stack.name}_nowhere" not in stack.docker.ask("volume", "ls", "--format", "{{.Name}}").splitlines()

    _start_database(stack)


def test_a_volume_that_somebody_else_uses_is_refused(stack: ComposeStack) -> None:
    stack.by_hand("stop")
    with stack.docker.container(
        "postgres:16-bookworm", "sleep", "infinity", options=("--volume", f"{stack.volume}:/var/lib/postgresql/data")
    ):
        assert stack.refusal("up") == "volume-in-use"
        assert set(stack.states().values()) == {"exited"}

    _start_database(stack)
