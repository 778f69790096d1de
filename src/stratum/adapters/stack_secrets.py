"""What each container may know, as files below secrets/: made from .env, and only what that service needs."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from stratum.adapters import durable
from stratum.adapters.cluster_roles import CONSOLE_ROLE
from stratum.adapters.database_url import ServerAddress
from stratum.core.errors import StratumError
from stratum.core.lifetimes import previous_key

FOLDER = "secrets"
STACK_ENV, AGENT, BACKEND_ENV, FRONTEND_ENV = "stack.env", "agent", "backend.env", "frontend.env"


@dataclass(frozen=True, kw_only=True, slots=True)
class StackSecrets:
    """The derived files of one stack. .env is the truth; these are rendered anew whenever it changed."""

    directory: Path
    """The stack's."""
    environment: Mapping[str, str] = field(repr=False)
    """Of .env."""
    address: ServerAddress
    """Where containers find the database."""
    console_database: str | None
    owner: tuple[int, int]
    """The account the containers run as."""

    def render(self) -> dict[str, str]:
        """Name and text of each file. Raises `missing-secret`."""
        files = {STACK_ENV: "".join(f"{name}={_quoted(value)}\n" for name, value in sorted(self.environment.items()))}
        if self.console_database is None:
            # The agent answers nobody then, and still begins with a secret.
            return files | {AGENT: self._derived("agent") + "\n", BACKEND_ENV: "", FRONTEND_ENV: ""}
        backend = {
            "CONSOLE_DATABASE_URL": self._console_url(self.console_database),
            "JWT_SECRET": self._value("JWT_SECRET"),
        }
        frontend = f"FRONTEND_SECRET={self._derived('frontend')}\n"
        if previous := previous_key(self.environment, datetime.now(UTC)):
            backend["JWT_SECRET_PREVIOUS"] = previous
            frontend += f"FRONTEND_SECRET_PREVIOUS={_derive(previous, 'frontend')}\n"
        return files | {
            AGENT: self._derived("agent") + "\n",
            BACKEND_ENV: "".join(f"{name}={_quoted(value)}\n" for name, value in backend.items()),
            FRONTEND_ENV: frontend,
        }

    def write(self, *, missing_only: bool = False) -> None:
        """Put the files in place, 0600 and owned by the containers' account. Those that are right stay untouched."""
        folder = self.directory / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        self._give(folder)
        for name, text in self.render().items():
            path = folder / name
            if missing_only and path.exists():
                continue
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                durable.write_file(path, text, mode=0o600)
            self._give(path)

    def written(self) -> dict[str, str] | None:
        """The values that were in force at the last `up`; None before the first."""
        from dotenv import dotenv_values

        path = self.directory / FOLDER / STACK_ENV
        if not path.exists():
            return None
        found = dotenv_values(path, interpolate=False, encoding="utf-8")
        return {name: value for name, value in found.items() if value is not None}

    def digest(self, *files: Path) -> str:
        """Changes when the secrets or one of these files change; tells nothing of either."""
        found = hashlib.sha256("\0".join(f"{k}\0{v}" for k, v in sorted(self.render().items())).encode())
        for file in files:
            found.update(file.read_bytes())
        return found.hexdigest()[:16]

    def _console_url(self, database: str) -> str:
        password = quote(self._value("CONSOLE_PASSWORD"), safe="")
        where = f"{self.address.bracketed}:{self.address.port}"
        return f"postgresql://{CONSOLE_ROLE}:{password}@{where}/{quote(database, safe='')}"

    def _derived(self, what: str) -> str:
        """A secret of its own for each use: who learns one of them does not know the others."""
        root = self._value("JWT_SECRET" if self.console_database else "BACKUP_PASSWORD")
        return _derive(root, what)

    def _value(self, name: str) -> str:
        value = self.environment.get(name, "")
        if not value:
            raise StratumError("missing-secret", file=self.directory / ".env", name=name)
        return value

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, *self.owner)


def _derive(root: str, what: str) -> str:
    return hmac.new(root.encode(), f"stratum {what}".encode(), hashlib.sha256).hexdigest()


def _quoted(value: str) -> str:
    """As dotenv reads it back without loss: single quotes keep `$`, `"`, `#` and spaces as they are."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
