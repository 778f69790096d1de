"""What adopt says of a database it was pointed at, and what it writes, where no server and no engine is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stratum.adapters.adopted_files import adopt_into
from stratum.adapters.database_url import parse_database_url
from stratum.adapters.restore_as_member import Loading, restore_as_member
from stratum.adapters.roles_script import BACKUP_ROLE, REPLICATION_ROLE, RolesOrder, given_rights, render_roles_script
from stratum.config import load_settings, read_environment
from stratum.core.adoption import ComposeLook, ServerLook, find_obstacle, project_risks, server_risks
from stratum.core.errors import StratumError
from stratum.core.stack import Secret
from stratum.served_wiring import own_server_url, render_roles

_SOUND = ComposeLook(
    project="shop", service="db", image="postgres:16-bookworm", user="shop", password="x" * 20, database="shop",
    mount="/var/lib/postgresql/data", volume="shop_pg_data", volume_key="pg_data", volume_external=True,
    volume_exists=True, checksums=True,
)  # fmt: skip
_SERVER = ServerLook(where="db:5432", user="shop", major=16, replication=True)


def _names(look: ComposeLook) -> set[str]:
    return {risk.name for risk in project_risks(look)}


def test_a_sound_project_is_at_risk_for_want_of_a_backup_alone() -> None:
    assert _names(_SOUND) == {"no-backup"}
    assert find_obstacle(_SOUND, ("db", "app")) == ""


@pytest.mark.parametrize(
    ("changed", "risk"),
    [
        ({"volume_external": False}, "volume-deletable"),
        ({"volume": ""}, "volume-nameless"),
        ({"volume": "6a1f", "nameless": True}, "volume-nameless"),
        ({"data_directory": "/var/lib/postgresql/data/pgdata"}, "data-in-subdirectory"),
        ({"settings": {"fsync": "off"}}, "lossy-settings"),
        ({"trusts": True}, "trust-authentication"),
        ({"image": "postgres:16"}, "suite-floats"),
        ({"volume": "", "directory": "/srv/data"}, "host-directory"),
        ({"image": "postgres:18-bookworm"}, "mount-mismatch"),
        ({"image": "postgres:16-alpine"}, "alpine-image"),
        ({"image": "postgres"}, "image-floats"),
        ({"image": "postgres:latest"}, "image-floats"),
        ({"image": "postgres:13-bookworm"}, "too-old"),
        ({"literal_secrets": ("POSTGRES_PASSWORD",)}, "secrets-in-file"),
        ({"default_secrets": ("POSTGRES_PASSWORD",)}, "weak-secrets"),
        ({"published": ("0.0.0.0:5432",)}, "published-port"),
        ({"application_users": ("app",)}, "superuser-application"),
        ({"checksums": False}, "no-checksums"),
    ],
)
def test_each_risk_of_a_project_is_named(changed: dict[str, object], risk: str) -> None:
    look = replace(_SOUND, **changed)  # type: ignore[arg-type]  # the fields' own types

    (found,) = [risk_ for risk_ in project_risks(look) if risk_.name == risk]

    assert found.kind.statement.format_map(found.details)
    assert found.kind.fix.format_map(found.details)


def test_checksums_are_on_by_themselves_from_18_on() -> None:
    look = replace(_SOUND, image="postgres:18-bookworm", mount="/var/lib/postgresql", checksums=False)
    assert _names(look) == {"no-backup"}


@pytest.mark.parametrize(
    ("changed", "services", "said"),
    [
        ({"image": "postgres:16-alpine"}, (), "has to be left first"),
        ({"image": "postgres"}, (), "names no major version"),
        ({"password": ""}, (), "POSTGRES_PASSWORD"),
        ({"volume": ""}, (), "no container tells it"),
        ({"data_directory": "/var/lib/postgresql/data/pgdata"}, (), "not at the top of a volume"),
        ({"mount": "/var/lib/postgresql"}, (), "mounted at"),
        ({"volume_exists": False}, (), "start the project once"),
        ({}, ("db", "backup"), "a service backup already"),
    ],
)
def test_a_project_that_cannot_be_added_to_safely_is_left_alone(
    changed: dict[str, object], services: tuple[str, ...], said: str
) -> None:
    assert said in find_obstacle(replace(_SOUND, **changed), services)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize(
    ("changed", "risk"),
    [
        ({"superuser": True}, "superuser-application"),
        ({"checksums": False}, "no-checksums"),
        ({"replication": False}, "no-replication"),
        ({"protected_tables": ("public.orders",)}, "row-security"),
        ({"extensions": ("dblink",)}, "superuser-extensions"),
        ({"major": 13}, "too-old"),
        ({"problem": "connection refused"}, "not-looked-at"),
    ],
)
def test_each_risk_of_a_server_is_named(changed: dict[str, object], risk: str) -> None:
    found = server_risks(replace(_SERVER, **changed))  # type: ignore[arg-type]  # as above

    assert [one.name for one in found] == ["no-backup", risk]
    assert found[1].kind.statement.format_map(found[1].details)


def test_what_env_says_is_kept_and_what_it_lacks_is_added(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nBACKUP_PASSWORD=chosen-by-hand\nREPLICATION_PASSWORD=\n")

    adopt_into(
        tmp_path, toml="", variables={"DATABASE_URL": "postgres://u:it's $5 é@h/d"},
        generated=("BACKUP_PASSWORD", "REPLICATION_PASSWORD"),
    )  # fmt: skip

    found = read_environment(tmp_path / ".env")
    assert found["BACKUP_PASSWORD"] == "chosen-by-hand"  # noqa: S105 - what the test wrote
    assert found["DATABASE_URL"] == "postgres://u:it's $5 é@h/d"
    assert len(found["REPLICATION_PASSWORD"]) > 30
    assert (tmp_path / ".env").read_text().startswith("# mine\n")
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_a_directory_that_holds_a_stack_is_not_adopted_again(tmp_path: Path) -> None:
    (tmp_path / "stratum.toml").write_text("")
    with pytest.raises(StratumError) as refused:
        adopt_into(tmp_path, toml="", variables={}, generated=())
    assert refused.value.code == "stack-exists"
    assert not (tmp_path / ".env").exists()


def test_an_address_is_read_as_applications_write_it() -> None:
    found = parse_database_url("postgres://shop:p%40ss%2Fw@[fd00::1]/shop?schema=public", file="f", setting="s")

    assert (found.user, found.password.reveal, found.database) == ("shop", "p@ss/w", "shop")
    assert (found.address.host, found.address.port, found.address.bracketed) == ("fd00::1", 5432, "[fd00::1]")


@pytest.mark.parametrize("address", ["mysql://u:p@h/d", "postgres://h/d", "postgres://u:p@h", "postgres://u:p@h:x/d"])
def test_an_address_that_leads_nowhere_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(StratumError) as refused:
        parse_database_url(address, file=".env", setting="DATABASE_URL")
    assert refused.value.code == "invalid-setting"
    assert "u:p" not in refused.value.message


def test_localhost_is_refused_where_it_would_be_the_container_itself(tmp_path: Path) -> None:
    _write_stack(tmp_path, runtime="compose", url="postgres://u:p@localhost/d")
    with pytest.raises(StratumError) as refused:
        own_server_url(load_settings(tmp_path))
    assert "host.docker.internal" in refused.value.message


def test_the_script_connects_to_each_guarded_database_whatever_it_is_called(tmp_path: Path) -> None:
    _write_stack(tmp_path, runtime="embedded", url="postgres://o%27wner:p@h/shop", databases=("shop", "d'b=1"))

    script = render_roles(load_settings(tmp_path))

    assert "SET stratum.owner = 'o''wner';" in script
    assert "\\connect -reuse-previous=on \"dbname='shop'\"" in script
    assert "\\connect -reuse-previous=on \"dbname='d\\'b=1'\"" in script
    assert "any-password" not in script


def test_a_role_without_a_password_is_not_made() -> None:
    passwords = {name: Secret("any-password") for name in ("shop", BACKUP_ROLE, REPLICATION_ROLE)}

    script = render_roles_script(RolesOrder(owner="shop", databases=("shop",), passwords=passwords))

    assert "stratum_role('stratum_backup'" in script
    assert "stratum_role('stratum_maintenance'" not in script
    assert "stratum_role('stratum_console'" not in script


def test_the_reference_shows_the_very_statements_that_are_run() -> None:
    assert given_rights(REPLICATION_ROLE) == ("ALTER ROLE stratum_replication REPLICATION",)
    assert "GRANT pg_read_all_data TO stratum_backup" in given_rights(BACKUP_ROLE)


def test_schemas_come_first_and_their_rights_once_more_at_the_end() -> None:
    schema, table, rights = "7; 2615 1 SCHEMA - a o", "8; 1259 2 TABLE a t o", "9; 0 0 ACL - SCHEMA a o"
    done: list[object] = []
    loading = Loading(
        entries=lambda _: (table, rights, schema),
        load=lambda lines: done.append(list(lines)),
        run=lambda _: done.append("run"),
    )

    restore_as_member(loading, Path("dump"))

    assert done == [[schema], "run", [table, rights], "run", [rights]]


def _write_stack(place: Path, *, runtime: str, url: str, databases: tuple[str, ...] = ("d",)) -> None:
    names = ", ".join(f'"{name}"' for name in databases)
    text = f'[stack]\nname = "s"\nruntime = "{runtime}"\n[database]\nurl = "$DATABASE_URL"\ndatabases = [{names}]\n'
    (place / "stratum.toml").write_text(text)
    secrets = ("BACKUP_PASSWORD", "REPLICATION_PASSWORD", "MAINTENANCE_PASSWORD")
    lines = [f"DATABASE_URL={url}", *(f"{name}=any-password" for name in secrets)]
    (place / ".env").write_text("\n".join(lines) + "\n")
