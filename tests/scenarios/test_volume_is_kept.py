"""What people type at Docker against the data volume: each is done to a running stack, and every row is there after.

`docker system prune -af --volumes` is run here as the prunes that it consists of, each with a filter that leaves
only this stack's things: the engine may hold others'. That the filter reaches the volume is shown by a second
volume with the same label, which nothing holds, and which goes.
(https://docs.docker.com/reference/cli/docker/system/prune/)
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.fixtures.compose_stacks import ROWS, ComposeStack, ComposeStacks

_LABEL = "fr.stratum.stack"


@pytest.fixture(scope="module")
def running(compose_stacks: ComposeStacks) -> Iterator[ComposeStack]:
    with compose_stacks.started() as stack:
        yield stack


@pytest.fixture
def stack(running: ComposeStack) -> ComposeStack:
    """The module's stack with its database up, however the scenario before left it."""
    start_database(running)
    return running


def start_database(stack: ComposeStack) -> None:
    stack.by_hand("up", "--detach", "--wait", "postgres")
    assert stack.rows() == ROWS


def test_after_down_with_volumes_everything_comes_back_by_hand(stack: ComposeStack) -> None:
    stack.by_hand("down", "--volumes")
    assert stack.states() == {}

    stack.by_hand("up", "--detach", "--wait")

    assert stack.rows() == ROWS
    assert stack.states() == {
        "postgres": "running", "guard": "exited", "backup": "running", "backend": "running", "frontend": "running",
    }  # fmt: skip


def test_removed_containers_leave_the_volume(stack: ComposeStack) -> None:
    stack.by_hand("rm", "--force", "--stop", "--volumes")
    assert stack.states() == {}

    start_database(stack)


def test_the_volume_cannot_be_removed_while_the_stack_is_down(stack: ComposeStack) -> None:
    stack.by_hand("down")

    refused = stack.docker.run("volume", "rm", "--force", stack.volume)

    assert refused.returncode != 0
    assert "volume is in use" in refused.stderr
    start_database(stack)


def test_a_prune_of_all_volumes_takes_an_unheld_one_and_leaves_the_data(stack: ComposeStack) -> None:
    stack.by_hand("down")
    loose = _loose_volume(stack)

    pruned = stack.docker.ask("volume", "prune", "--all", "--force", "--filter", f"label={_LABEL}={stack.name}")

    assert loose in pruned
    assert stack.volume not in pruned
    start_database(stack)


def test_a_prune_of_the_whole_system_leaves_the_data(stack: ComposeStack) -> None:
    stack.by_hand("stop")
    loose = _loose_volume(stack)
    of_the_stack, of_the_project = f"label={_LABEL}={stack.name}", f"label=com.docker.compose.project={stack.name}"

    for wanted in (of_the_stack, of_the_project):
        stack.docker.ask("container", "prune", "--force", "--filter", wanted)
        stack.docker.ask("network", "prune", "--force", "--filter", wanted)
        stack.docker.ask("volume", "prune", "--all", "--force", "--filter", wanted)

    assert stack.states() == {}
    assert loose not in _volumes(stack)
    start_database(stack)


def test_a_changed_definition_of_the_volume_is_not_answered_with_a_new_one(stack: ComposeStack) -> None:
    """Where newer releases of Compose ask whether to make the volume anew, `up -y` says yes."""
    yes = ("--yes",) if "--yes" in stack.by_hand("up", "--help") else ()
    file = stack.directory / "compose.yaml"
    before = file.read_text(encoding="utf-8")
    changed = before.replace("    external: true\n", "    labels: { changed: 'yes' }\n")
    assert changed != before
    file.write_text(changed, encoding="utf-8")
    try:
        stack.by_hand("up", "--detach", "--wait", *yes, "postgres")
        assert stack.rows() == ROWS
        stack.by_hand("down", "--volumes", "--timeout", "60")
    finally:
        file.write_text(before, encoding="utf-8")

    start_database(stack)


def test_a_moved_directory_is_the_same_stack(stack: ComposeStack) -> None:
    moved = stack.directory.with_name("moved")
    stack.directory.rename(moved)
    try:
        found = ComposeStack(docker=stack.docker, name=stack.name, directory=moved, archive=stack.archive)
        found.by_hand("up", "--detach", "--wait", "postgres")
        assert found.rows() == ROWS
        found.stratum("up")
        assert found.rows() == ROWS
    finally:
        moved.rename(stack.directory)

    start_database(stack)


def test_a_second_checkout_with_the_same_settings_is_the_same_stack(stack: ComposeStack) -> None:
    second = ComposeStack(
        docker=stack.docker, name=stack.name, directory=stack.directory.with_name("second"), archive=stack.archive
    )
    shutil.copytree(stack.directory, second.directory)

    second.by_hand("up", "--detach", "--wait", "postgres")

    assert second.rows() == ROWS
    assert _servers(stack) == [f"{stack.name}-postgres"]
    shutil.rmtree(second.directory)
    start_database(stack)


def test_without_its_holder_the_checklist_is_red_until_the_next_start(stack: ComposeStack) -> None:
    stack.by_hand("up", "--detach", "--wait")
    stack.docker.ask("rm", "--force", stack.holder.name)
    assert _held_line(stack) == "red"

    stack.stratum("up")

    assert stack.holder.is_running()
    assert _held_line(stack) == "holds"
    assert stack.rows() == ROWS


def _held_line(stack: ComposeStack) -> str:
    """What the checklist says of the volume; other lines may be red, so the verb's exit code is left aside."""
    lines = json.loads(stack.cli("check", "--json").stdout)["lines"]
    return str(next(line["state"] for line in lines if line["name"] == "volume-held"))


def _loose_volume(stack: ComposeStack) -> str:
    """A volume with the data's labels that no container mounts."""
    labels = ("--label", f"{_LABEL}={stack.name}", "--label", "fr.stratum.role=data")
    return stack.docker.ask("volume", "create", *labels, f"{stack.name}_loose")


def _volumes(stack: ComposeStack) -> list[str]:
    return stack.docker.ask("volume", "ls", "--format", "{{.Name}}").splitlines()


def _servers(stack: ComposeStack) -> list[str]:
    """Running containers that mount the volume, without its holder."""
    listed = stack.docker.ask("ps", "--filter", f"volume={stack.volume}", "--format", "{{.Names}}")
    return [name for name in listed.splitlines() if name != stack.holder.name]
