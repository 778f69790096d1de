"""What every test shares: the fixtures of `tests/fixtures`, and no skipping where all can be installed."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

# Fixtures use each other's modules, so all of them are announced before the first is imported.
pytest.register_assert_rewrite("tests.fixtures", "tests.fakes", "tests.contracts")

# A test gets a fixture by naming it as an argument, without an import.
pytest_plugins = tuple(
    f"tests.fixtures.{file.stem}" for file in sorted((Path(__file__).parent / "fixtures").glob("[!_]*.py"))
)

# A container's root may lack rights, such as mounting, that no installation gives it.
_CANNOT_BE_INSTALLED = "this account may not"


def pytest_configure() -> None:
    """A shell makes what it runs in the background deaf to Ctrl-C, and so every verb that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: `.ci/run` has to install what it wanted."""
    report = yield
    is_skipped = report.skipped and not hasattr(report, "wasxfail")
    if is_skipped and os.environ.get("CI") == "true" and _CANNOT_BE_INSTALLED not in report.longreprtext:
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longreprtext}"
    return report
