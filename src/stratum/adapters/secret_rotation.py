"""New secrets for one stack: the new .env beside the old one, and the server's roles to match."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stratum.adapters import durable
from stratum.adapters.env_file import read_text, replace_variables, replace_within, write_text
from stratum.adapters.role_passwords import RoleChange
from stratum.core.errors import StratumError
from stratum.core.lifetimes import PREVIOUS, PREVIOUS_UNTIL, previous_key, previous_until
from stratum.rotation import SecretName

ASIDE = ".rotation"
"""A directory beside .env, which git passes over by itself."""
_JWT = "JWT_SECRET"
_TELLING = 8
"""A value that is shorter may stand in a text by chance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldPassword:
    """A role, and the variable of .env that holds its password."""

    role: str
    variable: str
    database: str = "postgres"
    in_address: bool = False
    """Whether the variable is an address with the password in it."""

    def read(self, environment: Mapping[str, str]) -> str:
        value = environment.get(self.variable, "")
        return unquote(urlsplit(value).password or "") if self.in_address else value


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretRotation:
    """The work on the stack's own files; the server and the services are reached through what it is given."""

    directory: Path
    """The stack's."""
    read_environment: Callable[[Path], dict[str, str]]
    passwords: Mapping[SecretName, HeldPassword]
    """Those this stack has."""
    signs: bool
    """Whether there is a console that signs."""
    session: timedelta
    """How long a session goes on at most."""
    texts: Callable[[Path], Mapping[str, str]] = field(repr=False)
    """By name, what must not hold an old password when this .env is in force."""
    check_passwords: Callable[[Sequence[RoleChange]], tuple[str, ...]]
    """Looks whether all of them can be changed, before any is."""
    set_passwords: Callable[[Sequence[RoleChange]], tuple[str, ...]]
    prove_passwords: Callable[[Sequence[RoleChange]], tuple[str, ...]]
    restart: Callable[[], None]

    def known(self) -> tuple[SecretName, ...]:
        return (*self.passwords, *((SecretName.JWT,) if self.signs else ()))

    def overlap_until(self) -> datetime | None:
        environment = self.read_environment(self._env)
        return previous_until(environment) if previous_key(environment, datetime.now(UTC)) else None

    def lay_out(self, names: Sequence[SecretName], *, now: datetime, keep_key: bool) -> None:
        text, environment = read_text(self._env), self.read_environment(self._env)
        wanted = self._new_values(names, environment, now=now, keep_key=keep_key)
        changed = replace_variables(text, wanted)
        for name in names:
            if name in self.passwords:
                changed = self._changed(changed, self.passwords[name], environment, wanted)
        self._write(text, changed)
        self._refuse_what_does_not_follow(names, environment)
        self.check_passwords(self._changes())

    def set_in_server(self) -> tuple[str, ...]:
        changes = self._changes()
        return self.set_passwords(changes) if changes else ()

    def take_back_in_server(self) -> None:
        if changes := self._changes():
            self.set_passwords([change.reversed() for change in changes])

    def swap(self) -> None:
        now = self._env.read_bytes()
        if now == self._after.read_bytes():
            return
        if now != self._before.read_bytes():
            raise StratumError("rotation-cut-across", file=self._env)
        write_text(self._env, read_text(self._after))

    def is_swapped(self) -> bool:
        return self._is_laid_out() and self._env.read_bytes() == self._after.read_bytes()

    def swap_back(self) -> None:
        if not self._is_laid_out():
            return
        now = read_text(self._env)
        if now == read_text(self._before):
            return
        if now == read_text(self._after):
            write_text(self._env, read_text(self._before))
            return
        old, new = (self.read_environment(file) for file in (self._before, self._after))
        ours = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        found = self.read_environment(self._env)
        back = {name: _written(old[name]) if name in old else None for name in ours if found.get(name) == new.get(name)}
        write_text(self._env, replace_variables(now, back))

    def hand_over(self) -> None:
        durable.write_file(self._handed, "", mode=0o600)
        self.restart()

    def hand_back(self) -> None:
        if self._handed.exists():
            self.restart()

    def prove(self, roles: Sequence[str]) -> None:
        if changes := [change for change in self._changes() if change.role in roles]:
            self.prove_passwords(changes)

    def forget(self) -> None:
        if self._aside.exists():
            shutil.rmtree(self._aside)

    @property
    def _env(self) -> Path:
        return self.directory / ".env"

    @property
    def _aside(self) -> Path:
        return self.directory / ASIDE

    @property
    def _before(self) -> Path:
        return self._aside / "before"

    @property
    def _after(self) -> Path:
        return self._aside / "after"

    @property
    def _handed(self) -> Path:
        return self._aside / "handed-over"

    def _is_laid_out(self) -> bool:
        return self._after.exists()

    def _new_values(
        self, names: Sequence[SecretName], environment: Mapping[str, str], *, now: datetime, keep_key: bool
    ) -> dict[str, str | None]:
        """What is set as a whole; an address is changed inside. A key whose time is over goes with any change."""
        found: dict[str, str | None] = {
            held.variable: secrets.token_urlsafe(32)
            for name, held in self.passwords.items()
            if name in names and not held.in_address
        }
        if SecretName.JWT in names:
            found[_JWT] = secrets.token_urlsafe(32)
            found[PREVIOUS] = _written(environment[_JWT]) if keep_key else None
            found[PREVIOUS_UNTIL] = (now + self.session).isoformat(timespec="seconds") if keep_key else None
        elif PREVIOUS in environment and previous_key(environment, now) is None:
            found |= {PREVIOUS: None, PREVIOUS_UNTIL: None}
        return found

    def _changed(
        self, text: str, held: HeldPassword, environment: Mapping[str, str], wanted: Mapping[str, str | None]
    ) -> str:
        """The text with every other place of .env that holds this role's password: addresses, and copies of it."""
        old, new = held.read(environment), wanted.get(held.variable) or secrets.token_urlsafe(32)
        others = {each.variable for each in self.passwords.values() if not each.in_address}
        for name, value in environment.items():
            if name in others or not old:
                continue
            if value == old and len(old) >= _TELLING:
                text = replace_variables(text, {name: new})
            elif (written := _password_in(value, held.role)) is not None and unquote(written) == old:
                text = replace_within(text, name, f":{written}@", f":{new}@")
        return text

    def _write(self, before: str, after: str) -> None:
        self.forget()
        self._aside.mkdir(mode=0o700)
        durable.write_file(self._aside / ".gitignore", "*\n", mode=0o600)
        durable.write_file(self._before, before, mode=0o600)
        durable.write_file(self._after, after, mode=0o600)

    def _refuse_what_does_not_follow(self, names: Sequence[SecretName], before: Mapping[str, str]) -> None:
        """Where a password that goes would stand on, or does not go although it was to."""
        after = self.read_environment(self._after)
        held_by = {each.variable for each in self.passwords.values()}
        texts = {f"{name} of .env": value for name, value in after.items() if name not in held_by}
        texts |= self.texts(self._after)
        for held in (self.passwords[name] for name in names if name in self.passwords):
            old = held.read(before)
            texts[f"{held.variable} of .env"] = held.read(after)
            found = next((place for place, text in texts.items() if len(old) >= _TELLING and old in text), None)
            if found is not None or held.read(after) in {"", old}:
                place = found or f"{held.variable} of .env"
                raise StratumError("rotation-not-followed", place=place, role=held.role, variable=held.variable)

    def _changes(self) -> tuple[RoleChange, ...]:
        """What to do in the server, from the two files: the same before and after a crash."""
        if not self._is_laid_out():
            return ()
        old, new = (self.read_environment(file) for file in (self._before, self._after))
        return tuple(
            RoleChange(role=held.role, database=held.database, before=held.read(old), after=held.read(new))
            for held in self.passwords.values()
            if held.read(old) != held.read(new)
        )


def _password_in(value: str, role: str) -> str | None:
    """The password of an address that this role connects with, as it is written there; None for anything else."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    if parts.scheme.partition("+")[0] not in {"postgres", "postgresql"} or unquote(parts.username or "") != role:
        return None
    return parts.password


def _written(value: str) -> str:
    """A value as .env may hold it; plain where that says the same."""
    if value and all(sign.isalnum() or sign in "-_.:+/=@%," for sign in value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
