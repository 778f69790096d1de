"""Images on real containers: every supported major from first start to restore, and those that must not be started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fixtures.database_stacks import DEFAULT_IMAGE, ROWS, DatabaseStack, NewDatabaseStack
from tests.fixtures.docker_engine import DockerUnderTest
from tests.fixtures.postgresql_majors import MAJORS

_MOUNTS = {True: "/var/lib/postgresql", False: "/var/lib/postgresql/data"}
"""From 18 on, and before. (https://github.com/docker-library/docs/blob/master/postgres/content.md, PGDATA)"""


@pytest.mark.parametrize("major", MAJORS)
def test_every_major_is_started_backed_up_proven_lost_and_restored(
    new_database_stack: NewDatabaseStack, docker: DockerUnderTest, major: int
) -> None:
    stack = new_database_stack(image=f"postgres:{major}-bookworm")
    stack.done("up")
    stack.fill()
    before = stack.digest()
    assert stack.sql("SHOW server_version_num")[:2] == str(major)
    assert stack.sql("SHOW data_checksums") == "on"
    _lies_in_the_volume(stack, docker, mount=_MOUNTS[major >= 18])
    stack.done("backup")
    assert "proven" in stack.done("drill").splitlines()[0]

    stack.sql("DROP TABLE orders")
    stack.done("restore", "--confirm", stack.name)

    assert before.startswith(f"{ROWS} ")
    assert stack.digest() == before


def _lies_in_the_volume(stack: DatabaseStack, docker: DockerUnderTest, *, mount: str) -> None:
    """The data, and not in an anonymous volume of the image's own."""
    mounted = json.loads(docker.ask("container", "inspect", "--format", "{{json .Mounts}}", f"{stack.name}-postgres"))
    assert [(m["Name"], m["Destination"]) for m in mounted] == [(stack.setting("POSTGRES_VOLUME"), mount)]
    assert stack.sql("SHOW data_directory", user="postgres").startswith(mount)


# --- what is refused before anything starts ---------------------------------------------------------------------------


@pytest.fixture
def filled(filled_database_stack: DatabaseStack) -> Iterator[DatabaseStack]:
    """A stack of PostgreSQL 16 whose containers are gone; its volume and settings are as before when the test ends."""
    filled_database_stack.done("down")
    yield filled_database_stack
    assert filled_database_stack.containers() == set()


@contextmanager
def _nothing_is_begun(stack: DatabaseStack) -> Iterator[None]:
    volumes = stack.volumes()
    yield
    assert stack.containers() == set(), "a container was made"
    assert stack.volumes() == volumes, "a volume was made or is gone"


def _is_refused(stack: DatabaseStack, code: str) -> str:
    """By `up`, and by `restore`, which would start the server to look for what can be saved; what it says to do."""
    with _nothing_is_begun(stack):
        refusals = [stack.refusal("up"), stack.refusal("restore", "--confirm", stack.name)]
    assert [refused["code"] for refused in refusals] == [code, code]
    assert "untouched" in refusals[0]["data"]
    return str(refusals[0]["next"])


def test_another_major_on_the_volume_is_refused_and_the_old_image_finds_every_row(filled: DatabaseStack) -> None:
    with filled.changed(POSTGRES_IMAGE="postgres:17-bookworm"):
        todo = _is_refused(filled, "volume-other-major")
    filled.done("up")
    rows = filled.digest()
    filled.done("down")

    assert "docs/how-to/move-to-another-image.md" in todo
    assert rows.startswith(f"{ROWS} ")


def test_18_with_the_mount_of_17_is_refused_before_it_begins_anew(filled: DatabaseStack) -> None:
    new = f"{filled.name}_new"
    with filled.changed(POSTGRES_IMAGE="postgres:18-bookworm", POSTGRES_VOLUME=new):
        todo = _is_refused(filled, "mount-mismatch")

    assert todo == "put POSTGRES_MOUNT=/var/lib/postgresql into .env"


def test_17_with_the_mount_of_18_is_refused(filled: DatabaseStack) -> None:
    with filled.changed(POSTGRES_MOUNT="/var/lib/postgresql"):
        todo = _is_refused(filled, "mount-mismatch")

    assert todo == "put POSTGRES_MOUNT=/var/lib/postgresql/data into .env"


def test_a_volume_born_on_alpine_is_refused_with_the_way_to_move_it(
    filled: DatabaseStack, docker: DockerUnderTest
) -> None:
    with docker.volume("alpine") as volume:
        script = "echo 16 >/data/PG_VERSION && chown -R 70:70 /data && chmod 700 /data"
        with docker.container(
            DEFAULT_IMAGE, "-c", script, options=("--entrypoint=sh", "--user=0:0", f"--volume={volume}:/data")
        ) as maker:
            assert maker.wait() == 0
        with filled.changed(POSTGRES_VOLUME=volume):
            todo = _is_refused(filled, "volume-from-alpine")

    assert "pg_dump -Fc" in todo


def test_an_image_of_another_debian_is_refused_because_text_may_sort_otherwise(
    filled: DatabaseStack, docker: DockerUnderTest
) -> None:
    """No other Debian is at hand: what the `ldd` of trixie prints is."""
    ldd = r'printf "#!/bin/sh\necho \"ldd (Debian GLIBC 2.41-12) 2.41\"\n" >/usr/bin/ldd'
    with (
        _image(docker, filled.directory.parent, f"FROM debian:bookworm-slim\nENV PG_MAJOR=16\nRUN {ldd}\n") as trixie,
        filled.changed(POSTGRES_IMAGE=trixie),
    ):
        todo = _is_refused(filled, "collation-moved")

    assert "pin the Debian suite" in todo


def test_an_image_without_its_major_is_refused(filled: DatabaseStack, docker: DockerUnderTest) -> None:
    with (
        _image(docker, filled.directory.parent, "FROM debian:bookworm-slim\n") as nameless,
        filled.changed(POSTGRES_IMAGE=nameless),
    ):
        todo = _is_refused(filled, "image-unusable")

    assert "postgres:16-bookworm" in todo


def test_an_image_whose_c_library_is_musl_is_refused(filled: DatabaseStack, docker: DockerUnderTest) -> None:
    """No Alpine is at hand: what its `ldd` prints is."""
    ldd = r'printf "#!/bin/sh\necho \"musl libc (x86_64)\" >&2; exit 1\n" >/usr/bin/ldd'
    with (
        _image(docker, filled.directory.parent, f"FROM debian:bookworm-slim\nENV PG_MAJOR=16\nRUN {ldd}\n") as musl,
        filled.changed(POSTGRES_IMAGE=musl),
    ):
        _is_refused(filled, "image-unusable")


def test_an_image_that_does_not_exist_is_named(filled: DatabaseStack) -> None:
    with filled.changed(POSTGRES_IMAGE="no-such-image.invalid/postgres:16-bookworm"), _nothing_is_begun(filled):
        refused = filled.refusal("up")

    assert refused["code"] == "image-missing"
    assert "no-such-image.invalid/postgres:16-bookworm" in refused["message"]


def test_an_update_to_another_major_is_refused_while_the_old_one_goes_on(filled: DatabaseStack) -> None:
    filled.done("up")
    before = filled.containers()
    with filled.changed(POSTGRES_IMAGE="postgres:17-bookworm"):
        refused = filled.refusal("update")

    assert refused["code"] == "volume-other-major"
    assert filled.containers() == before
    assert filled.digest().startswith(f"{ROWS} ")
    filled.done("down")


@contextmanager
def _image(docker: DockerUnderTest, place: Path, dockerfile: str) -> Iterator[str]:
    """An image made for one test."""
    context = place / "image"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    tag = docker.name("image")
    docker.ask("build", "--quiet", "--tag", tag, str(context))
    try:
        yield tag
    finally:
        docker.ask("image", "rm", "--force", tag)
