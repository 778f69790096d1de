"""One variable of .env changes; every other character stays as its owner wrote it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from dotenv import dotenv_values

from stratum.adapters.env_file import replace_variable, replace_variables, replace_within

_OWNERS = """# my stack

export PASSWORD = 'old'   # changed in spring
CERTIFICATE="one
PASSWORD=inside a certificate
three"
WINDOWS=yes\r
PASSWORD=older
no assignment at all
URL="postgresql://app:old@db:5432/app?schema=public" # the app's
LAST=1"""


def test_a_variable_changes_where_it_stands_and_nothing_else_does() -> None:
    changed = replace_variables(_OWNERS, {"PASSWORD": "new", "ADDED": "2"})

    assert changed == (_OWNERS.replace("'old'", "new").replace("PASSWORD=older", "PASSWORD=new") + "\nADDED=2\n"), (
        changed
    )


def test_a_line_inside_a_quoted_value_is_no_variable(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_bytes(_OWNERS.encode())

    replace_variable(env, "PASSWORD", "new")

    read = dotenv_values(env, interpolate=False)
    assert read["CERTIFICATE"] == "one\nPASSWORD=inside a certificate\nthree"
    assert read.get("PASSWORD") == "new"


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("A=1\n", encoding="utf-8")
    kept.chmod(0o640)
    (tmp_path / ".env").symlink_to(kept)

    replace_variable(tmp_path / ".env", "A", "2")

    assert ((tmp_path / ".env").is_symlink(), kept.read_text("utf-8"), kept.stat().st_mode & 0o777) == (
        True,
        "A=2\n",
        0o640,
    )


def test_a_variable_is_taken_out_with_its_line() -> None:
    assert replace_variables("A=1\nB='2\n3'\nC=4\n", {"B": None, "D": None}) == "A=1\nC=4\n"


def test_an_address_gets_its_new_password_inside_its_quotes() -> None:
    changed = replace_within(_OWNERS, "URL", ":old@", ":new@")

    assert changed == _OWNERS.replace("app:old@db", "app:new@db")


@pytest.mark.parametrize("value", ["''", "", "'it\\'s'", '"a \\" b"', "a#b", "a b"])
def test_any_way_to_write_a_value_gives_way_to_the_new_one(value: str) -> None:
    changed = replace_variables(f"A=1\nB={value}\nC=3\n", {"B": "new"})

    assert dotenv_values(stream=io.StringIO(changed)) == {"A": "1", "B": "new", "C": "3"}
    assert changed == "A=1\nB=new\nC=3\n"
