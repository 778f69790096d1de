"""How numbers, sizes, durations and times read on a page: each is formatted here and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

UNKNOWN = "–"
"""What stands where nothing was measured."""
_BYTE_UNITS = {"en": ("B", "KiB", "MiB", "GiB", "TiB", "PiB"), "fr": ("o", "Kio", "Mio", "Gio", "Tio", "Pio")}
_DAY = {"en": "d", "fr": "j"}
_MONTHS = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "fr": ("janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."),
}
_SEPARATORS = {"en": (",", "."), "fr": ("\u202f", ",")}
"""Between thousands, and before decimals."""
_NARROW = "\u202f"
"""A space that no line breaks at, between a number and its unit."""


def render_number(value: float, *, language: str, decimals: int = 0) -> str:
    """With the language's own separators: `1,234,567`, `1 234 567`."""
    thousands, point = _SEPARATORS[language]
    whole, _, fraction = f"{value:,.{decimals}f}".partition(".")
    return whole.replace(",", thousands) + (point + fraction if fraction else "")


def render_bytes(count: float | None, *, language: str) -> str:
    """Binary units with one decimal from a kibibyte on: `1.4 MiB`, `1,4 Mio`."""
    if count is None:
        return UNKNOWN
    value, units = float(count), _BYTE_UNITS[language]
    for place, unit in enumerate(units):
        if abs(value) < 1024 or unit == units[-1]:
            return f"{render_number(value, language=language, decimals=min(place, 1))}{_NARROW}{unit}"
        value /= 1024
    raise AssertionError("the last unit always returns")


def render_duration(seconds: float | None, *, language: str) -> str:
    """The two largest units at most, as the sentence has them: `0.4 s`, `41 s`, `3 h 20 min`, `2 d 4 h`."""
    if seconds is None:
        return UNKNOWN
    seconds = max(0.0, seconds)
    if seconds < 60:
        decimals = 1 if seconds < 10 else 0
        return f"{render_number(seconds, language=language, decimals=decimals)}{_NARROW}s"
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    parts = ((days, _DAY[language]), (hours, "h"), (rest // 60, "min"))
    return " ".join(f"{count}{_NARROW}{unit}" for count, unit in [part for part in parts if part[0]][:2])


def render_when(at: datetime | None, *, language: str) -> str:
    """A moment in UTC to the minute; the browser puts its own zone in its place."""
    if at is None:
        return UNKNOWN
    utc = at.astimezone(UTC)
    return f"{utc.day} {render_month(utc, language=language)} {utc:%Y, %H:%M} UTC"


def render_month(at: datetime, *, language: str) -> str:
    """The month's short name."""
    return _MONTHS[language][at.month - 1]


def render_time(at: datetime | None, *, language: str) -> Markup:
    """The moment as a `<time>` element, exact to the second for programs and on hover."""
    if at is None:
        return escape(UNKNOWN)
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc:%Y-%m-%d %H:%M:%S} UTC", render_when(at, language=language)
    )


def render_moment(at: datetime | None, *, language: str) -> Markup:
    """The same to the second, for moments that are picked or reached exactly."""
    if at is None:
        return escape(UNKNOWN)
    utc = at.astimezone(UTC)
    shown = f"{utc.day} {render_month(utc, language=language)} {utc:%Y, %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}" data-exact>{}</time>').format(
        f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc:%Y-%m-%d %H:%M:%S} UTC", shown
    )


def parse_time(text: str) -> datetime:
    """An ISO 8601 time; one without a zone is UTC. Raises ValueError."""
    at = datetime.fromisoformat(text.strip())
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def install_filters(environment: Environment) -> None:
    """Make the filters `number`, `bytes`, `duration`, `age`, `when`, `moment`, `utc` and `tick` known to the templates.

    They read `language` and, for `age`, `now` from the page's context. Times may be texts, as the API gives them.
    """
    environment.filters |= {
        "number": _number,
        "bytes": _bytes,
        "duration": _duration,
        "age": _age,
        "when": _when,
        "moment": _exactly,
        "utc": _utc,
        "tick": _tick,
    }


def _language(context: Context) -> str:
    return str(context["language"])


def _moment(value: datetime | str | None) -> datetime | None:
    return parse_time(value) if isinstance(value, str) else value


@pass_context
def _number(context: Context, value: float | None, decimals: int = 0) -> str:
    return UNKNOWN if value is None else render_number(value, language=_language(context), decimals=decimals)


@pass_context
def _bytes(context: Context, value: float | None) -> str:
    return render_bytes(value, language=_language(context))


@pass_context
def _duration(context: Context, value: float | timedelta | None) -> str:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return render_duration(seconds, language=_language(context))


@pass_context
def _age(context: Context, value: datetime | str | None) -> str:
    at = _moment(value)
    seconds = None if at is None else (context["now"] - at).total_seconds()
    return render_duration(seconds, language=_language(context))


@pass_context
def _when(context: Context, value: datetime | str | None) -> Markup:
    return render_time(_moment(value), language=_language(context))


@pass_context
def _exactly(context: Context, value: datetime | str | None) -> Markup:
    return render_moment(_moment(value), language=_language(context))


@pass_context
def _utc(context: Context, value: datetime | str | None) -> str:
    return render_when(_moment(value), language=_language(context))


@pass_context
def _tick(context: Context, value: datetime, has_hour: bool) -> str:  # noqa: FBT001  a filter's argument has no name
    """A time below the timeline, in UTC: the hour where hours tell ticks apart, else the day."""
    utc = value.astimezone(UTC)
    return f"{utc:%H:%M}" if has_hour else f"{utc.day} {render_month(utc, language=_language(context))}"
