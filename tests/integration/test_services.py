"""One supervisor a stack: services are started, started again, looked at and ended, and never more than that."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from stratum.adapters import private_directory, service_record
from stratum.adapters.local_services import LocalServices
from stratum.adapters.service_log import ServiceLog, read_log
from stratum.adapters.service_record import Orders, ServiceSpec, SupervisionFiles
from stratum.core.errors import StratumError
from stratum.core.services import ServicePhase, ServiceState
from stratum.supervisor import Supervisor
from tests.fixtures.ports import own_port
from tests.fixtures.stacks import wait_until

_PROGRAM = Path(__file__).parents[1] / "fixtures" / "stand_in_service.py"
_HIDDEN = "only-for-the-service"


@dataclass(kw_only=True, slots=True)
class _House:
    """A directory with two services in it, and what a test changes about them."""

    directory: Path
    wishes: dict[str, int] = field(default_factory=lambda: {"east": own_port(), "west": own_port()})
    environment: dict[str, dict[str, str]] = field(default_factory=dict)
    last: str = ""
    """The service that goes on until the database has stopped."""

    @property
    def files(self) -> SupervisionFiles:
        return SupervisionFiles(directory=self.directory)

    def services(self) -> LocalServices:
        return LocalServices(self.directory, wishes=self.wishes, build=self._build)

    def up(self) -> dict[str, ServiceState]:
        self.services().start()
        return self.states()

    def states(self) -> dict[str, ServiceState]:
        return {state.name: state for state in self.services().observe(ask=True)}

    def supervisor(self) -> int:
        found = self.files.read()
        assert found is not None
        return found.supervisor

    def _build(self, ports: Mapping[str, int]) -> tuple[ServiceSpec, ...]:
        return tuple(
            ServiceSpec(
                name=name,
                argv=(sys.executable, str(_PROGRAM)),
                environment={"PORT": str(port), "SECRET": _HIDDEN} | self.environment.get(name, {}),
                port=port,
                address=f"http://127.0.0.1:{port}",
                health=f"http://127.0.0.1:{port}/",
                stops_last=name == self.last,
            )
            for name, port in ports.items()
        )


@pytest.fixture
def house() -> Iterator[_House]:
    with tempfile.TemporaryDirectory(prefix="stratum-services-", dir="/tmp") as name:
        house = _House(directory=Path(name))
        try:
            yield house
        finally:
            house.services().stop()


def test_services_that_were_started_serve_and_say_where(house: _House) -> None:
    states = house.up()

    for name, state in states.items():
        assert state.phase is ServicePhase.RUNNING
        assert state.healthy
        assert state.address == f"http://127.0.0.1:{house.wishes[name]}"
        assert _is_there(state.pid)


def test_what_a_service_says_is_in_a_log_that_others_cannot_read(house: _House) -> None:
    house.up()

    wait_until(lambda: house.services().log("east", 5) == [f"starting with {len(_HIDDEN)} letters of a secret"])
    assert house.files.log("east").stat().st_mode & 0o777 == 0o600
    assert house.files.record.stat().st_mode & 0o777 == 0o600


def test_a_secret_stands_in_no_argument_and_in_no_file(house: _House) -> None:
    states = house.up()

    pids = [house.supervisor(), *(state.pid for state in states.values())]
    arguments = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids]
    files = [path.read_bytes() for path in house.directory.rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert [found for found in (*arguments, *files) if _HIDDEN.encode() in found] == []


def test_starting_again_leaves_what_serves_as_it_is(house: _House) -> None:
    before = house.up()

    assert house.up() == before


def test_changed_settings_start_the_services_anew_on_the_same_ports(house: _House) -> None:
    before = house.up()
    house.environment["west"] = {"MORE": "of it"}

    after = house.up()

    assert {name: s.port for name, s in after.items()} == {name: s.port for name, s in before.items()}
    assert all(after[name].pid != before[name].pid for name in after)
    assert not any(_is_there(state.pid) for state in before.values())


def test_a_service_that_died_is_started_again_and_counted(house: _House) -> None:
    before = house.up()["west"]
    _kill(before)

    wait_until(lambda: house.states()["west"].restarts == 1)
    wait_until(lambda: house.states()["west"].healthy is True)

    after = house.states()
    assert after["west"].pid != before.pid
    assert after["west"].exit_code == -signal.SIGKILL
    assert after["east"].restarts == 0
    assert "-- west ended with -9; next start in 1 s" in house.services().log("west", 10)


def test_starting_again_waits_for_no_pause_of_a_service_that_died(
    house: _House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.up()
    for ends in (1, 2, 3):
        wait_until(lambda: house.states()["west"].healthy is True)
        _kill(house.states()["west"])
        wait_until(lambda: house.states()["west"].restarts == ends)  # noqa: B023 - asked in this round only
    monkeypatch.setattr("stratum.adapters.local_services._HEALTHY_SECONDS", 3.0)

    assert house.up()["west"].healthy, "the fourth start is due after 4 s only"


def test_a_service_that_is_renewed_comes_back_as_another_process(house: _House) -> None:
    before = house.up()["east"]

    house.services().renew("east")

    wait_until(lambda: house.states()["east"].pid not in {before.pid, None})
    wait_until(lambda: house.states()["east"].healthy is True)


def test_stopping_leaves_no_process_behind_and_may_be_repeated(house: _House) -> None:
    before = house.up()
    supervisor = house.supervisor()

    house.services().stop()
    house.services().stop()

    assert not any(_is_there(state.pid) for state in before.values())
    wait_until(lambda: not _is_there(supervisor))
    assert {state.phase for state in house.states().values()} == {ServicePhase.STOPPED}


def test_a_killed_supervisor_takes_its_services_with_it_and_the_next_start_recovers(house: _House) -> None:
    before = house.up()
    os.kill(house.supervisor(), signal.SIGKILL)

    wait_until(lambda: not any(_is_there(state.pid) for state in before.values()))
    assert {state.phase for state in house.states().values()} == {ServicePhase.STOPPED}

    assert all(state.healthy for state in house.up().values())


def test_a_taken_port_is_passed_over_for_a_free_one(house: _House) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", house.wishes["east"]))
        taken.listen()
        states = house.up()

    assert states["east"].port != states["east"].wished_port == house.wishes["east"]
    assert states["east"].healthy
    assert states["west"].port == house.wishes["west"]


def test_a_port_that_was_lost_to_another_program_is_given_up_for_a_free_one(house: _House) -> None:
    """It ended, and before its next start somebody else came: waiting would not bring the port back."""
    before = house.up()["east"]
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _kill(before)
        wait_until(lambda: _binds(taken, before.port))
        taken.listen()
        after = house.up()

    assert after["east"].port != before.port
    assert after["east"].healthy
    assert after["west"].healthy


def _binds(taken: socket.socket, port: int) -> bool:
    try:
        taken.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def test_a_start_that_was_refused_is_said_with_its_log_and_the_others_serve(house: _House) -> None:
    house.environment["west"] = {"REFUSAL": "the schema is of a newer release"}

    with pytest.raises(StratumError) as failed:
        house.services().start()

    assert failed.value.code == "service-not-serving"
    assert failed.value.details["service"] == "west"
    assert "the schema is of a newer release" in failed.value.message
    assert house.states()["east"].serves
    assert not house.states()["west"].serves


def test_mended_settings_bring_a_refused_service_up(house: _House) -> None:
    house.environment["west"] = {"REFUSAL": "no"}
    with pytest.raises(StratumError):
        house.services().start()
    house.environment.clear()

    assert all(state.healthy for state in house.up().values())


def test_services_that_are_no_longer_wished_for_are_ended(house: _House) -> None:
    before = house.up()
    house.wishes = {}

    house.services().start()

    assert not any(_is_there(state.pid) for state in before.values())
    assert house.services().observe(ask=True) == ()


def test_a_record_that_names_another_process_ends_the_right_one(house: _House) -> None:
    """Another account may own the directory and write what it likes into it."""
    states = house.up()
    found = house.files.read()
    assert found is not None
    with _sleeper() as sleeper:
        house.files.write(replace(found, supervisor=sleeper.pid))

        house.services().stop()

        assert sleeper.poll() is None
    assert not any(_is_there(state.pid) for state in states.values())


def test_services_are_ended_when_nobody_can_read_their_record(house: _House) -> None:
    """Another release wrote it, or a full disk cut it off."""
    states = house.up()
    house.files.record.write_text('{"format": 1, "of": "another release"}', encoding="utf-8")

    house.services().stop()

    assert not any(_is_there(state.pid) for state in states.values())


def test_services_whose_record_nobody_can_read_are_started_anew(house: _House) -> None:
    before = house.up()
    house.files.record.write_text("", encoding="utf-8")

    after = house.up()

    assert all(state.healthy for state in after.values())
    assert not any(_is_there(state.pid) for state in before.values())


def test_a_link_in_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine", encoding="utf-8")
    (tmp_path / "agent.log").symlink_to(precious)

    with pytest.raises(OSError, match="symbolic link"):
        ServiceLog(tmp_path / "agent.log")

    assert precious.read_text(encoding="utf-8") == "mine"
    assert read_log(tmp_path / "agent.log", 5) == []


def test_a_log_is_set_aside_by_size_and_what_is_oldest_goes(tmp_path: Path) -> None:
    log = ServiceLog(tmp_path / "agent.log", largest=20)

    for number in range(6):
        log.append(f"line number {number}\n".encode())
    log.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.log", "agent.log.1", "agent.log.2"]
    assert read_log(tmp_path / "agent.log", 5) == ["line number 4", "line number 5"]


def test_a_full_disk_costs_a_log_some_lines_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ServiceLog(tmp_path / "agent.log", largest=20)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", _no_space)
        log.append(b"lost\n")
        patched.setattr(os, "rename", _no_space)
        log.append(b"too long to stay in the same file\n")
    log.append(b"kept\n")
    log.close()

    assert read_log(tmp_path / "agent.log", 5) == ["kept"]


def test_a_full_disk_ends_no_service_and_the_record_is_written_when_there_is_room(
    house: _House, monkeypatch: pytest.MonkeyPatch
) -> None:
    (house.directory / "run").mkdir()
    (house.directory / "logs").mkdir()
    spec = ServiceSpec(name="east", argv=("true",), environment={}, port=1, address="", health="")
    orders = Orders(services=(spec,), wishes={"east": 1}, inherited={})
    supervisor = Supervisor(house.files, orders)
    supervisor.start()
    written: list[str] = []

    def write_privately(path: Path, content: str) -> None:
        written.append(path.name)
        if len(written) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        private_directory.write_privately(path, content)
        supervisor.stop(signal.SIGTERM, None)

    monkeypatch.setattr(service_record, "write_privately", write_privately)
    supervisor.run()

    found = house.files.read()
    assert found is not None
    assert [(state.phase, state.restarts) for state in found.services] == [(ServicePhase.STOPPED, 1)]


def test_a_record_that_does_not_fit_on_the_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "rename", _no_space)

    with pytest.raises(OSError, match="No space"):
        private_directory.write_privately(tmp_path / "services.json", "{}")

    assert list(tmp_path.iterdir()) == []


def _no_space(*args: object, **named: object) -> None:
    del args, named
    raise OSError(errno.ENOSPC, "No space left on device")


@contextmanager
def _sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen((sys.executable, "-c", "import time; time.sleep(600)")) as sleeper:
        try:
            yield sleeper
        finally:
            sleeper.kill()


def _kill(state: ServiceState) -> None:
    assert state.pid is not None
    os.kill(state.pid, signal.SIGKILL)


def _is_there(pid: int | None) -> bool:
    """Whether a process runs; one that has ended, and was not waited for by its new parent yet, does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_what_writes_ends_first_and_what_receives_goes_on_until_all_end(house: _House) -> None:
    house.last = "west"
    before = house.up()

    house.services().stop_writers()

    between = house.states()
    assert between["east"].pid is None
    assert between["west"].pid == before["west"].pid
    assert house.up()["east"].healthy, "whoever starts them again wants all of them"
    house.services().stop_writers()
    house.services().stop()
    assert not _is_there(before["west"].pid)
