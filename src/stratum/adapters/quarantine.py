"""Runs a program that can reach nothing but a clone: a network of its own, in which the server's port is the clone's.

`python -m stratum.adapters.quarantine SOCKET PORT [HIDDEN…] -- ARGV…` in the environment the program is to have. What
it is told about the database stays as it is in production; the network it finds is another. Linux only.
(https://man7.org/linux/man-pages/man7/network_namespaces.7.html)
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import socket
import struct
import sys
import threading
from pathlib import Path

from stratum.adapters.process import end_group, start

NOT_CLOSED_OFF = 125
"""Exit code where no namespace can be had: the program was not run."""
_NEW_NETWORK, _NEW_MOUNTS, _NEW_USER = 0x40000000, 0x00020000, 0x10000000
_RECURSIVE, _PRIVATE, _NO_SETUID, _NO_DEVICES = 0x4000, 0x40000, 0x2, 0x4
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1


def main() -> int:
    """Returns the program's exit code, or NOT_CLOSED_OFF."""
    ours, argv = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    try:
        _close_off([Path(path) for path in ours[2:]])
    except OSError as error:
        print(error, file=sys.stderr)
        return NOT_CLOSED_OFF
    _start_relay(Path(ours[0]), int(ours[1]))
    child = start(argv, env=None, run_as=None, cwd=Path.cwd(), stdout=sys.stdout.buffer, stderr=sys.stderr.buffer)
    try:
        return child.wait()
    finally:
        end_group(child)


def _close_off(hidden: list[Path]) -> None:
    """A network with a loopback only, and empty directories in place of those that hold sockets of the real server."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    wanted = _NEW_NETWORK | _NEW_MOUNTS
    if uid == 0:
        _call(libc.unshare(wanted))
    else:
        _call(libc.unshare(wanted | _NEW_USER))
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")
    _call(libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None))
    for folder in hidden:
        if folder.is_dir():
            _call(libc.mount(b"none", os.fsencode(folder), b"tmpfs", _NO_SETUID | _NO_DEVICES, b"size=64k"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        asked = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(control, _GET_FLAGS, asked))
        fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))


def _call(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _start_relay(clone: Path, port: int) -> None:
    from stratum.adapters.loopback_relay import relay

    ready = threading.Event()
    work = relay(clone, host="127.0.0.1", port=port, on_ready=ready.set)
    threading.Thread(target=asyncio.run, args=(work,), daemon=True, name="relay").start()
    ready.wait()


if __name__ == "__main__":
    sys.exit(main())
