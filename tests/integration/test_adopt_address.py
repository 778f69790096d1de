"""An address that is typed where a directory belongs is refused, and its password is not said again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stratum.core.errors import ExitCode


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_the_password_of_an_address_is_not_repeated(tmp_path: Path, more: tuple[str, ...]) -> None:
    program = str(Path(sys.executable).with_name("stratum"))

    done = subprocess.run(
        (program, "adopt", "postgresql://u:secretpw@127.0.0.1:1/x", *more),
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == ExitCode.USAGE
    assert "secretpw" not in done.stdout + done.stderr
    assert "DATABASE_URL" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
