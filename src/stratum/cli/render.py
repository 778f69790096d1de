"""How results reach a person or a program: text on stdout, progress on stderr, or one JSON object."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from stratum.adapters.messages import say, say_as_is, speak_error, speak_plan
from stratum.core.answers import ErrorAnswer, SpokenLine
from stratum.core.checklist import LineState
from stratum.core.errors import StratumError
from stratum.core.plan import Effect, Plan
from stratum.core.sizes import render_bytes

LABELS = ("error", "data", "next", "fix", ":")
"""The words before a sentence, in the reader's language like the sentence; French has a space before the colon."""
MARKS = {
    LineState.HOLDS: "ok",
    LineState.RED: "RED",
    LineState.ACCEPTED: "accepted",
    LineState.UNKNOWN: "unknown",
}
_EFFECTS = {
    Effect.NONE: "none",
    Effect.ADDS: "something new appears beside; nothing that exists changes",
    Effect.SETS_ASIDE: "what is there now is kept, and can be put back",
    Effect.REMOVES: "what it removes is gone",
}
_EVERY_SECONDS = 2.0


def print_json(value: dict[str, Any]) -> None:
    """Print one object on one line of stdout, in the order its keys were put in."""
    print(json.dumps(value, ensure_ascii=False, sort_keys=False))


def print_error(error: StratumError, *, as_json: bool) -> None:
    """The three parts, on stderr; with --json as one object on stdout."""
    spoken = speak_error(error)
    if as_json:
        print_json(asdict(ErrorAnswer(error=spoken)))
        return
    error_word, data, after, _, colon = (say(label) for label in LABELS)
    width = max(len(data), len(after)) + len(colon) + 1
    print(f"{error_word}[{spoken.code}]{colon} {spoken.message}", file=sys.stderr)
    print(f"{data + colon:<{width}} {spoken.data}", file=sys.stderr)
    print(f"{after + colon:<{width}} {spoken.next}", file=sys.stderr)


def render_plan(plan: Plan) -> str:
    """The plan as the dry run and the confirmation show it."""
    plan = speak_plan(plan)
    lines = [f"plan {plan.id}: {plan.headline}"]
    lines += [f"  note: {note}" for note in plan.notes]
    lines += [f"  guard {'holds' if guard.holds else 'FAILS'}: {guard.statement}" for guard in plan.guards]
    for number, step in enumerate(plan.steps, start=1):
        effect = "" if step.effect is Effect.NONE else f" [{step.effect.value}]"
        asks = " (asks first)" if step.asks else ""
        lines.append(f"  {number}. {step.summary}{effect}{asks}")
        if step.effect is not Effect.NONE:
            lines.append(f"     way back: {step.way_back}")
    if not plan.steps:
        lines.append("  nothing to do")
    return "\n".join(lines)


def render_question(plan: Plan, question: str, lines: Sequence[str]) -> str:
    """What a person reads before typing: the whole plan, what is known by now, and the one step asked about."""
    step = next(step for step in plan.steps if step.summary == question)
    return "\n".join(
        (
            render_plan(plan),
            "",
            *(["known by now:", *(f"  {line}" for line in lines), ""] if lines else []),
            f"asked for now: {say_as_is(question)}",
            f"  effect on data: {_EFFECTS[step.effect]}",
            f"  way back: {say_as_is(step.way_back)}",
        )
    )


def render_line(line: SpokenLine) -> str:
    """One line of the checklist, with its fix below when it is not green."""
    text = f"{say(MARKS[line.state]):>8}  {line.name}{say(':')} {line.statement}"
    if line.state in {LineState.RED, LineState.UNKNOWN}:
        text += f"\n{'':>10}{say('fix')}{say(':')} {line.fix}"
    return text


class PlainProgress:
    """Lines on stderr, at most one every two seconds a task: for logs, cron and pipes."""

    @contextmanager
    def task(self, what: str, *, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        started = last = time.monotonic()
        print(f"{what} …", file=sys.stderr)

        def moved(done: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _EVERY_SECONDS:
                last = now
                print(f"{what}: {_progress(done, total, unit, now - started)}", file=sys.stderr)

        yield moved
        print(f"{what}: done in {time.monotonic() - started:.1f} s", file=sys.stderr)

    def say(self, line: str) -> None:
        print(line, file=sys.stderr)


def _progress(done: int, total: int | None, unit: str, seconds: float) -> str:
    amount = render_bytes(done) if unit == "bytes" else f"{done} {unit}"
    rate = done / seconds if seconds else 0.0
    shown = f"{amount}, {render_bytes(rate) if unit == 'bytes' else f'{rate:.0f} {unit}'}/s"
    if total and rate and done <= total:
        shown += f", about {(total - done) / rate:.0f} s left"
    return shown


class TerminalProgress:
    """A moving bar on a terminal: amount, rate and time left."""

    @contextmanager
    def task(self, what: str, *, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        amount = (
            (DownloadColumn(binary_units=True), TransferSpeedColumn()) if unit == "bytes" else (MofNCompleteColumn(),)
        )
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            *amount,
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done, total=max(total, done) if total else None)
            progress.update(task, total=1, completed=1) if total is None else progress.update(task, completed=total)

    def say(self, line: str) -> None:
        print(line, file=sys.stderr)


class SilentProgress:
    """Says nothing: for --json and --quiet."""

    @contextmanager
    def task(self, what: str, *, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        del what, total, unit
        yield lambda _: None

    def say(self, line: str) -> None:
        del line


def choose_progress(*, quiet: bool) -> PlainProgress | TerminalProgress | SilentProgress:
    """A bar on a terminal, lines into anything else, and nothing at all with `quiet`."""
    if quiet:
        return SilentProgress()
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    return TerminalProgress() if sys.stderr.isatty() and not dumb else PlainProgress()


class TypedConsent:
    """Asks for the stack's own name to be typed, never for a yes; `--confirm NAME` types it beforehand."""

    def __init__(self, confirmed: Sequence[str]) -> None:
        self._confirmed = list(confirmed)

    def __call__(self, plan: Plan, question: str, lines: Sequence[str]) -> bool:
        print(f"\n{render_question(plan, question, lines)}", file=sys.stderr)
        wanted = max(1, plan.confirmations)
        if self._confirmed:
            return len(self._confirmed) >= wanted and all(name == plan.stack for name in self._confirmed)
        if not sys.stdin.isatty():
            raise StratumError("confirmation-needed", verb=plan.verb, stack=plan.stack)
        return all(_typed(plan.stack, number, wanted) for number in range(1, wanted + 1))


def _typed(stack: str, number: int, wanted: int) -> bool:
    times = f" ({number} of {wanted})" if wanted > 1 else ""
    print(f"\nType {stack} to go on, anything else to leave all as it is{times}: ", file=sys.stderr, end="", flush=True)
    return sys.stdin.readline().strip() == stack
