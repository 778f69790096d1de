"""Lets a closed-off program reach a clone: what connects to a port of its loopback talks to the clone's Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

_CHUNK = 1 << 16


async def relay(socket: Path, *, host: str, port: int, on_ready: Callable[[], None] = lambda: None) -> None:
    """Pass connections on until cancelled. Raises OSError where the port cannot be listened on."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_unix_connection(str(socket))
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    server = await asyncio.start_server(serve, host, port)
    on_ready()
    async with server:
        await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
