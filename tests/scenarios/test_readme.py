"""The first steps of both READMEs and the tutorial, typed as written in an empty directory, do what they say."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.architecture.sources import ROOT
from tests.fixtures.ports import own_port
from tests.fixtures.stacks import StackUnderTest, end

_EXIT = "== exit "


@pytest.mark.parametrize(("page", "heading"), [("README.md", "First steps"), ("README.fr.md", "Premiers pas")])
def test_the_first_steps_do_what_the_page_says(page: str, heading: str, empty_place: StackUnderTest) -> None:
    text = (ROOT / page).read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]

    typed = _type_as_written(text, empty_place)

    assert re.search(r"^ +1000$", typed, re.MULTILINE), typed
    assert re.search(r"proven; 10\d\d rows restored", typed), "the orders, and what the console wrote into its own"


def test_the_tutorial_loses_the_data_three_times_and_gets_it_back(empty_place: StackUnderTest) -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")

    typed = _type_as_written(text, empty_place)

    counts = re.findall(r"^(\d+)$", typed, re.MULTILINE)
    assert counts == ["1000", "0", "1001", "1000", "1001", "1001"], typed
    assert "error[rows-collapsed]" in typed
    assert "error[cluster-absent]" in typed


def _type_as_written(text: str, place: StackUnderTest) -> str:
    """Type a page's shell blocks, the first in the checkout and the others in an empty directory.

    Returns what was printed; fails where an exit code is not the one the page names.
    """
    in_checkout, *others = (block.splitlines() for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    steps = [line for block in others for line in block if line]
    place.directory.mkdir()
    script = [*in_checkout, f"cd '{place.directory}'"]
    for step in steps:
        script += [step, f'echo "{_EXIT}$?"']
        if step.startswith("stratum init"):
            script.append(f"sed -i 's/^POSTGRES_PORT=.*/POSTGRES_PORT={own_port()}/' shop/.env")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PG"))}
    shop = StackUnderTest(directory=place.directory / "shop")
    with _typing("shop\n" * 10) as keyboard, _ended(shop):
        typed = subprocess.run(
            ("bash", "-c", "\n".join(script)),
            cwd=ROOT,
            env=environment | {"LANG": "C.UTF-8"},
            stdin=keyboard,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=240,
            check=False,
        ).stdout
    exits = [int(code) for code in re.findall(rf"{_EXIT}(\d+)", typed)]
    assert list(zip(steps, exits, strict=True)) == [(step, _promised(step)) for step in steps], typed
    return typed


@contextmanager
def _ended(stack: StackUnderTest) -> Iterator[None]:
    try:
        yield
    finally:
        end(stack)


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
