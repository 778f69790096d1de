"""Reads stratum.toml and .env into frozen Settings; an unknown key is refused, never passed over."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stratum.core.checklist import LINES
from stratum.core.containers import INSIDE_ARCHIVE, INSIDE_DIRECTORY
from stratum.core.copies import CopyPolicy
from stratum.core.copy_settings import parse_copies, recipients_problem
from stratum.core.errors import StratumError
from stratum.core.file_sets import INSIDE_FILES, FileSetPolicy, parse_file_sets
from stratum.core.retention import RetentionPolicy
from stratum.core.stack import (
    BackupPolicy,
    Commands,
    DrillPolicy,
    NotifyPolicy,
    ProtectPolicy,
    RehearsalPolicy,
    RestorePolicy,
    Secret,
    Stack,
)
from stratum.stack_sections import ArchiveSection, CheckSection, ConsoleSection, DatabaseSection, StackSection

FILE = "stratum.toml"
FILES = "files"
ENV_FILE = ".env"
EMBEDDED, COMPOSE = "embedded", "compose"
RUNTIMES = (EMBEDDED, COMPOSE)
DEFAULT_BACKUP_DIR = "/opt/stratum_backups"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DURATION = re.compile(r"(\d+)\s*([smhdw])")
T = TypeVar("T")
_LONGEST = timedelta(days=36500)
_CHOICES = {
    "[archive] failure_domain": ("same-disk", "other-disk", "other-host"),
    "[check] accept": tuple(LINES),
}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All of stratum.toml and what Stratum reads of .env."""

    directory: Path
    """The stack's directory, absolute."""
    stack: StackSection
    database: DatabaseSection
    archive: ArchiveSection
    backup: BackupPolicy
    retention: RetentionPolicy
    drill: DrillPolicy
    protect: ProtectPolicy
    restore: RestorePolicy
    commands: Commands
    rehearsal: RehearsalPolicy
    notify: NotifyPolicy
    console: ConsoleSection
    check: CheckSection
    environment: dict[str, str] = field(repr=False)
    files: tuple[FileSetPolicy, ...] = ()
    inside: bool = False
    """Whether this process runs in one of the stack's own containers."""

    @property
    def is_compose(self) -> bool:
        return self.stack.runtime == COMPOSE

    @property
    def is_external(self) -> bool:
        """Whether the database is a server of the user's own."""
        return bool(self.database.url)

    @property
    def archive_path(self) -> Path:
        if not self.is_compose:
            return self.directory / self.archive.path.expanduser()
        if self.inside:
            return Path(INSIDE_ARCHIVE)
        return self.directory / Path(self.environment.get("BACKUP_DIR") or DEFAULT_BACKUP_DIR).expanduser()

    @property
    def database_directory(self) -> Path:
        return Path(INSIDE_DIRECTORY) if self.inside else self.directory / self.database.directory.expanduser()

    @property
    def file_set_places(self) -> dict[str, Path]:
        """Where this process sees the directories of [[files]], by name."""
        if self.is_compose:
            return {one.name: Path(INSIDE_FILES) / one.name for one in self.files}
        return {one.name: self.directory / Path(one.path).expanduser() for one in self.files}

    @property
    def database_url(self) -> str:
        """The address of a server of the user's own, from .env where it is named there; empty for the stack's."""
        named = self.database.url
        return self.value(named[1:]) if named.startswith("$") else named

    def secret(self, name: str) -> Secret:
        """One of the passwords in .env. Raises `missing-secret`."""
        return Secret(self.value(name))

    def value(self, name: str) -> str:
        value = self.environment.get(name, "")
        if not value:
            raise StratumError("missing-secret", file=self.directory / ENV_FILE, name=name)
        return value

    def port(self, name: str = "POSTGRES_PORT", *, otherwise: int | None = None) -> int:
        """A port of .env. Raises `missing-secret`, where there is no other way, and `invalid-setting`."""
        if otherwise is not None and not self.environment.get(name):
            return otherwise
        text = self.value(name)
        if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
            _invalid(self.directory / ENV_FILE, name, f"{text!r} is not a port from 1 to 65535")
        return int(text)

    def as_stack(self) -> Stack:
        """The part the engine sees: no path, no secret."""
        return Stack(
            name=self.stack.name,
            databases=self.database.databases or (self.value("POSTGRES_DB"),),
            backup=self.backup,
            retention=self.retention,
            drill=self.drill,
            protect=self.protect,
            restore=self.restore,
            commands=self.commands,
            rehearsal=self.rehearsal,
            notify=self.notify,
            console_database=self.console.database if self.console.enabled else None,
            external=self.is_external,
            copies=tuple(copy.name for copy in self.archive.copies),
            sealed=bool(self.archive.recipients),
            file_sets=tuple(one.name for one in self.files),
            accepted_risks=self.check.accept,
        )


