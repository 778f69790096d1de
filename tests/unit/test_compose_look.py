"""What adopt reads out of `docker compose config --format json`, as Compose 2.26 prints it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stratum.adapters.adopted_commands import set_commands
from stratum.adapters.adopted_files import OVERRIDE, AdoptedPlace, write_override
from stratum.adapters.compose_look import database_service, parse_project
from stratum.adapters.stack_files import render_settings
from stratum.config import load_settings
from stratum.core.adopted_tools import FoundCommands
from stratum.core.adoption import ComposeLook
from stratum.core.errors import StratumError

_NAMED = {"type": "volume", "source": "pg_data", "target": "/var/lib/postgresql/data", "volume": {}}


def _config(database: dict[str, Any], **more: dict[str, Any]) -> dict[str, Any]:
    base = {"image": "postgres:16-bookworm", "environment": {"POSTGRES_USER": "shop", "POSTGRES_PASSWORD": "p" * 20},
            "volumes": [_NAMED], "networks": {"default": None}}  # fmt: skip
    services = {"store": base | database, **more.pop("services", {})}
    volumes = {"pg_data": {"name": "shop_pg_data"}}
    return {"name": "shop", "services": services, "volumes": volumes, **more}


def _look(database: dict[str, Any], **more: dict[str, Any]) -> ComposeLook:
    return parse_project(_config(database, **more), "store", texts=[], files=())


def test_a_volume_a_directory_and_a_volume_without_a_name_are_told_apart() -> None:
    bound = {"type": "bind", "source": "/srv/data", "target": "/var/lib/postgresql/data"}
    nameless = {"type": "volume", "target": "/var/lib/postgresql/data", "volume": {}}

    assert (_look({}).volume, _look({}).volume_key) == ("shop_pg_data", "pg_data")
    assert _look({"volumes": [bound]}).directory == "/srv/data"
    assert (_look({"volumes": [nameless]}).volume, _look({"volumes": []}).volume) == ("", "")


@pytest.mark.parametrize(
    "command",
    [
        ["postgres", "-c", "fsync=off", "-c", "shared_buffers=1GB"],
        ["-cfsync=off"],
        ["postgres", "--fsync=off"],
        ["docker-entrypoint.sh", "-c fsync=OFF"],
    ],
)
def test_settings_of_a_command_are_seen_however_they_are_written(command: list[str]) -> None:
    assert [line.lower() for line in _look({"command": command}).lossy_settings] == ["fsync = off"]


def test_the_command_line_counts_over_the_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "pg.conf").write_text("# fsync = off\nfull_page_writes = 'off' # no\nsynchronous_commit off\n")
    mounted = {"type": "bind", "source": str(tmp_path / "pg.conf"), "target": "/etc/pg.conf"}

    look = _look({"command": ["-c", "config_file=/etc/pg.conf", "-c", "synchronous_commit=on"],
                  "volumes": [_NAMED, mounted]})  # fmt: skip

    assert look.lossy_settings == ("full_page_writes = off",)


def test_user_password_and_database_are_read_from_secrets_and_mounted_files(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("of-a-secret-file\n")
    (tmp_path / "user").write_text("keeper")
    environment = {"POSTGRES_PASSWORD_FILE": "/run/secrets/db_password", "POSTGRES_USER_FILE": "/etc/given/user"}

    look = _look(
        {"environment": environment, "secrets": [{"source": "db_password"}],
         "volumes": [_NAMED, {"type": "bind", "source": str(tmp_path), "target": "/etc/given"}]},
        secrets={"db_password": {"file": str(tmp_path / "password")}},
    )  # fmt: skip

    assert (look.user, look.password, look.database) == ("keeper", "of-a-secret-file", "keeper")


def test_every_database_that_a_service_connects_to_is_guarded() -> None:
    web = {"environment": {"DATABASE_URL": "postgresql+asyncpg://shop:x@store:5432/shop",
                           "AUDIT": "postgres://shop:x@store/au%64it?sslmode=disable"}}  # fmt: skip
    other = {"environment": {"DATABASE_URL": "postgres://shop:x@elsewhere/not_here"}}

    look = _look({}, services={"web": web, "worker": other})

    assert (look.database, look.others) == ("shop", ("audit",))


def test_trust_and_a_data_directory_of_its_own_are_seen() -> None:
    look = _look({"environment": {"POSTGRES_HOST_AUTH_METHOD": "trust", "PGDATA": "/var/lib/postgresql/data/pgdata"}})
    usual = _look({"environment": {"PGDATA": "/var/lib/postgresql/data/"}})

    assert (look.trusts, look.strays, usual.strays) == (True, True, False)


def test_of_several_servers_the_one_that_is_meant_has_to_be_named() -> None:
    services = {"a": {"image": "postgres:16"}, "b": {"image": "registry:5000/postgis/postgis:16-3.4"}, "web": {}}

    with pytest.raises(StratumError) as refused:
        database_service(services, None)

    assert "a, b" in refused.value.message
    assert database_service(services, "b") == "b"


def test_the_override_names_the_volume_of_env_and_mounts_it_where_the_files_name_none(tmp_path: Path) -> None:
    place = AdoptedPlace(service="store", network="default", volume_key="", mount="/var/lib/postgresql/data")

    write_override(tmp_path, place)

    text = (tmp_path / OVERRIDE).read_text()
    assert '- { type: volume, source: "stratum-data", target: "/var/lib/postgresql/data" }' in text
    assert "name: ${POSTGRES_VOLUME}" in text, "a switch of volumes in .env is a switch of the database's"
    assert "@" not in text


def test_a_project_that_names_its_volume_keeps_mounting_it_itself(tmp_path: Path) -> None:
    place = AdoptedPlace(service="store", network="back", volume_key="pg_data", mount="/var/lib/postgresql/data")

    write_override(tmp_path, place)

    text = (tmp_path / OVERRIDE).read_text()
    assert '"pg_data": !override' in text
    assert "stratum-data" not in text


def test_commands_that_were_found_are_written_as_words(tmp_path: Path) -> None:
    toml = render_settings(name="s", databases=("d",), place='service = "db"', archive=None, console=False)
    found = FoundCommands(service="web", tool="Prisma", migrate=("npx", 'a "b"\n'), health=("curl", "http://web/h"))

    (tmp_path / "stratum.toml").write_text(set_commands(toml, found))

    commands = load_settings(tmp_path).commands
    assert (commands.service, commands.migrate, commands.health) == ("web", found.migrate, found.health)
