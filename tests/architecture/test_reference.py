"""The generated reference: it leaves nothing out, is the same wherever it is made, and notices a changed file."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stratum.cli.attribute_docstrings import attribute_docstrings
from stratum.cli.reference import differences, main, render_reference
from stratum.cli.reference_schemas import SCHEMAS
from stratum.config import SECTIONS
from stratum.core.checklist import LINES, LineKind
from tests.architecture.sources import ROOT, called_name, sources

_PAGES = ROOT / "docs" / "reference"


@pytest.mark.parametrize("kind", LINES.values(), ids=LINES)
def test_a_line_of_the_checklist_stands_with_its_sentences(kind: LineKind) -> None:
    section = (_PAGES / "checklist.md").read_text("utf-8").split(f"## `{kind.name}`\n")[1].split("\n## ")[0]

    for text in (kind.holds, kind.red, kind.fix):
        assert text in section
    assert ("`stratum check --fix` mends it" in section) is kind.mendable


def test_a_setting_says_what_it_means() -> None:
    silent = [
        f"[{name}] {key}"
        for name, kind in SECTIONS.items()
        for key in kind.__dataclass_fields__.keys() - attribute_docstrings(kind).keys()
    ]

    assert silent == []


def test_every_name_that_is_read_from_env_stands_in_the_settings() -> None:
    page = (_PAGES / "settings.md").read_text("utf-8")
    names = {
        argument.value
        for file in sources("src")
        for call in file.calls()
        if called_name(call).split(".")[-1] in {"value", "secret"}
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }

    assert "POSTGRES_DB" in names
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_every_schema_fixes_its_format_number() -> None:
    for name in SCHEMAS:
        text = render_reference()[Path(f"schemas/{name}.json")]
        assert '"const": 1' in text, name


def test_the_reference_is_the_same_in_another_process_and_language() -> None:
    script = "from stratum.cli.reference import render_reference as r; print(repr(sorted(r().items())), end='')"
    env = os.environ | {"PYTHONHASHSEED": "4711", "LANGUAGE": "fr", "LANG": "fr_FR.UTF-8", "COLUMNS": "40"}
    done = subprocess.run((sys.executable, "-c", script), env=env, capture_output=True, text=True, check=True)

    assert done.stdout == repr(sorted(render_reference().items()))


def test_a_file_that_was_changed_removed_or_made_up_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--root", str(tmp_path), "--check"]) == 0
    (tmp_path / "docs/reference/cli.md").write_text("# Commands\n")
    (tmp_path / "schemas/plan.json").unlink()
    (tmp_path / "schemas/dream.json").write_text("{}")

    assert main(["--root", str(tmp_path), "--check"]) == 1
    assert differences(tmp_path) == (
        "docs/reference/cli.md is not what the code says",
        "schemas/dream.json describes nothing in the code",
        "schemas/plan.json is missing",
    )
    assert "run `make docs`" in capsys.readouterr().out