SECTIONS: dict[str, type[Any]] = {
    "stack": StackSection,
    "database": DatabaseSection,
    "archive": ArchiveSection,
    "backup": BackupPolicy,
    "retention": RetentionPolicy,
    "drill": DrillPolicy,
    "protect": ProtectPolicy,
    "restore": RestorePolicy,
    "commands": Commands,
    "rehearsal": RehearsalPolicy,
    "notify": NotifyPolicy,
    "console": ConsoleSection,
    "check": CheckSection,
}


def find_stack(start: Path) -> Path:
    """The nearest directory at or above `start` that holds a stack. Raises `no-stack-here`."""
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    raise StratumError("no-stack-here", directory=start)


def load_settings(directory: Path) -> Settings:
    """Read a stack's settings. Raises `no-stack-here` and the errors of its two files; changes nothing."""
    file = directory / FILE
    plain = _read_toml(file)
    _refuse_unknown(file, plain, SECTIONS | {FILES: FileSetPolicy}, prefix="")
    sections: dict[str, Any] = {
        name: _section(file, name, kind, plain.get(name, {})) for name, kind in SECTIONS.items()
    }
    if not _NAME.fullmatch(sections["stack"].name):
        _invalid(
            file,
            "[stack] name",
            "use 1 to 41 small letters, digits, - and _, beginning with a letter or digit",
        )
    _refuse_other_runtimes(file, sections["stack"].runtime, sections["archive"])
    inside = os.environ.get("STRATUM_INSIDE") == "1"
    env = Path(os.environ["STRATUM_SECRETS"]) if inside else directory / ENV_FILE
    files = _file_sets(file, plain.get(FILES, []), is_compose=sections["stack"].runtime == COMPOSE)
    found = Settings(directory=directory, environment=read_environment(env), files=files, inside=inside, **sections)
    _refuse_overlapping(file, found)
    return found


def _refuse_overlapping(file: Path, found: Settings) -> None:
    """A backup that took the archive along would hold every backup before it, and a server's files are no files."""
    if found.is_compose:
        return
    ours = {"the archive": found.archive_path.resolve(), "the database": found.database_directory.resolve()}
    for name, place in found.file_set_places.items():
        for what, own in ours.items():
            if own.is_relative_to(place.resolve()) or place.resolve().is_relative_to(own):
                _invalid(file, f"[[{FILES}]]", f"set {name!r}: {place} and {what} lie in each other")


def _file_sets(file: Path, value: object, *, is_compose: bool) -> tuple[FileSetPolicy, ...]:
    try:
        return parse_file_sets(value, is_compose=is_compose)
    except ValueError as error:
        _invalid(file, f"[[{FILES}]]", str(error))


def _refuse_other_runtimes(file: Path, runtime: str, archive: ArchiveSection) -> None:
    if runtime not in RUNTIMES:
        _invalid(file, "[stack] runtime", f"{runtime!r} is not one of: {', '.join(RUNTIMES)}")
    if runtime == COMPOSE and archive.path != ArchiveSection().path:
        _invalid(file, "[archive] path", "with Compose, BACKUP_DIR of .env says where the archive is")


