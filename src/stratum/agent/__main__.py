"""Starts the agent: `python -m stratum.agent`, for the stack at STACK_DIRECTORY or in the working directory."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from stratum.agent.app import make_app
from stratum.agent.rounds import log_error
from stratum.agent.service import AgentDesk
from stratum.config import find_stack, load_settings
from stratum.core.errors import StratumError

_GRACE_SECONDS = 2
_LEAST_SECRET = 16
_log = logging.getLogger("stratum.agent")


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentSettings:
    """What the environment says: AGENT_HOST, AGENT_PORT, AGENT_SECRET_FILE, STACK_DIRECTORY."""

    host: str
    port: int
    secret_file: Path
    directory: Path

    def read_secret(self) -> str:
        """What every request has to carry. Raises `agent-start-failed`."""
        try:
            secret = self.secret_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise self.failed(f"AGENT_SECRET_FILE cannot be read: {type(error).__name__}") from None
        if len(secret) < _LEAST_SECRET:
            raise self.failed(f"the secret in AGENT_SECRET_FILE has fewer than {_LEAST_SECRET} characters")
        return secret

    def failed(self, problem: str) -> StratumError:
        return StratumError("agent-start-failed", host=self.host, port=self.port, problem=problem)


def read_settings(environment: Mapping[str, str]) -> AgentSettings:
    """Raises `agent-start-failed` for a port that is none."""
    port = environment.get("AGENT_PORT") or "4002"
    settings = AgentSettings(
        host=environment.get("AGENT_HOST") or "127.0.0.1",
        port=int(port) if port.isascii() and port.isdigit() else 0,
        secret_file=Path(environment.get("AGENT_SECRET_FILE") or "agent-secret"),
        directory=Path(environment.get("STACK_DIRECTORY") or Path.cwd()),
    )
    if not 0 < settings.port < 65536:
        raise settings.failed(f"AGENT_PORT is {port!r}, which is no port")
    return settings


def main() -> int:
    """Serve until SIGTERM; a job that runs is taken back first. Returns an exit code."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    try:
        settings = read_settings(os.environ)
        with _alone(settings.directory):
            _serve(settings, AgentDesk(settings.directory), settings.read_secret())
    except StratumError as error:
        log_error(error, where="agent")
        return int(error.exit)
    return 0


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Two agents would tear the WAL of one stack apart; the kernel lets one hold this, and lets go when it dies.

    A container is alone by its name. Raises `agent-runs-already`.
    """
    settings = load_settings(find_stack(directory))
    if settings.inside:
        yield
        return
    file = settings.database_directory / "run" / "agent.lock"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StratumError("agent-runs-already", stack=settings.stack.name) from None
        yield


def _serve(settings: AgentSettings, desk: AgentDesk, secret: str) -> None:
    began: list[StratumError] = []

    @asynccontextmanager
    async def living(_: Starlette) -> AsyncIterator[None]:
        try:
            desk.start()
        except StratumError as error:
            began.append(error)
            raise
        yield
        desk.stop()

    config = uvicorn.Config(
        make_app(desk, secret=secret, lifespan=living),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    # uvicorn raises the signal again once it has ended well; a stop that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _was_asked_for)
    try:
        server.run()
    except SystemExit:
        raise (began[0] if began else settings.failed("the port may be taken")) from None


def _was_asked_for(number: int, frame: FrameType | None) -> None:
    del frame
    _log.info("ended by %s", signal.Signals(number).name)


if __name__ == "__main__":
    sys.exit(main())
