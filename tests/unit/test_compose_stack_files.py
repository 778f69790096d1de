"""A Compose stack's files: which of them Compose reads, and what init adds to those that are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from dotenv import dotenv_values

from stratum.adapters.compose_answers import FILE_NAMES, compose_files
from stratum.adapters.env_file import replace_variable
from stratum.adapters.stack_files import lay_down_compose
from stratum.core.errors import StratumError

_SEEDS_OWN = "FRONTEND_PORT=3100\nJWT_SECRET=\nPOSTGRES_PASSWORD='pa$$ wörd'\n# kept\n"


@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_project_is_found_under_each_name_that_compose_knows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("services: {}\n", encoding="utf-8")

    assert compose_files(tmp_path) == (tmp_path / name,)


def test_the_file_name_of_the_seed_is_one_of_them() -> None:
    assert "docker-compose.yml" in FILE_NAMES


def test_a_file_of_the_users_own_is_read_after_the_stacks(tmp_path: Path) -> None:
    for name in ("compose.yaml", "docker-compose.yml", "compose.override.yaml"):
        (tmp_path / name).write_text("services: {}\n", encoding="utf-8")

    assert [file.name for file in compose_files(tmp_path)] == ["compose.yaml", "compose.override.yaml"]


def test_a_directory_without_a_compose_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StratumError) as refused:
        compose_files(tmp_path)

    assert refused.value.code == "no-compose-file"


def test_an_env_that_was_copied_from_the_example_gets_what_it_lacks_and_keeps_what_it_has(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(_SEEDS_OWN, encoding="utf-8")

    lay_down_compose(tmp_path, name="shop", variables={"FRONTEND_PORT": "3000", "STACK_NAME": "shop"}, console=True)

    found = dotenv_values(tmp_path / ".env", interpolate=False)
    assert (found["FRONTEND_PORT"], found["POSTGRES_PASSWORD"], found["STACK_NAME"]) == ("3100", "pa$$ wörd", "shop")
    assert len(found["JWT_SECRET"] or "") >= 32
    assert "# kept" in (tmp_path / ".env").read_text(encoding="utf-8")
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_a_new_stack_keeps_its_secrets_from_git_and_from_others(tmp_path: Path) -> None:
    lay_down_compose(tmp_path, name="shop", variables={"STACK_NAME": "shop"}, console=True)

    assert {".env", "secrets/"} <= set((tmp_path / ".gitignore").read_text(encoding="utf-8").splitlines())
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    secrets = {v for k, v in dotenv_values(tmp_path / ".env").items() if k.endswith(("PASSWORD", "SECRET"))}
    assert len(secrets) >= 6
    assert all(value and len(value) >= 32 for value in secrets)


@pytest.mark.parametrize("between", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_setting_a_variable_leaves_a_secret_with_any_character_as_it_is(tmp_path: Path, between: str) -> None:
    env = tmp_path / ".env"
    env.write_text(f"POSTGRES_PASSWORD='a{between}b'\nPOSTGRES_VOLUME=old\n", encoding="utf-8")

    replace_variable(env, "POSTGRES_VOLUME", "new")

    assert env.read_text(encoding="utf-8") == f"POSTGRES_PASSWORD='a{between}b'\nPOSTGRES_VOLUME=new\n"
