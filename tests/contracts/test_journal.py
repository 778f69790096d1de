"""What every journal promises, asked of the JSON lines and of the fake in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stratum.adapters.journal import JsonLinesJournal
from stratum.core.guard import GuardResult
from stratum.core.plan import Effect, JournalEntry, JournalKind, Plan, PlanEnd, Step
from stratum.ports import Journal
from tests.fakes.memory_journal import MemoryJournal
from tests.fixtures.manifests import NOW

_PLAN = Plan(
    id="p1",
    verb="restore",
    stack="led",
    created_at=NOW,
    headline="restore “app”",
    steps=(Step(name="swap", summary="swap", effect=Effect.SETS_ASIDE, way_back="swap back", asks=True),),
    params={"database": "app", "swap": True, "names": ["a", "b"], "size": 3, "share": 0.5, "none": None},
    guards=(GuardResult(name="g", holds=True, statement="it holds", code="name-taken", details={"database": "x"}),),
    notes=("a note",),
    forward_from="swap",
    confirmations=1,
)
_ENTRIES = (
    JournalEntry(at=NOW, kind=JournalKind.PLAN_STARTED, plan_id="p1", verb="restore", who="me", plan=_PLAN),
    JournalEntry(
        at=NOW + timedelta(microseconds=1),
        kind=JournalKind.STEP_DONE,
        plan_id="p1",
        verb="restore",
        who="me",
        step="swap",
        facts={"verdict": "proven", "rows": 3},
    ),
    JournalEntry(
        at=NOW + timedelta(days=40),
        kind=JournalKind.PLAN_ENDED,
        plan_id="p1",
        verb="restore",
        who="me",
        end=PlanEnd.COMPENSATED,
        error={"code": "cut", "message": "killed"},
    ),
)


def _json_lines(path: Path) -> Journal:
    (path / "journal").mkdir()
    return JsonLinesJournal(path)


@pytest.fixture(params=[_json_lines, lambda _: MemoryJournal()], ids=["json-lines", "memory"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    make: Callable[[Path], Journal] = request.param
    return make(tmp_path)


def test_a_new_journal_is_empty(journal: Journal) -> None:
    assert journal.entries() == ()


def test_entries_come_back_as_they_were_and_in_their_order(journal: Journal) -> None:
    for entry in _ENTRIES:
        journal.append(entry)

    assert journal.entries() == _ENTRIES


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back_as_it_was(journal: Journal, text: str) -> None:
    """A name may hold line separators that JSON does not escape, and the next entry must not be lost for it."""
    before = len(journal.entries())
    entries = (replace(_ENTRIES[1], facts={"name": text}), _ENTRIES[1])

    for entry in entries:
        journal.append(entry)

    assert journal.entries()[before:] == entries


@pytest.mark.parametrize("separator", ["\n", "\r", "\u2028", "\u2029", "\x85", "\x1c", "\x0b"])
def test_a_line_separator_in_a_name_ends_no_line(journal: Journal, separator: str) -> None:
    entry = replace(_ENTRIES[1], facts={"name": f"a{separator}b"})

    journal.append(entry)

    assert journal.entries() == (entry,)
