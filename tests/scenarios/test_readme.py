"""The README's first steps, typed as written in an empty directory, do what the README says."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT
from tests.fixtures.stacks import StackUnderTest, end

_EXIT = "== exit "


@pytest.mark.parametrize(("page", "heading"), [("README.md", "First steps"), ("README.fr.md", "Premiers pas")])
def test_the_first_steps_do_what_the_page_says(page: str, heading: str, empty_place: StackUnderTest) -> None:
    in_checkout, in_empty_directory = _blocks(ROOT / page, heading)
    steps = _steps(in_empty_directory)
    empty_place.directory.mkdir()
    script = [*in_checkout, f"cd '{empty_place.directory}'"]
    for step in steps:
        script += [step, f'echo "{_EXIT}$?"']
    shop = StackUnderTest(directory=empty_place.directory / "shop")
    with _typing("shop\n" * 3) as keyboard, _ended(shop):
        typed = subprocess.run(
            ("bash", "-c", "\n".join(script)),
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PG"))} | {"LANG": "C.UTF-8"},
            stdin=keyboard,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    exits = [int(code) for code in re.findall(rf"{_EXIT}(\d+)", typed.stdout)]
    assert dict(zip(steps, exits, strict=False)) == {step: _promised(step) for step in steps}, typed.stdout
    assert re.search(r"^ +1000$", typed.stdout, re.MULTILINE), typed.stdout
    assert "proven; 1000 rows restored" in typed.stdout


@contextmanager
def _ended(stack: StackUnderTest) -> Iterator[None]:
    try:
        yield
    finally:
        end(stack)


def _blocks(page: Path, heading: str) -> list[list[str]]:
    """The lines of each shell block below a heading, up to the next heading."""
    section = page.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)]


def _steps(lines: list[str]) -> list[str]:
    """One entry a line; two lines that read the same are told apart by a trailing space."""
    steps: list[str] = []
    for line in filter(None, lines):
        steps.append(line + " " * steps.count(line))
    return steps


def _promised(step: str) -> int:
    """The exit code that the comment beside a command names; 0 when it names none."""
    found = re.search(r"# (?:exit|code) (\d+)", step)
    return int(found[1]) if found else 0


@contextmanager
def _typing(text: str) -> Iterator[int]:
    """A terminal on which this was typed ahead."""
    person, terminal = pty.openpty()
    try:
        os.write(person, text.encode())
        yield terminal
    finally:
        os.close(terminal)
        os.close(person)
