"""Files that another account, a crash or a reboot left where Stratum looks are never followed blindly."""

from __future__ import annotations

import getpass
import os
import tempfile
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest

from stratum.adapters.application_command import secrets_in, without_secret
from stratum.adapters.archive import DirectoryArchive
from stratum.adapters.compose_project import ComposeProject
from stratum.adapters.compose_runtime import ClusterSettings, ComposeRuntime
from stratum.adapters.endpoint import Endpoint
from stratum.adapters.journal import observe_who
from stratum.adapters.postgresql_tools import Installation
from stratum.adapters.postmaster import read_postmaster
from stratum.adapters.scratch_server import ScratchServers
from stratum.adapters.stack_files import lay_down
from stratum.core.errors import StratumError
from stratum.core.stack import Secret


def _leftover(tmp_path: Path) -> tuple[ScratchServers, Path]:
    home = tmp_path / "scratch" / "drill-0badcafe"
    (home / "data").mkdir(parents=True)
    servers = ScratchServers(installation=Installation(bin_dir=tmp_path), directory=tmp_path / "scratch", run_as=None)
    return servers, home


def test_a_sweep_deletes_no_directory_that_a_leftover_merely_names(tmp_path: Path) -> None:
    servers, home = _leftover(tmp_path)
    precious = tmp_path / "precious"
    precious.mkdir()
    (home / "sockets").write_text(str(precious), encoding="utf-8")

    assert servers.sweep() == 1
    assert precious.is_dir()
    assert not home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another account's directory")
def test_a_sweep_deletes_no_socket_directory_of_another_account(tmp_path: Path) -> None:
    servers, home = _leftover(tmp_path)
    theirs = tmp_path / "stratum-theirs"
    theirs.mkdir()
    os.chown(home, 65534, 65534)
    (home / "sockets").write_text(str(theirs), encoding="utf-8")

    servers.sweep()

    assert theirs.is_dir()


def test_a_sweep_removes_the_socket_directory_that_a_killed_drill_left(tmp_path: Path) -> None:
    servers, home = _leftover(tmp_path)
    sockets = tempfile.mkdtemp(prefix="stratum-", dir=tmp_path)
    (home / "sockets").write_text(sockets, encoding="utf-8")

    servers.sweep()

    assert not Path(sockets).exists()


@pytest.mark.parametrize("torn", [b"", b"\n", b"\0\0\0\0", b"not a number\n"])
def test_a_lock_file_that_a_power_cut_emptied_stops_no_sweep(tmp_path: Path, torn: bytes) -> None:
    servers, home = _leftover(tmp_path)
    (home / "data" / "postmaster.pid").write_bytes(torn)

    assert servers.sweep() == 1


def test_what_a_tool_has_to_read_lies_where_no_other_account_can_put_anything() -> None:
    endpoint = Endpoint(host="127.0.0.1", port=5433, user="u", password=Secret("hush"))

    with endpoint.passfile() as passfile:
        assert passfile.stat().st_mode & 0o777 == 0o600
        assert str(passfile).startswith(f"/proc/{os.getpid()}/fd/"), "no disk holds it, so kill -9 leaves none behind"

    assert not passfile.exists()


def test_an_error_can_be_shown_without_the_password_of_the_address_in_it() -> None:
    secret = Secret("p@ss/word")

    assert without_secret("cannot reach postgresql://u:p%40ss%2Fword@h/d or p@ss/word", secret) == (
        "cannot reach postgresql://u:…@h/d or …"
    )


def test_a_number_that_another_users_process_has_by_now_is_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> Path:
        raise PermissionError(path)

    (tmp_path / "postmaster.pid").write_text("1\n/d\n0\n5433\n", encoding="utf-8")
    if os.geteuid() == 0:
        # Root may look at every process, so it is refused here as everybody else is.
        os.chown(tmp_path, 65534, 65534)
        monkeypatch.setattr(Path, "readlink", refuse)

    assert read_postmaster(tmp_path) is None


def test_who_is_named_by_number_where_no_account_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)

    assert observe_who().startswith(f"uid {os.getuid()}@")


@pytest.mark.parametrize("archive", ["plain", 'quo"te', "back\\slash", "é\n\x7f"])
def test_any_archive_directory_can_be_written_into_the_settings(tmp_path: Path, archive: str) -> None:
    lay_down(tmp_path / "stack", name="shop", database_directory=archive, archive=archive, console=True)

    settings = tomllib.loads((tmp_path / "stack" / "stratum.toml").read_text(encoding="utf-8"))

    assert (settings["archive"]["path"], settings["database"]["directory"]) == (archive, archive)


def test_another_account_cannot_enter_a_new_archive(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    DirectoryArchive(path, stack="led", data_directory=lambda: tmp_path, declared_domain=None).initialise("led")

    assert [entry for entry in (path, *path.iterdir()) if entry.is_dir() and entry.stat().st_mode & 0o007] == []


def test_a_command_in_a_container_that_fails_shows_no_secret_of_the_stack() -> None:
    class Project:
        def run_in_service(self, service: str, argv: tuple[str, ...], *, told: object) -> None:
            del service, argv, told
            said = "no route to postgresql://app:hunter%2F2@db/shop, nor to redis://:swordfish@redis; key topsecret"
            raise StratumError("tool-failed", tool="docker", exit_code=1, stderr=said)

    environment = {"POSTGRES_PASSWORD": "hunter/2", "QUEUE": "redis://:swordfish@redis", "API_KEY": "topsecret"}
    settings = ClusterSettings(
        superuser="postgres",
        owner="app",
        database="shop",
        passwords={},
        backup_image="shop-backup",
        env_file=Path(".env"),
        commands_service="backend",
        secrets=secrets_in(environment),
    )
    nothing: Any = None
    runtime = ComposeRuntime(settings, project=cast("ComposeProject", Project()), docker=nothing, volume=nothing)

    with pytest.raises(StratumError) as raised:
        runtime.run_command(("migrate",))

    assert raised.value.details["stderr"] == "no route to postgresql://app:…@db/shop, nor to redis://:…@redis; key …"
