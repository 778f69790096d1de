"""A process that was tied to another ends as Ctrl-C would end it, as soon as the other lets go or is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stratum.adapters.leash import Leash, obey
from tests.fixtures.stacks import wait_until

_OBEYING = """
import signal, sys, time
from pathlib import Path
from stratum.adapters.leash import obey
from stratum.adapters.signals import install_signal_handlers
install_signal_handlers()
obey(Path(sys.argv[1]), sys.argv[2])
try:
    print("tied", flush=True)
    sys.stdin.readline()
    print("left alone")
except KeyboardInterrupt as interrupt:
    print(interrupt)
"""
_HOLDING = """
import sys
from pathlib import Path
from stratum.adapters.leash import Leash
leash = Leash(Path(sys.argv[1]))
print(leash.name, flush=True)
sys.stdin.readline()
"""


def _start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (sys.executable, "-c", script, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "archive.json").write_text("{}", encoding="utf-8")
    return tmp_path


def test_whoever_is_tied_waits_for_input_until_the_host_lets_go(archive: Path) -> None:
    leash = Leash(archive)
    with _start(_OBEYING, str(archive), str(leash.name)) as tied:
        assert _line(tied) == "tied"

        leash.let_go()

        assert _line(tied) == "SIGTERM"
        assert tied.wait() == 0


def test_a_killed_host_lets_go(archive: Path) -> None:
    with _start(_HOLDING, str(archive)) as host, _start(_OBEYING, str(archive), _line(host)) as tied:
        assert _line(tied) == "tied"

        host.send_signal(signal.SIGKILL)

        assert _line(tied) == "SIGTERM"


def test_two_hosts_do_not_hold_each_others_verbs(archive: Path) -> None:
    first, second = Leash(archive), Leash(archive)
    with (
        _start(_OBEYING, str(archive), str(first.name)) as tied,
        _start(_OBEYING, str(archive), str(second.name)) as other,
    ):
        assert (_line(tied), _line(other)) == ("tied", "tied")

        first.let_go()

        assert _line(tied) == "SIGTERM"
        assert other.poll() is None
        second.let_go()
        assert _line(other) == "SIGTERM"


def test_a_host_whose_locks_are_not_seen_ends_nothing(archive: Path) -> None:
    leash = Leash(archive)
    with _start(_OBEYING, str(archive), "1") as untied:
        assert _line(untied) == "tied"
        assert untied.stdin is not None
        untied.stdin.close()
        assert _line(untied) == "left alone"
    assert leash.name is not None


def test_without_an_archive_nothing_is_held_and_nothing_left_there(tmp_path: Path) -> None:
    leash = Leash(tmp_path)

    assert leash.name is None
    leash.let_go()
    obey(tmp_path, "1")
    assert list(tmp_path.iterdir()) == []


def test_letting_go_twice_is_no_fault(archive: Path) -> None:
    leash = Leash(archive)
    leash.let_go()
    leash.let_go()
    wait_until(lambda: leash.name is None)
