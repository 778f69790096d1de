"""What runs first in a container of the stack: takes its secrets from a file, and becomes the program it is for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from stratum.core.errors import StratumError

_HEALTH_SECONDS = 4.0


def main() -> int:
    """`stratum-container backend|frontend|migrate|seed|health URL|make-cluster DIRECTORY`; returns an exit code."""
    command, *arguments = sys.argv[1:] or [""]
    found = _COMMANDS.get(command)
    if found is None:
        print(f"stratum-container: {command!r} is not one of {', '.join(sorted(_COMMANDS))}", file=sys.stderr)
        return 2
    try:
        return found(arguments)
    except StratumError as error:
        print(f"error[{error.code}]: {error.message}\ndata:  {error.data}\nnext:  {error.next}", file=sys.stderr)
        return int(error.exit)


def take_secrets() -> None:
    """Add what the file STRATUM_SECRETS names to this process's own environment; nothing else ever sees it.

    Raises `missing-secret` when the file cannot be read, and says which one.
    """
    from dotenv import dotenv_values

    named = os.environ.get("STRATUM_SECRETS", "")
    if not os.access(named, os.R_OK):
        raise StratumError("missing-secret", file=named or "the environment", name="STRATUM_SECRETS")
    found = dotenv_values(Path(named), interpolate=False, encoding="utf-8")
    os.environ.update({name: value for name, value in found.items() if value is not None})


def _backend(arguments: list[str]) -> int:
    from stratum.backend.__main__ import main as serve

    del arguments
    take_secrets()
    return serve()


def _frontend(arguments: list[str]) -> int:
    from stratum.frontend.__main__ import main as serve

    del arguments
    take_secrets()
    return serve()


def _migrate(arguments: list[str]) -> int:
    from stratum.backend.__main__ import migrate

    del arguments
    take_secrets()
    migrate()
    return 0


def _seed(arguments: list[str]) -> int:
    from stratum.backend.__main__ import seed

    del arguments
    take_secrets()
    seed()
    return 0


def _health(arguments: list[str]) -> int:
    """Whether an address of this container answers well; the image holds no curl."""
    from http.client import HTTPConnection
    from urllib.parse import urlsplit

    address = urlsplit(arguments[0])
    connection = HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=_HEALTH_SECONDS)
    try:
        connection.request("GET", address.path)
        return 0 if connection.getresponse().status == 200 else 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        connection.close()


def _make_cluster(arguments: list[str]) -> int:
    from stratum.adapters.records import parse
    from stratum.adapters.volume_cluster import ClusterOrder, make_cluster

    make_cluster(parse(ClusterOrder, sys.stdin.read(), file="standard input"), Path(arguments[0]))
    return 0


def _live_tables(arguments: list[str]) -> int:
    """Print what the tables of the databases named after the digest's mode hold now."""
    from stratum import wiring
    from stratum.core.backup import DigestMode
    from stratum.core.volume_recovery import LiveTables
    from stratum.ports import Role

    def look() -> LiveTables:
        ports = wiring.open_watched(Path(os.environ["STACK_DIRECTORY"]))
        database = ports.runtime.server(Role.BACKUP).database
        there = database.database_oids()
        mode, names = DigestMode(arguments[0]), [name for name in arguments[1:] if name in there]
        return LiveTables(databases={name: database.observe_facts(name, mode).tables for name in names})

    return _answered(look)


def _recover(arguments: list[str]) -> int:
    """Recover the cluster of an order, read from standard input, in the volume mounted at the directory named."""
    from stratum.adapters.records import parse
    from stratum.adapters.volume_recovery import recover_cluster
    from stratum.core.containers import INSIDE_ARCHIVE
    from stratum.core.volume_recovery import RecoveryOrder

    order = parse(RecoveryOrder, sys.stdin.read(), file="standard input")
    return _answered(lambda: recover_cluster(order, Path(INSIDE_ARCHIVE), Path(arguments[0])))


def _role_passwords(arguments: list[str]) -> int:
    """Change passwords of roles, or prove that they were changed: an order, read from standard input."""
    from stratum.adapters.records import parse
    from stratum.adapters.role_passwords import PasswordOrder, PasswordsAnswer, carry_out

    del arguments
    order = parse(PasswordOrder, sys.stdin.read(), file="standard input")
    return _answered(lambda: PasswordsAnswer(roles=carry_out(order)))


def _relay(arguments: list[str]) -> int:
    """Pass connections to a port of this container on to a Unix socket, until we are ended."""
    import asyncio

    from stratum.adapters.loopback_relay import relay

    say = lambda: print("ready", flush=True)  # noqa: E731 - names the call below
    asyncio.run(relay(Path(arguments[0]), host="127.0.0.1", port=int(arguments[1]), on_ready=say))
    return 0


def _answered(work: Callable[[], object]) -> int:
    """Print what it returns, or the error it raises, as one JSON object; the command on the host reads it."""
    from stratum.adapters.messages import speak_error
    from stratum.adapters.records import to_json
    from stratum.core.answers import ErrorAnswer

    try:
        print(to_json(work()))
    except StratumError as error:
        print(to_json(ErrorAnswer(error=speak_error(error))))
        return int(error.exit)
    return 0


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "backend": _backend,
    "frontend": _frontend,
    "health": _health,
    "live-tables": _live_tables,
    "make-cluster": _make_cluster,
    "migrate": _migrate,
    "recover": _recover,
    "relay": _relay,
    "role-passwords": _role_passwords,
    "seed": _seed,
}


if __name__ == "__main__":
    sys.exit(main())