def read_environment(file: Path) -> dict[str, str]:
    """The variables of a .env file as Compose reads them, without interpolation; none when there is no file."""
    from dotenv import dotenv_values

    if not file.exists():
        return {}
    try:
        found = dotenv_values(file, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StratumError("malformed-settings", file=file, problem=error) from None
    return {name: value for name, value in found.items() if value is not None}


def parse_duration(text: str) -> timedelta:
    """`90s`, `15m`, `72h`, `14d`, `2w`. Raises ValueError for anything else."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a duration such as 90s, 15m, 72h, 14d or 2w")
    if len(found.group(1)) > 9 or (duration := timedelta(**{_UNITS[found.group(2)]: int(found.group(1))})) > _LONGEST:
        raise ValueError(f"{text!r} is not a duration of at most {_LONGEST.days} days")
    return duration


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StratumError("no-stack-here", directory=file.parent) from None
    except (OSError, ValueError, RecursionError) as error:
        raise StratumError("malformed-settings", file=file, problem=error) from None


def _section(file: Path, name: str, kind: type[T], plain: object) -> T:
    if not isinstance(plain, dict):
        _invalid(file, f"[{name}]", "it must be a table")
    known = {f.name: f for f in dataclasses.fields(SECTIONS[name])}
    _refuse_unknown(file, plain, known, prefix=f"[{name}] ")
    hints = get_type_hints(kind)
    values = {key: _value(file, f"[{name}] {key}", hints[key], value) for key, value in plain.items()}
    for key, value in values.items():
        if problem := _out_of_range(f"[{name}] {key}", value):
            _invalid(file, f"[{name}] {key}", problem)
    missing = [f.name for f in known.values() if _is_required(f) and f.name not in values]
    if missing:
        _invalid(file, f"[{name}] {missing[0]}", "it must be set")
    return kind(**values)


def _value(file: Path, where: str, hint: type[object], value: object) -> object:
    """One setting in the type its record declares, without guessing: a string is never taken for a number."""
    from pydantic import TypeAdapter, ValidationError

    try:
        if hint is timedelta:
            return parse_duration(str(value))
        if hint == tuple[CopyPolicy, ...]:
            return parse_copies(value)
        if hint is Path:
            return Path(TypeAdapter(str).validate_python(value, strict=True))
        if isinstance(value, list):
            return TypeAdapter(hint).validate_python(tuple(value))
        if isinstance(value, bool) and hint is not bool:
            raise ValueError("true and false are not what this setting takes")
        if isinstance(value, str) and hint in {int, float}:
            raise ValueError(f"{value!r} is a text and not a number")
        return TypeAdapter(hint).validate_python(value, strict=hint is bool)
    except ValidationError as error:
        _invalid(file, where, error.errors(include_url=False, include_input=False)[0]["msg"])
    except ValueError as error:
        _invalid(file, where, str(error))


_RANGES: dict[str, tuple[float, float | None]] = {
    "[protect] canary_seconds": (0.1, 3600),
    "[protect] slot_keep_mb": (64, 1 << 20),
    "[protect] rate_limit_mb": (0, 1024),
}


def _out_of_range(setting: str, value: object) -> str | None:
    """What is wrong with a value of the right type; None when it can be used."""
    if setting in _CHOICES and value != "":
        return _not_one_of(_CHOICES[setting], value)
    if setting == "[backup] collapse_limit" and not (isinstance(value, int | float) and 0 <= value <= 1):
        return f"{value} is not a share between 0 and 1"
    if setting in {"[backup] schedule", "[drill] schedule", "[protect] schedule"} and value:
        return _not_a_schedule(str(value))
    if setting in _CHECKS:
        return _CHECKS[setting](value)
    lowest, highest = _RANGES.get(setting, (0, _LONGEST.days if setting.startswith("[retention]") else None))
    if highest is not None and not (isinstance(value, int | float) and lowest <= value <= highest):
        return f"{value} is not between {lowest} and {highest}"
    return None


def _not_a_schedule(expression: str) -> str | None:
    from cronsim import CronSim, CronSimError

    try:
        CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        return f"{expression!r} is not a cron expression such as 0 1 * * * ({error})"
    return None


def _not_a_zone(name: object) -> str | None:
    try:
        find_zone(str(name))
    except (OSError, ValueError):
        return f"{name!r} is no time zone this machine knows, such as Europe/Paris"
    return None


def _not_an_environment(values: object) -> str | None:
    wrong = (
        [name for name in dict.fromkeys(values) if not _VARIABLE.fullmatch(name)] if isinstance(values, dict) else []
    )
    return f"{wrong[0]!r} is no name of a variable" if wrong else None


_CHECKS: dict[str, Callable[[object], str | None]] = {
    "[rehearsal] env": _not_an_environment,
    "[backup] timezone": _not_a_zone,
    "[archive] recipients": recipients_problem,
}


def find_zone(name: str) -> tzinfo:
    """A time zone by its name; UTC needs no database of them. Raises OSError and ValueError for an unknown one."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError as error:
        raise ValueError(str(error)) from None


def _not_one_of(choices: tuple[str, ...], value: object) -> str | None:
    given = value if isinstance(value, tuple) else (value,)
    wrong = [str(one) for one in given if one not in choices]
    if not wrong:
        return None
    near = difflib.get_close_matches(wrong[0], choices, n=1)
    hint = f" (did you mean {near[0]}?)" if near else f"; it may be {', '.join(choices)}"
    return f"{wrong[0]!r} is not known{hint}"


def _refuse_unknown(file: Path, given: dict[str, Any], known: dict[str, Any], *, prefix: str) -> None:
    for key in sorted(given.keys() - known.keys()):
        near = difflib.get_close_matches(key, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise StratumError("unknown-setting", file=file, setting=f"{prefix}{key}", hint=hint)


def _is_required(setting: dataclasses.Field[Any]) -> bool:
    return setting.default is dataclasses.MISSING and setting.default_factory is dataclasses.MISSING


def _invalid(file: Path, setting: str, problem: str) -> NoReturn:
    raise StratumError("invalid-setting", file=file, setting=setting, problem=problem)
