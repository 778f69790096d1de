"""The settings in force as stratum.toml would say them, without anything that may be a secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path

from stratum.config import SECTIONS, Settings
from stratum.core.answers import SettingsAnswer, SettingValue
from stratum.core.stack import Secret

_ADDRESSES = {("notify", "urls"), ("notify", "heartbeat_url")}
_UNITS = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60))


def show_settings(settings: Settings) -> SettingsAnswer:
    """Every setting of every section. Of an address only its scheme is shown: the rest may hold a token."""
    return SettingsAnswer(settings=tuple(_values(settings)))


def _values(settings: Settings) -> Iterator[SettingValue]:
    for section in SECTIONS:
        record = getattr(settings, section)
        for setting in fields(record):
            value = getattr(record, setting.name)
            shown = _hidden(value) if (section, setting.name) in _ADDRESSES else value
            yield SettingValue(name=f"[{section}] {setting.name}", value=_as_toml(shown))


def _hidden(value: str | tuple[str, ...]) -> str | list[str]:
    if isinstance(value, str):
        return _scheme(value)
    return [_scheme(address) for address in value]


def _scheme(address: str) -> str:
    """An address by name, such as `$ALERTS`, holds no secret."""
    if not address or (address.startswith("$") and address[1:].isidentifier()):
        return address
    scheme, found, _ = address.partition("://")
    return f"{scheme}://…" if found and scheme.isalnum() else "…"


def _place(value: object) -> object:
    """An address without a name and password in it, should somebody have written them there."""
    if not isinstance(value, str) or "://" not in value:
        return value
    scheme, _, rest = value.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}"


def _as_toml(value: object) -> str:
    """TOML and JSON write texts, lists, numbers and truth alike."""
    if isinstance(value, timedelta):
        return json.dumps(_duration(value))
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_as_toml, value)) + "]"
    if isinstance(value, Secret):
        return '"…"'
    if is_dataclass(value) and not isinstance(value, type):
        inside = (f"{field.name} = {_as_toml(_place(getattr(value, field.name)))}" for field in fields(value))
        return "{ " + ", ".join(inside) + " }"
    if isinstance(value, Path | Enum) or value is None:
        plain = value.value if isinstance(value, Enum) else "" if value is None else str(value)
        return json.dumps(plain, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def _duration(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, size in _UNITS:
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
