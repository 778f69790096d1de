"""Errors and the checklist in the reader's language; English is the source, French ships beside it."""

from __future__ import annotations

import gettext
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from pathlib import Path

from stratum.core.adoption import Risk
from stratum.core.alarm import Alarm, SpokenAlarm
from stratum.core.answers import SpokenError, SpokenLine, SpokenRisk
from stratum.core.checklist import Line, LineState
from stratum.core.errors import StratumError
from stratum.core.plan import Plan
from stratum.core.protection import Protection

_CATALOGUES = Path(__file__).parent.parent / "locale"
_CHOSEN: ContextVar[tuple[str, ...] | None] = ContextVar("languages", default=None)


@contextmanager
def speaking(languages: Sequence[str]) -> Iterator[None]:
    """Within it this thread or task says everything in the first of `languages` there is; English is always one.

    For a server, whose readers each have a language of their own. Without any, the environment's language counts.
    """
    token = _CHOSEN.set(tuple(languages) or None)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def spoken_languages() -> tuple[str, ...]:
    """The languages in force here, the most wanted first."""
    return _CHOSEN.get() or observe_languages()


def observe_languages() -> tuple[str, ...]:
    """The languages asked for, by gettext's own rules: LANGUAGE, LC_ALL, LC_MESSAGES, LANG, the first that is set.

    (https://www.gnu.org/software/gettext/manual/html_node/Locale-Environment-Variables.html)
    """
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return tuple(value.split(":"))
    return ("C",)


def say(template: str, details: dict[str, str] | None = None) -> str:
    """A template in the reader's language, filled in."""
    return _translations(spoken_languages()).gettext(template).format_map(details or {})


def speak_error(error: StratumError) -> SpokenError:
    """The error as every interface shows it, in the reader's language."""
    return SpokenError(
        code=error.code,
        message=say(error.kind.message, error.details),
        data=say(error.kind.data, error.details),
        next=say(error.kind.next, error.details),
        details=error.details,
    )


def speak_line(line: Line) -> SpokenLine:
    """One line of the checklist as every interface shows it, in the reader's language."""
    return SpokenLine(
        name=line.name,
        state=line.state,
        statement=say(line.template, line.details),
        fix=None if line.state is LineState.HOLDS else say(line.fix, line.details),
        mendable=line.kind.mendable,
    )


def speak_risk(risk: Risk) -> SpokenRisk:
    """A risk that adopt found, in the reader's language."""
    kind = risk.kind
    return SpokenRisk(name=kind.name, statement=say(kind.statement, risk.details), fix=say(kind.fix, risk.details))


def speak_protection(protection: Protection) -> str:
    """The sentence, in the reader's language."""
    return " ".join(say(phrase.template, phrase.details) for phrase in protection.phrases)


def speak_alarm(alarm: Alarm) -> SpokenAlarm:
    """An alarm in its three parts, in the reader's language."""
    found = alarm.condition
    return SpokenAlarm(
        name=found.name,
        since=alarm.since,
        statement=say(found.message, found.details),
        data=say(found.data, found.details),
        next=say(found.next, found.details),
        delivered=alarm.told_red,
    )


def speak_plan(plan: Plan) -> Plan:
    """The plan with its steps and notes in the reader's language. What was observed stays as it was written down."""
    steps = (replace(step, summary=say_as_is(step.summary), way_back=say_as_is(step.way_back)) for step in plan.steps)
    return replace(plan, steps=tuple(steps), notes=tuple(map(say_as_is, plan.notes)))


def say_as_is(text: str) -> str:
    """A text that may hold braces of its own, in the reader's language when the catalogue knows it."""
    return _translations(spoken_languages()).gettext(text)


@cache
def _translations(languages: tuple[str, ...]) -> gettext.NullTranslations:
    """English is the source and has no catalogue: whoever asks for it before French gets it."""
    wanted = tuple(itertools.takewhile(lambda language: language[:2].lower() not in {"en", "c"}, languages))
    if not wanted:
        return gettext.NullTranslations()
    return gettext.translation("stratum", localedir=_CATALOGUES, languages=list(wanted), fallback=True)
