"""What every test shares: the fixtures of `tests/fixtures`, asked for by naming them as an argument."""

from __future__ import annotations

from pathlib import Path

pytest_plugins = tuple(
    f"tests.fixtures.{file.stem}" for file in sorted((Path(__file__).parent / "fixtures").glob("[!_]*.py"))
)
