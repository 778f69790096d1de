"""Runs the console's services: starts them, starts them again, keeps their logs, and ends them with itself."""

from __future__ import annotations

import fcntl
import math
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from stratum.adapters.private_directory import open_lock
from stratum.adapters.process import Child, RunAs, detach, end_group, start
from stratum.adapters.records import parse
from stratum.adapters.service_log import ServiceLog
from stratum.adapters.service_record import (
    NO_MORE_WAITING,
    ONLY_THE_LAST,
    TOLD_BY,
    Orders,
    ServiceSpec,
    Supervision,
    SupervisionFiles,
)
from stratum.core.services import ServicePhase, ServiceState

_TICK_SECONDS = 0.1
_LOCK_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_LIVED_SECONDS = 60.0
_CHUNK = 1 << 16


@dataclass(slots=True)
class _Service:
    """One service over its lives. All is done in the process's first thread: the kernel ties a child to a thread."""

    spec: ServiceSpec
    log: ServiceLog
    inherited: dict[str, str] = field(repr=False)
    wished_port: int
    child: Child | None = None
    output: int | None = None
    """Where what it writes is read; None once it was closed."""
    restarts: int = 0
    exit_code: int | None = None
    since: datetime | None = None
    started_s: float = 0.0
    pause_s: float = _FIRST_PAUSE
    due_s: float = 0.0
    """When it is started next, while it does not run."""

    def start(self) -> None:
        self._close_output()
        reading, writing = os.pipe()
        run_as = RunAs(uid=self.spec.uid, gid=self.spec.gid, name="") if self.spec.uid and self.spec.gid else None
        with os.fdopen(writing, "wb") as out:
            self.child = start(
                self.spec.argv,
                env=self.inherited | self.spec.environment,
                run_as=run_as,
                cwd=None,
                stdout=out,
                stderr=out,
            )
        os.set_blocking(reading, False)
        self.output, self.since, self.started_s = reading, datetime.now(UTC), time.monotonic()

    def take_output(self) -> None:
        """Move what it wrote into its log, whatever there is of it by now."""
        while self.output is not None:
            try:
                chunk = os.read(self.output, _CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self._close_output()
                return
            self.log.append(chunk)

    def notice_end(self) -> bool:
        """Whether it has just been seen to have ended; it is due again after a pause, longer each time."""
        if self.child is None or self.child.poll() is None:
            return False
        self.take_output()
        now = time.monotonic()
        if now - self.started_s >= _LIVED_SECONDS:
            self.pause_s = _FIRST_PAUSE
        self.exit_code, self.child, self.since = self.child.returncode, None, datetime.now(UTC)
        self.restarts, self.due_s = self.restarts + 1, now + self.pause_s
        said = f"-- {self.spec.name} ended with {self.exit_code}; next start in {self.pause_s:.0f} s\n"
        self.log.append(said.encode())
        self.pause_s = min(self.pause_s * 2, _LONGEST_PAUSE)
        return True

    def state(self, *, ended: bool = False) -> ServiceState:
        waiting = ServicePhase.STOPPED if ended else ServicePhase.WAITING
        return ServiceState(
            name=self.spec.name,
            phase=ServicePhase.RUNNING if self.child else waiting,
            pid=self.child.pid if self.child else None,
            port=self.spec.port,
            wished_port=self.wished_port,
            address=self.spec.address,
            restarts=self.restarts,
            since=self.since,
            exit_code=self.exit_code,
        )

    def _close_output(self) -> None:
        if self.output is not None:
            os.close(self.output)
            self.output = None


class Supervisor:
    """Keeps services running until it is told to stop."""

    def __init__(self, files: SupervisionFiles, orders: Orders) -> None:
        self._files = files
        self._orders = orders
        self._stopping = False
        self._resting = False
        self._unwritten = False
        self._services = [
            _Service(
                spec=spec,
                log=ServiceLog(files.log(spec.name)),
                inherited=orders.inherited,
                wished_port=orders.wishes[spec.name],
            )
            for spec in orders.services
        ]

    def stop(self, number: int, frame: FrameType | None) -> None:
        """For SIGTERM: end at the next turn."""
        del number, frame
        self._stopping = True

    def hurry(self, number: int, frame: FrameType | None) -> None:
        """For `up`: whoever typed it has mended something, and waits."""
        del number, frame
        for service in self._services:
            service.pause_s, service.due_s = _FIRST_PAUSE, 0.0

    def rest(self, number: int, frame: FrameType | None) -> None:
        """For `stop`: at the next turn end all but what goes on until the database has stopped."""
        del number, frame
        self._resting = True

    def start(self) -> None:
        for service in self._services:
            service.start()
        self._write()

    def run(self) -> None:
        """Watch until told to stop, then end what runs."""
        while not self._stopping:
            if self._resting:
                self._resting = False
                self._rest()
            self._turn()
        self._end(self._services)
        self._write_if_possible(ended=True)

    def _turn(self) -> None:
        self._take_outputs()
        changed = self._unwritten
        for service in self._services:
            changed |= service.notice_end()
            if service.child is None and service.due_s <= time.monotonic():
                service.start()
                changed = True
        if changed:
            self._write_if_possible()

    def _take_outputs(self) -> None:
        outputs = [service.output for service in self._services if service.output is not None]
        select.select(outputs, [], [], _TICK_SECONDS)
        for service in self._services:
            service.take_output()

    def _rest(self) -> None:
        """Those that end here are not due again before somebody wants them."""
        writing = [service for service in self._services if not service.spec.stops_last]
        self._end(writing)
        for service in writing:
            service.due_s = math.inf
        self._write_if_possible()

    def _end(self, services: Sequence[_Service]) -> None:
        """All are asked at once; each has its own time, and is ended by force after it."""
        asked_s = time.monotonic()
        for service in services:
            if service.child is not None:
                service.child.send_signal(signal.SIGTERM)
        for service in services:
            while service.child is not None and service.child.poll() is None:
                self._take_outputs()
                if time.monotonic() - asked_s > service.spec.grace_seconds:
                    end_group(service.child, first=signal.SIGKILL)
            service.take_output()
            service.exit_code = service.child.returncode if service.child else service.exit_code
            service.child, service.since = None, datetime.now(UTC)
        self._write_if_possible(ended=True)

    def _write_if_possible(self, *, ended: bool = False) -> None:
        """A disk that is full ends no service; the record is written at a later turn, once there is room."""
        try:
            self._write(ended=ended)
        except OSError:
            self._unwritten = True
        else:
            self._unwritten = False

    def _write(self, *, ended: bool = False) -> None:
        self._files.write(
            Supervision(
                supervisor=os.getpid(),
                digest=self._orders.digest,
                wishes=self._orders.wishes,
                health={spec.name: spec.health for spec in self._orders.services},
                services=tuple(service.state(ended=ended) for service in self._services),
            )
        )


def main() -> int:
    """`python -m stratum.supervisor DIRECTORY`; returns to who started it once the services are started."""
    files = SupervisionFiles(directory=Path(sys.argv[1]))
    orders = parse(Orders, os.environ.pop(TOLD_BY), file=TOLD_BY)
    lock = open_lock(files.lock)
    if not _take(lock):
        print("another supervisor holds the lock", file=sys.stderr)
        return 1
    tell_ready = detach()
    supervisor = Supervisor(files, orders)
    signal.signal(signal.SIGTERM, supervisor.stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(NO_MORE_WAITING, supervisor.hurry)
    signal.signal(ONLY_THE_LAST, supervisor.rest)
    supervisor.start()
    log = ServiceLog(files.log("supervisor"))
    _write_to(log)
    tell_ready()
    supervisor.run()
    return 0


def _take(lock: int) -> bool:
    """Somebody who only looks holds the lock for a moment too."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TICK_SECONDS)
        else:
            return True
    return False


def _write_to(log: ServiceLog) -> None:
    """What this program itself prints, a traceback for one, goes where a person will look."""
    os.dup2(log.handle, 1)
    os.dup2(log.handle, 2)


if __name__ == "__main__":
    sys.exit(main())
