"""The data volume on a real engine: made, held, looked at and removed, in Docker's own place and in a directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stratum.adapters.data_volume import DataVolume
from stratum.adapters.docker import Docker
from stratum.adapters.process import Completed
from stratum.core.containers import Libc
from stratum.core.errors import StratumError
from tests.fixtures.docker_engine import DockerUnderTest

_IMAGE = "postgres:16-bookworm"
_PROJECT = "no-project-of-this-name"
_run = Docker.run


@pytest.fixture(params=["of Docker's own", "in a directory"])
def volume(request: pytest.FixtureRequest, docker: DockerUnderTest, tmp_path: Path) -> Iterator[DataVolume]:
    docker.require_image(_IMAGE)
    name = docker.name("pg_data")
    directory = tmp_path / "data" if request.param == "in a directory" else None
    made = DataVolume(
        docker=Docker(directory=tmp_path), stack=name, named=lambda: name, image=_IMAGE, directory=directory
    )
    yield made
    made.remove()


def _write(docker: DockerUnderTest, volume: DataVolume, script: str) -> None:
    """Do something to the files in it, as root in a container."""
    mount = f"--volume={volume.name}:/data"
    docker.ask("run", "--rm", "--network=none", "--user=0:0", mount, "--entrypoint=sh", _IMAGE, "-ec", script)


def test_where_nothing_is_a_look_makes_nothing(volume: DataVolume, docker: DockerUnderTest) -> None:
    image, found = volume.look(project=_PROJECT)

    assert (image.major, image.libc) == (16, Libc.GLIBC)
    assert image.libc_version.startswith("2.")
    assert (found.exists, found.empty, found.major) == (False, True, None)
    assert not volume.exists()
    assert docker.run("volume", "inspect", volume.name).returncode != 0


def test_a_new_volume_is_empty_labelled_and_its_server_may_write_to_it(
    volume: DataVolume, docker: DockerUnderTest
) -> None:
    volume.create()
    _, found = volume.look(project=_PROJECT)
    label = docker.ask("volume", "inspect", "--format", '{{index .Labels "fr.stratum.stack"}}', volume.name)

    assert (found.exists, found.held, found.empty) == (True, False, True)
    assert label == volume.stack
    assert found.device == (str(volume.device) if volume.device else "")
    if volume.device:
        docker.ask("run", "--rm", "--user=postgres", f"--volume={volume.name}:/data", _IMAGE, "touch", "/data/file")


@pytest.mark.parametrize(
    ("script", "major", "versioned", "owner"),
    [
        ("echo 16 >/data/PG_VERSION; chown 999 /data/PG_VERSION", 16, False, 999),
        ("echo 16 >/data/PG_VERSION; chown -R 70:70 /data; chmod 700 /data; chmod 600 /data/PG_VERSION", 16, False, 70),
        ("mkdir -p /data/18/docker; echo 18 >/data/18/docker/PG_VERSION; chown -R 999 /data/18", 18, True, 999),
        ("touch /data/something", None, False, None),
        (": >/data/PG_VERSION", None, False, None),
    ],
)
def test_a_look_tells_whose_files_of_which_major_lie_in_it(
    volume: DataVolume, docker: DockerUnderTest, script: str, major: int | None, versioned: bool, owner: int | None
) -> None:
    volume.create()
    _write(docker, volume, script)
    _, found = volume.look(project=_PROJECT)

    assert not found.empty
    assert (found.major, found.versioned, found.owner_uid) == (major, versioned, owner)


def test_what_is_held_can_be_neither_removed_nor_pruned_and_is_held_once(
    volume: DataVolume, docker: DockerUnderTest
) -> None:
    volume.create()
    volume.create()
    volume.hold()
    holder = docker.ask("container", "inspect", "--format", "{{.Id}}", volume.holder)
    volume.hold()

    assert volume.is_held()
    assert volume.look(project=_PROJECT)[1].held
    assert docker.ask("container", "inspect", "--format", "{{.Id}}", volume.holder) == holder
    refused = docker.run("volume", "rm", volume.name)
    assert refused.returncode != 0
    assert "in use" in refused.stderr


def test_a_holder_that_ended_is_replaced(volume: DataVolume, docker: DockerUnderTest) -> None:
    volume.create()
    volume.hold()
    docker.ask("kill", volume.holder)
    assert not volume.is_held()

    volume.hold()

    assert volume.is_held()


def test_another_container_on_it_is_named_and_those_of_the_project_are_not(
    volume: DataVolume, docker: DockerUnderTest
) -> None:
    volume.create()
    volume.hold()
    options = (f"--volume={volume.name}:/data", "--entrypoint=sleep")
    ours = ("--label", f"com.docker.compose.project={_PROJECT}")
    with (
        docker.container(_IMAGE, "600", options=options) as other,
        docker.container(_IMAGE, "600", options=(*options, *ours)),
    ):
        _, found = volume.look(project=_PROJECT)

    assert found.other_users == (other.name,)


def test_removing_takes_the_files_as_well_and_may_be_done_again(volume: DataVolume, docker: DockerUnderTest) -> None:
    volume.create()
    volume.hold()
    _write(docker, volume, "echo 16 >/data/PG_VERSION; mkdir /data/base; touch /data/base/1 /data/.hidden")
    volume.remove()
    volume.remove()

    assert docker.run("volume", "inspect", volume.name).returncode != 0
    assert docker.run("container", "inspect", volume.holder).returncode != 0
    assert volume.look(project=_PROJECT)[1].empty


@pytest.mark.parametrize("volume", ["in a directory"], indirect=True)
def test_the_files_of_a_directory_outlive_their_volume_and_a_look_finds_them(
    volume: DataVolume, docker: DockerUnderTest
) -> None:
    volume.create()
    _write(docker, volume, "echo 16 >/data/PG_VERSION; chown -R 999:999 /data; chmod 700 /data")
    docker.ask("volume", "rm", volume.name)
    _, found = volume.look(project=_PROJECT)

    assert (found.exists, found.empty, found.major, found.owner_uid) == (False, False, 16, 999)
    assert found.device == str(volume.device)
    assert volume.exists()


def test_an_image_that_is_nowhere_is_named(volume: DataVolume, tmp_path: Path) -> None:
    absent = DataVolume(
        docker=Docker(directory=tmp_path), stack=volume.stack, named=volume.named, image="no-such.invalid/postgres:16"
    )
    with pytest.raises(StratumError) as refused:
        absent.look(project=_PROJECT)

    assert (refused.value.code, refused.value.details["image"]) == ("image-missing", "no-such.invalid/postgres:16")


def test_a_directory_is_the_servers_also_after_a_first_try_that_was_cut(
    docker: DockerUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try ends with what it asks of Docker first, in whatever order; the second goes through."""
    docker.require_image(_IMAGE)
    name, engine = docker.name("pg_data_cut"), Docker(directory=tmp_path)
    volume = DataVolume(docker=engine, stack=name, named=lambda: name, image=_IMAGE, directory=tmp_path / "data")
    asked: list[str] = []

    def run_cut(self: Docker, arguments: Sequence[str], **options: Any) -> Completed:  # noqa: ANN401  handed on as it came
        if arguments[0] in {"run", "volume"} and arguments[1] != "inspect":
            asked.append(arguments[0])
            if len(asked) == 2:
                raise KeyboardInterrupt
        return _run(self, arguments, **options)

    with monkeypatch.context() as cut:
        cut.setattr(Docker, "run", run_cut)
        with pytest.raises(KeyboardInterrupt):
            volume.create()
    try:
        volume.create()
        docker.ask("run", "--rm", "--user=postgres", f"--volume={name}:/data", _IMAGE, "touch", "/data/file")
    finally:
        volume.remove()


def test_what_a_container_works_on_is_not_removed(volume: DataVolume, docker: DockerUnderTest) -> None:
    volume.create()
    _write(docker, volume, "touch /data/file")
    user = docker.name("works-on-it")
    docker.ask("run", "--detach", "--name", user, f"--volume={volume.name}:/data", "--entrypoint=sleep", _IMAGE, "600")
    try:
        with pytest.raises(StratumError, match="in use"):
            volume.remove()
        docker.ask("exec", user, "test", "-f", "/data/file")
    finally:
        docker.ask("rm", "--force", user)
