"""Where a server listens and as whom to connect; the password never shows itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stratum.core.stack import Secret


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

        It has a 0700 directory to itself, where its user may put what else a tool has to read.
        """
        with tempfile.TemporaryDirectory(prefix="stratum-pass-") as private:
            path = Path(private) / "pass"
            path.touch(mode=0o600)
            escaped = self.password.reveal.replace("\\", r"\\").replace(":", r"\:")
            path.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
            yield path


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", r"\\").replace("'", r"\'") + "'"
