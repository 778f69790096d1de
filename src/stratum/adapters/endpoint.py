"""Where a server listens and as whom to connect; the password never shows itself."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stratum.core.stack import Secret

IMPATIENT = "keepalives_idle=2 keepalives_interval=2 keepalives_count=2 tcp_user_timeout=6000"
"""For a connection that is looked through each second: a cut network ends it after six seconds, where the kernel
alone would wait for many minutes. A Unix socket has no use for it.
(https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-TCP-USER-TIMEOUT)"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where a server listens, and who connects to it."""

    host: str
    """A directory with a Unix socket, or an address."""
    port: int
    user: str
    password: Secret

    def conninfo(self, database: str) -> str:
        """A libpq connection string without the password, safe for any database name.

        Tools take a name with `=` or a URI prefix for a connection string, so the name is always quoted.
        (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING)
        """
        parts = {"host": self.host, "port": str(self.port), "user": self.user, "dbname": database}
        return " ".join(f"{key}={_quoted(value)}" for key, value in parts.items())

    @contextmanager
    def passfile(self) -> Iterator[Path]:
        """A 0600 password file that exists only while a tool runs: a password never stands in argv.

        Where the kernel can, it lies in memory and goes with this process, however that ends; a file on disk
        would outlive kill -9. (https://man7.org/linux/man-pages/man2/memfd_create.2.html)
        """
        escaped = self.password.reveal.replace("\\", r"\\").replace(":", r"\:")
        line = f"*:*:*:*:{escaped}\n".encode()
        in_memory = hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()
        with _file_in_memory(line) if in_memory else _file_on_disk(line) as path:
            yield path


@contextmanager
def _file_in_memory(content: bytes) -> Iterator[Path]:
    handle = os.memfd_create("stratum-pass")
    try:
        os.fchmod(handle, 0o600)
        os.write(handle, content)
        yield Path(f"/proc/{os.getpid()}/fd/{handle}")
    finally:
        os.close(handle)


@contextmanager
def _file_on_disk(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="stratum-pass-") as private:
        path = Path(private) / "pass"
        path.touch(mode=0o600)
        path.write_bytes(content)
        yield path


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", r"\\").replace("'", r"\'") + "'"
