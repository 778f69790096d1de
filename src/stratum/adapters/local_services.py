"""Starts, looks at and ends the console's services on this machine, through one supervisor a stack."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from stratum.adapters.postmaster import free_port, port_is_free
from stratum.adapters.process import run_tool
from stratum.adapters.records import to_json
from stratum.adapters.service_log import read_log
from stratum.adapters.service_record import (
    NO_MORE_WAITING,
    ONLY_THE_LAST,
    TOLD_BY,
    Orders,
    ServiceSpec,
    Supervision,
    SupervisionFiles,
)
from stratum.core.errors import ExitCode, StratumError
from stratum.core.services import ServicePhase, ServiceState

_START_SECONDS, _STOP_SECONDS, _HEALTHY_SECONDS = 60.0, 90.0, 60.0
_KILLED_SECONDS, _RENEW_SECONDS = 10.0, 15.0
_ANSWER_SECONDS = 3.0
_POLL_SECONDS = 0.05
_GIVES_UP_AFTER = 2
"""Ends by itself; a second one is no accident of a moment."""
_LOG_LINES = 5
_PORT_TRIES = 3
_INHERITED = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY")

Build = Callable[[Mapping[str, int]], tuple[ServiceSpec, ...]]
"""Makes the services, told the port each will have."""


class LocalServices:
    """The services of one stack. What runs is known from the supervisor's lock, never from a number alone."""

    def __init__(self, directory: Path, *, wishes: Mapping[str, int], build: Build) -> None:
        self._files = SupervisionFiles(directory=directory)
        self._wishes = dict(wishes)
        self._build = build

    def planned(self) -> tuple[str, ...]:
        return tuple(self._wishes)

    def observe(self, *, ask: bool) -> tuple[ServiceState, ...]:
        found = self._files.read() if self._wishes or self._files.is_supervised() else None
        if found is None:
            return tuple(_stopped(name, port) for name, port in self._wishes.items())
        if not self._files.is_supervised():
            return tuple(replace(s, phase=ServicePhase.STOPPED, pid=None, healthy=None) for s in found.services)
        return tuple(_asked(s, found) for s in found.services) if ask else found.services

    def start(self) -> None:
        if not self._wishes:
            self.stop()
            return
        for _ in range(_PORT_TRIES):
            try:
                self._start()
                return
            except StratumError:
                if not self._lost_a_port():
                    raise
            # Another program took a port between our look at it and the service's; the next look finds another one.
            self.stop()
        self._start()

    def _lost_a_port(self) -> bool:
        """Whether a service does not run because somebody else listens where it should."""
        found = self._files.read()
        return found is not None and any(
            state.phase is ServicePhase.WAITING and not port_is_free(state.port) for state in found.services
        )

    def _start(self) -> None:
        running = self._files.read() if self._files.is_supervised() else None
        if running is None:
            self.stop()  # one whose record cannot be read holds the ports
        orders = self._orders(running)
        if running is None or running.digest != orders.digest:
            self.stop()
            self._start_supervisor(orders)
            running = None
        elif (pid := self._supervisor()) is not None:
            os.kill(pid, NO_MORE_WAITING)
        self._wait_until_healthy({state.name: state.restarts for state in running.services} if running else {})

    def stop_writers(self) -> None:
        """End all but what goes on until the database has stopped; the supervisor starts none of it again."""
        pid = self._supervisor() if self._files.is_supervised() else None
        if pid is None:
            return
        last = {spec.name for spec in self.specs() if spec.stops_last}
        os.kill(pid, ONLY_THE_LAST)
        deadline = time.monotonic() + _STOP_SECONDS
        while self._files.is_supervised() and time.monotonic() < deadline:
            found = self._files.read()
            if found is not None and all(s.pid is None for s in found.services if s.name not in last):
                return
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ask, wait, then by force: the kernel ends a killed supervisor's services with it."""
        pid = None
        for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _KILLED_SECONDS)):
            deadline = time.monotonic() + seconds
            while self._files.is_supervised() and time.monotonic() < deadline:
                if pid is None and (pid := self._supervisor()) is not None:
                    os.kill(pid, number)
                time.sleep(_POLL_SECONDS)
            if not self._files.is_supervised():
                return
            pid = None
        raise StratumError("services-not-ended", lock=self._files.lock)

    def renew(self, name: str) -> None:
        """A service that is ended is started again by its supervisor; returns when the old process is gone."""
        found = self._files.read() if self._files.is_supervised() else None
        pid = next((s.pid for s in found.services if s.name == name), None) if found else None
        if found is None or pid is None or not _is_child_of(pid, found.supervisor):
            return
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _RENEW_SECONDS
        while _is_child_of(pid, found.supervisor) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def log(self, name: str, lines: int) -> list[str]:
        return read_log(self._files.log(name), lines)

    def specs(self) -> tuple[ServiceSpec, ...]:
        """What would be started now."""
        return self._orders(None).services

    def _orders(self, running: Supervision | None) -> Orders:
        ports = {name: self._port(name, wish, running) for name, wish in self._wishes.items()}
        inherited = {n: v for n, v in os.environ.items() if n in _INHERITED or n.startswith("LC_") or _is_proxy(n)}
        return Orders(services=self._build(ports), wishes=self._wishes, inherited=inherited)

    def _port(self, name: str, wish: int, running: Supervision | None) -> int:
        """A service keeps the port it has for as long as the same one is wished for."""
        if running is not None and running.wishes.get(name) == wish:
            return next((service.port for service in running.services if service.name == name), wish)
        taken = {s.port for s in running.services} if running else set()
        return wish if wish in taken or port_is_free(wish) else free_port()

    def _start_supervisor(self, orders: Orders) -> None:
        for name in ("run", "logs"):
            (self._files.directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        argv = (sys.executable, "-P", "-m", "stratum.supervisor", str(self._files.directory))
        told = {TOLD_BY: to_json(orders)}
        try:
            run_tool(argv, timeout_seconds=_START_SECONDS, env=orders.inherited | told, detached=True)
        except StratumError as error:
            problem = error.details.get("stderr", error.message)
            raise StratumError("services-not-started", problem=problem) from None

    def _supervisor(self) -> int | None:
        found = self._files.read()
        return _find_supervisor(self._files.directory, found.supervisor if found else None)

    def _wait_until_healthy(self, before: Mapping[str, int]) -> None:
        deadline = time.monotonic() + _HEALTHY_SECONDS
        while True:
            states = self.observe(ask=True)
            if all(state.healthy for state in states):
                return
            for state in states:
                if not state.healthy and (_has_given_up(state, before) or time.monotonic() > deadline):
                    raise self._not_serving(state)
            if not self._files.is_supervised():
                raise StratumError("services-not-started", problem=" | ".join(self.log("supervisor", _LOG_LINES)))
            time.sleep(_POLL_SECONDS)

    def _not_serving(self, state: ServiceState) -> StratumError:
        said = "it does not answer" if state.exit_code is None else f"it ended with {state.exit_code}"
        log = " | ".join(self.log(state.name, _LOG_LINES)) or "it left no log"
        return StratumError("service-not-serving", service=state.name, said=said, log=log)


def _stopped(name: str, port: int) -> ServiceState:
    return ServiceState(
        name=name, phase=ServicePhase.STOPPED, port=port, wished_port=port, address=f"http://127.0.0.1:{port}"
    )


def _has_given_up(state: ServiceState, before: Mapping[str, int]) -> bool:
    """A start that was refused will be refused again; any other end may have been an accident, once."""
    if state.phase is not ServicePhase.WAITING:
        return False
    ends = state.restarts - before.get(state.name, 0)
    return ends >= (1 if state.exit_code == ExitCode.REFUSED else _GIVES_UP_AFTER)


def _asked(state: ServiceState, found: Supervision) -> ServiceState:
    serves = state.phase is ServicePhase.RUNNING and _answers(found.health[state.name])
    return replace(state, healthy=serves)


def _answers(url: str) -> bool:
    """Whether it answers 200 on this machine; no proxy is asked, and nothing is sent."""
    from http.client import HTTPConnection, HTTPException
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _is_proxy(name: str) -> bool:
    return name.lower().endswith("_proxy")


def _find_supervisor(directory: Path, recorded: int | None) -> int | None:
    """The supervisor of this directory, from the process table: somebody else may have written the record.

    Where there is no such table, the record is believed.
    """
    if not Path("/proc/self").exists():
        return recorded
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"stratum.supervisor" in words and os.fsencode(directory) in words:
            return int(entry.name)
    return None


def _is_child_of(pid: int, parent: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[1] == str(parent)
