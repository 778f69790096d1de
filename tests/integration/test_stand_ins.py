"""The postgres images that the tests run on keep the promises of the official ones that Stratum relies on.

With the official images under the same names, the same tests hold these to their promises.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.docker_engine import ContainerUnderTest, DockerUnderTest
from tests.fixtures.stacks import wait_until
from tests.fixtures.stand_in_servers import INIT_DIRECTORY, POSTGRES, POSTGRES_18, asked, ends, is_ready, signs_in

MAJORS = (14, 15, 16, 17, 18)


# --- settings -----------------------------------------------------------------------------------


def test_without_a_password_no_cluster_is_made(docker: DockerUnderTest) -> None:
    with docker.container(POSTGRES) as container:
        code, logs = ends(container)

    assert code == 1
    assert "POSTGRES_PASSWORD" in logs
    assert "initdb" not in logs


def test_trust_is_the_one_way_without_a_password(docker: DockerUnderTest) -> None:
    with docker.container(POSTGRES, env={"POSTGRES_HOST_AUTH_METHOD": "trust"}) as container:
        wait_until(lambda: is_ready(container))

        assert signs_in(container, "any", user="postgres", database="postgres")


def test_a_setting_given_twice_is_refused(docker: DockerUnderTest) -> None:
    both = {"POSTGRES_PASSWORD": "first", "POSTGRES_PASSWORD_FILE": "/etc/hostname"}
    with docker.container(POSTGRES, env=both) as container:
        code, logs = ends(container)

    assert code == 1
    assert "POSTGRES_PASSWORD_FILE" in logs


def test_the_superuser_comes_from_a_file(server_of_files: ContainerUnderTest) -> None:
    assert asked(server_of_files, "SELECT rolname FROM pg_roles WHERE oid = 10 AND rolsuper") == "ada"


def test_the_database_comes_from_a_file(server_of_files: ContainerUnderTest) -> None:
    assert (
        asked(server_of_files, "SELECT count(*) FROM pg_database WHERE datname = 'ledger'", database="postgres") == "1"
    )


def test_the_arguments_of_initdb_come_from_a_file(server_of_files: ContainerUnderTest) -> None:
    assert asked(server_of_files, "SHOW data_checksums") == "on"


def test_the_database_is_named_after_the_user_when_nothing_is_said(docker: DockerUnderTest) -> None:
    with docker.container(POSTGRES, env={"POSTGRES_PASSWORD": "first", "POSTGRES_USER": "ada"}) as container:
        wait_until(lambda: is_ready(container))

        assert asked(container, "SELECT current_database()", database="ada") == "ada"


def test_options_without_a_program_are_the_servers(docker: DockerUnderTest) -> None:
    with docker.container(POSTGRES, "-c", "work_mem=8MB", env={"POSTGRES_PASSWORD": "first"}) as container:
        wait_until(lambda: is_ready(container))

        assert asked(container, "SHOW work_mem", user="postgres", database="postgres") == "8MB"


# --- who gets in --------------------------------------------------------------------------------


def test_the_password_of_the_file_opens_the_server_over_tcp(server_of_files: ContainerUnderTest) -> None:
    assert signs_in(server_of_files, "from a file")


def test_a_wrong_password_opens_nothing_over_tcp(server_of_files: ContainerUnderTest) -> None:
    assert not signs_in(server_of_files, "another")


def test_over_tcp_only_scram_is_spoken(server_of_files: ContainerUnderTest) -> None:
    rule = "SELECT auth_method FROM pg_hba_file_rules WHERE type = 'host' AND address = 'all' AND database = '{all}'"

    assert asked(server_of_files, rule) == "scram-sha-256"


def test_inside_the_container_the_socket_needs_no_password(server_of_files: ContainerUnderTest) -> None:
    socket = server_of_files.ask(
        "psql", "-h", "/var/run/postgresql", "-U", "ada", "-d", "ledger", "--no-password", "-Atc", "SELECT 1"
    )

    assert socket == "1"


def test_replication_from_elsewhere_is_not_let_in(server_of_files: ContainerUnderTest) -> None:
    remote = "database = '{replication}' AND address NOT IN ('127.0.0.1', '::1')"

    assert asked(server_of_files, f"SELECT count(*) FROM pg_hba_file_rules WHERE {remote}") == "0"


# --- scripts of a new cluster -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sql", "sql.gz", "sql.xz", "sql.zst", "sourced", "executed"])
def test_a_script_of_each_kind_runs_once(server_of_files: ContainerUnderTest, kind: str) -> None:
    assert asked(server_of_files, f"SELECT count(*) FROM ran WHERE kind = '{kind}'") == "1"


def test_while_the_scripts_run_nobody_reaches_the_server_over_tcp(server_of_files: ContainerUnderTest) -> None:
    assert asked(server_of_files, "SELECT kind FROM ran WHERE kind LIKE 'tcp %'") == "tcp no"


def test_a_failing_script_ends_the_container(docker: DockerUnderTest, tmp_path: Path) -> None:
    (tmp_path / "broken.sql").write_text("SELECT no_such_thing;")
    container = docker.create(POSTGRES, env={"POSTGRES_PASSWORD": "first"})
    container.copy_in(tmp_path / "broken.sql", f"{INIT_DIRECTORY}/broken.sql")
    container.start()
    code, logs = ends(container)

    assert code != 0
    assert "no_such_thing" in logs


def test_a_directory_with_a_cluster_gets_no_script_and_no_new_password(docker: DockerUnderTest, tmp_path: Path) -> None:
    (tmp_path / "late.sql").write_text("CREATE DATABASE late;")
    with docker.volume() as volume:
        mounted = ("--volume", f"{volume}:/var/lib/postgresql/data")
        with docker.container(POSTGRES, options=mounted, env={"POSTGRES_PASSWORD": "first"}) as first:
            wait_until(lambda: is_ready(first))
            assert first.stop() == 0
        second = docker.create(POSTGRES, options=mounted, env={"POSTGRES_PASSWORD": "second"})
        second.copy_in(tmp_path / "late.sql", f"{INIT_DIRECTORY}/late.sql")
        second.start()
        wait_until(lambda: is_ready(second))
        late = asked(
            second, "SELECT count(*) FROM pg_database WHERE datname = 'late'", user="postgres", database="postgres"
        )
        opens = {word: signs_in(second, word, user="postgres", database="postgres") for word in ("first", "second")}
        docker.remove(second)

    assert late == "0"
    assert opens == {"first": True, "second": False}


# --- accounts, directories, the end -------------------------------------------------------------


def test_the_server_runs_as_the_images_own_account(server_of_files: ContainerUnderTest) -> None:
    status = server_of_files.ask("cat", "/proc/1/status").splitlines()

    assert "Uid:\t999\t999\t999\t999" in status
    assert "Gid:\t999\t999\t999\t999" in status
    assert server_of_files.ask("stat", "-c", "%u:%g %a", "/var/lib/postgresql/data") == "999:999 700"


def test_another_program_runs_instead_of_a_server(docker: DockerUnderTest) -> None:
    docker.require_image(POSTGRES)

    printed = docker.ask("run", "--rm", "--name", docker.name("program"), POSTGRES, "postgres", "--version")

    assert printed.startswith("postgres (PostgreSQL) 16.")


def test_an_account_without_a_name_may_run_it(docker: DockerUnderTest) -> None:
    owned = ("--user", "12345:12345", "--tmpfs", "/var/lib/postgresql/data:uid=12345,gid=12345,mode=0700")
    with docker.container(POSTGRES, options=owned, env={"POSTGRES_PASSWORD": "first"}) as container:
        wait_until(lambda: is_ready(container))

        assert "Uid:\t12345" in container.ask("cat", "/proc/1/status")


def test_it_runs_on_a_root_directory_that_cannot_be_written(docker: DockerUnderTest) -> None:
    sealed = ("--read-only", "--tmpfs", "/tmp", "--tmpfs", "/var/run/postgresql")  # noqa: S108  the container's own
    with docker.container(POSTGRES, options=sealed, env={"POSTGRES_PASSWORD": "first"}) as container:
        wait_until(lambda: is_ready(container))

        assert not container.succeeds("touch", "/usr/written")


def test_stopped_by_docker_it_ends_in_order(plain_server: ContainerUnderTest) -> None:
    code, logs = plain_server.stop(), plain_server.logs()

    assert plain_server.inspect()["Config"]["StopSignal"] == "SIGINT"
    assert code == 0
    assert logs.count("received fast shutdown request") == 2, "once after the scripts, and once at the end"
    assert logs.rstrip().endswith("database system is shut down")


def test_text_sorts_as_the_official_image_has_it(plain_server: ContainerUnderTest) -> None:
    row = "SELECT datcollate FROM pg_database WHERE datname = 'postgres'"

    assert asked(plain_server, row, user="postgres", database="postgres") == "en_US.utf8"


@pytest.mark.parametrize("major", MAJORS)
def test_each_major_is_what_its_name_says(docker: DockerUnderTest, major: int) -> None:
    with docker.container(f"postgres:{major}-bookworm", env={"POSTGRES_PASSWORD": "first"}) as container:
        wait_until(lambda: is_ready(container))
        version = asked(container, "SHOW server_version", user="postgres", database="postgres")
        named = container.ask("printenv", "PG_MAJOR", "PG_VERSION").splitlines()
        dump = container.ask("pg_dump", "--version")

    assert version.split(".")[0] == named[0] == str(major)
    assert named[1].split("-")[0] == version.split(" ")[0] == dump.split()[2]


@pytest.mark.parametrize(
    ("image", "directory", "volume"),
    [
        (POSTGRES, "/var/lib/postgresql/data", "/var/lib/postgresql/data"),
        (POSTGRES_18, "/var/lib/postgresql/18/docker", "/var/lib/postgresql"),
    ],
)
def test_the_data_lies_where_the_major_has_it(docker: DockerUnderTest, image: str, directory: str, volume: str) -> None:
    with docker.container(image, env={"POSTGRES_PASSWORD": "first"}) as container:
        wait_until(lambda: is_ready(container))
        found = asked(container, "SHOW data_directory", user="postgres", database="postgres")
        volumes = container.inspect()["Config"]["Volumes"]

    assert found == directory
    assert set(volumes) == {volume}


def test_18_refuses_a_volume_where_it_would_keep_nothing(docker: DockerUnderTest) -> None:
    with docker.volume() as volume:
        old = ("--volume", f"{volume}:/var/lib/postgresql/data")
        with docker.container(POSTGRES_18, options=old, env={"POSTGRES_PASSWORD": "first"}) as container:
            code, logs = ends(container)

    assert code == 1
    assert "/var/lib/postgresql/data" in logs
