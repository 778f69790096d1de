"""Starts the backend: `python -m stratum.backend`, with its settings from the environment."""

from __future__ import annotations

import logging
import logging.config
import os
import signal
import sys
import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from stratum.adapters.messages import speak_error
from stratum.adapters.trusted_proxies import Forwarded
from stratum.backend.app import create_app
from stratum.backend.identity import Identity
from stratum.backend.migrate import prepare_schema
from stratum.backend.prepare import prepare
from stratum.backend.seed import load_demo_data
from stratum.backend.server_log import log_configuration
from stratum.backend.settings import BackendSettings, load_backend_settings
from stratum.core.errors import StratumError

_AGAIN_AFTER_S = 1.0
_GRACE_S = 2
_LOG = logging.getLogger("stratum.backend")
_DOWN = (OperationalError, InterfaceError, PoolTimeoutError)


def main() -> int:
    """Serve until SIGTERM; returns an exit code, which is not 0 when the database must not be served on."""
    logging.config.dictConfig(log_configuration())
    try:
        settings = load_backend_settings(os.environ)
        app = create_app(settings)
        failed = _prepare_now_or_later(app.state.identity)
        _serve(app, settings)
    except StratumError as error:
        return _say(error)
    return _say(failed[0]) if failed else 0


def migrate() -> None:
    """Bring the console's schema to this release, and end. Raises what a start would; the database has to be up."""
    identity = create_app(load_backend_settings(os.environ)).state.identity
    state = prepare_schema(identity.engine, autorun=True)
    print(f"the console's schema was {state.value}")


def seed() -> None:
    """Load the console's demo data, once, and end."""
    identity = create_app(load_backend_settings(os.environ)).state.identity
    prepare_schema(identity.engine, autorun=identity.settings.autorun_migrations)
    identity.prepared.set()
    loaded = load_demo_data(identity)
    print("loaded the demo data" if loaded else "the demo data was loaded before")


def _prepare_now_or_later(identity: Identity) -> list[StratumError]:
    """While the database is down the console still shows the archive, to who signs in with a console token.

    The list gets the error that stops the backend, should there be one by the time the database is back.
    """
    failed: list[StratumError] = []
    try:
        prepare(identity)
    except _DOWN:
        _LOG.warning("the console's database does not answer; the backend goes on asking, and serves what needs none")
        threading.Thread(target=_prepare_later, args=(identity, failed), name="prepare", daemon=True).start()
    return failed


def _prepare_later(identity: Identity, failed: list[StratumError]) -> None:
    """Ask until the database is back; a schema that must not be served on then ends the process."""
    pause = threading.Event()
    while not identity.prepared.is_set():
        pause.wait(_AGAIN_AFTER_S)
        try:
            prepare(identity)
        except _DOWN:
            continue
        except StratumError as error:
            failed.append(error)
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _serve(app: FastAPI, settings: BackendSettings) -> None:
    """One process. Only a proxy that was named is believed about where a request came from."""
    config = uvicorn.Config(
        Forwarded(app, settings.trusted_proxies),
        host=settings.host,
        port=settings.port,
        http="httptools",
        loop="uvloop",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = uvicorn.Server(config)
    # uvicorn raises the signal again once it has ended well; a stop that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _was_asked_for)
    try:
        server.run()
    except SystemExit:
        raise StratumError("backend-start-failed", host=settings.host, port=settings.port) from None


def _was_asked_for(number: int, frame: FrameType | None) -> None:
    del frame
    _LOG.info("ended by %s", signal.Signals(number).name)


def _say(error: StratumError) -> int:
    spoken = speak_error(error)
    print(f"error: {spoken.message}\ndata: {spoken.data}\nnext: {spoken.next}", file=sys.stderr)
    return int(error.exit)


if __name__ == "__main__":
    sys.exit(main())
