"""A stack whose data lies in a directory of this machine, on real containers: removing the volume loses nothing."""

from __future__ import annotations

from pathlib import Path

from tests.fixtures.database_stacks import DEFAULT_IMAGE, NewDatabaseStack
from tests.fixtures.docker_engine import DockerUnderTest


def test_the_volume_of_a_data_directory_can_be_removed_and_up_finds_every_row(
    new_database_stack: NewDatabaseStack, docker: DockerUnderTest, tmp_path: Path
) -> None:
    directory = tmp_path / "data"
    stack = new_database_stack(options={"--data-directory": str(directory)})
    volume = stack.setting("POSTGRES_VOLUME")
    try:
        stack.done("up")
        stack.fill()
        rows = stack.digest()
        stack.done("down")
        docker.ask("rm", "--force", f"{volume}-holder")
        docker.ask("volume", "rm", volume)
        assert stack.volumes() == set()

        stack.done("up")

        assert stack.digest() == rows
        assert stack.volumes() == {volume}
        assert docker.ask("volume", "inspect", "--format", "{{.Options.device}}", volume) == str(directory / volume)
    finally:
        stack.end()
        # The files are the server's account's: this one may not delete them.
        emptied = ("find", "/data", "-mindepth", "1", "-delete")
        docker.run("run", "--rm", "--user=0:0", f"--volume={directory}:/data", DEFAULT_IMAGE, *emptied)
