"""What an update keeps for its way back is what runs, whatever was built since."""

from __future__ import annotations

from stratum import wiring
from stratum.cli.render import TypedConsent, choose_progress
from tests.fixtures.compose_stacks import ComposeStacks


def test_an_image_that_was_built_and_never_started_is_not_kept_in_place_of_the_one_that_runs(
    compose_stacks: ComposeStacks,
) -> None:
    with compose_stacks.started(what="kept") as stack:
        docker, image = stack.docker, f"{stack.name}-frontend"
        runs = stack.container("frontend").inspect()["Image"]
        docker.ask("tag", f"{stack.name}-backup", image)

        opened = wiring.open_stack(stack.directory, consent=TypedConsent([]), progress=choose_progress(quiet=True))
        assert opened.project is not None
        named = opened.project.images.keep("way-back")["frontend"]

        assert docker.ask("image", "inspect", "--format", "{{.Id}}", named) == runs
        assert docker.ask("image", "inspect", "--format", "{{.Id}}", image) != runs
