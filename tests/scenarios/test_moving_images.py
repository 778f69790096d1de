"""Moves between images, and checksums turned on, on real containers: the pages' own commands are typed."""

from __future__ import annotations

import pytest

from tests.fixtures.database_stacks import DEFAULT_IMAGE, ROWS, DatabaseStack, NewDatabaseStack
from tests.fixtures.docker_engine import DockerUnderTest
from tests.fixtures.followed_pages import follow
from tests.fixtures.stacks import wait_until

_MOVE = "move-to-another-image.md"
_CHECKSUMS = "turn-checksums-on.md"


@pytest.fixture
def stack(new_database_stack: NewDatabaseStack) -> DatabaseStack:
    return new_database_stack()


def _names(stack: DatabaseStack) -> dict[str, str]:
    """What the pages call the stack's things. A reader types its name where a restore asks; other lines may be red."""
    return {
        "cd shop\n": "",
        "stratum restore": f"stratum restore --confirm {stack.name}",
        "stratum identity accept": f"stratum identity accept --confirm {stack.name}",
        "stratum check\n": "stratum check || true\n",
        "shop_pg_data": stack.setting("POSTGRES_VOLUME"),
        "shop_pg17": f"{stack.name}_pg17",
        "shop_pg_debian": f"{stack.name}_pg_debian",
        "shop-old ": f"{stack.name}-old ",
        "shop-old\n": f"{stack.name}-old\n",
    }


@pytest.mark.torture
def test_another_major_is_reached_as_the_page_says_and_the_old_volume_leads_back(
    stack: DatabaseStack, docker: DockerUnderTest
) -> None:
    docker.require_image("postgres:17-bookworm")
    stack.done("up")
    stack.fill()
    rows, names, before = stack.digest(), _names(stack), stack.setting("POSTGRES_VOLUME")

    follow(stack, _MOVE, "To another major, or to another Debian", names=names)
    moved, version = stack.digest(), stack.sql("SHOW server_version_num")
    proven = stack.done("drill")
    stack.put(POSTGRES_IMAGE=DEFAULT_IMAGE, POSTGRES_VOLUME=before)
    stack.done("down")
    follow(stack, _MOVE, "The way back", names=names)

    assert (moved, version[:2]) == (rows, "17")
    assert "proven" in proven.splitlines()[0]
    assert stack.sql("SHOW server_version_num")[:2] == "16"
    assert stack.digest() == rows
    assert stack.volumes() == {before, f"{stack.name}_pg17"}


def test_a_volume_of_alpine_is_left_by_a_dump_as_the_page_says_and_stays_as_it_is(
    stack: DatabaseStack, docker: DockerUnderTest
) -> None:
    """The old image is Debian's with Alpine's number for its account: no Alpine is at hand."""
    old, volume = docker.name("of-alpine"), stack.setting("POSTGRES_VOLUME")
    _build_with_account_70(docker, stack, old)
    docker.ask("volume", "create", "--label", f"fr.stratum.stack={stack.name}", volume)
    settings = {"POSTGRES_USER": "stratum", "POSTGRES_DB": "stratum_db", "POSTGRES_PASSWORD": "of the old stack"}
    mounted = f"--volume={volume}:/var/lib/postgresql/data"
    with docker.container(old, options=(mounted,), env=settings) as born:
        wait_until(lambda: born.succeeds("pg_isready", "--quiet", "--host=127.0.0.1"))
        rows = f"SELECT i AS id, 'é' || i AS name FROM generate_series(1, {ROWS}) AS i"
        born.ask("psql", "-U", "stratum", "-d", "stratum_db", "-c", f"CREATE TABLE orders AS {rows}")
        born.stop()
    refused = stack.refusal("up")

    try:
        follow(stack, _MOVE, "From Alpine", names={**_names(stack), "postgres:16-alpine": old})
        assert refused["code"] == "volume-from-alpine"
        assert stack.digest().startswith(f"{ROWS} ")
        assert stack.volumes() == {volume, f"{stack.name}_pg_debian"}
        with docker.container(old, options=(mounted,)) as again:
            wait_until(lambda: again.succeeds("pg_isready", "--quiet", "--host=127.0.0.1"))
            left = again.ask("psql", "-U", "stratum", "-d", "stratum_db", "-Atc", "SELECT count(*) FROM orders")
        assert left == str(ROWS)
    finally:
        docker.run("rm", "--force", f"{stack.name}-old")


def _build_with_account_70(docker: DockerUnderTest, stack: DatabaseStack, tag: str) -> None:
    context = stack.directory.parent / "of-alpine"
    context.mkdir()
    given = (
        "groupmod -g 70 postgres && usermod -u 70 postgres && chown -R 70:70 /var/lib/postgresql /var/run/postgresql"
    )
    (context / "Dockerfile").write_text(f"FROM {DEFAULT_IMAGE}\nRUN {given}\n", encoding="utf-8")
    docker.ask("build", "--quiet", "--tag", tag, str(context))


def test_checksums_that_are_off_are_a_red_line_and_the_page_turns_them_on(
    stack: DatabaseStack, docker: DockerUnderTest
) -> None:
    stack.done("up")
    stack.fill()
    rows, names = stack.digest(), _names(stack)
    stack.done("down")
    mounted = f"{stack.setting('POSTGRES_VOLUME')}:/var/lib/postgresql/data"
    docker.ask("run", "--rm", "--user=postgres", "--volume", mounted, DEFAULT_IMAGE, "pg_checksums", "--disable")
    stack.done("up")
    before = stack.run("check").stdout

    after = follow(stack, _CHECKSUMS, "On Docker", names=names)

    assert "RED  checksums: data checksums are off" in before
    assert "docs/how-to/turn-checksums-on.md" in before
    assert "ok  checksums: data checksums are on" in after
    assert stack.sql("SHOW data_checksums") == "on"
    assert stack.digest() == rows
