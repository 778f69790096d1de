"""Alarms are told once per change, with the recovery, daily while red, and never forgotten because nobody answered."""

from __future__ import annotations

import itertools
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as some

from stratum.adapters.records import parse, to_json
from stratum.core.alarm import (
    REPEAT_AFTER,
    AlarmBook,
    Condition,
    NoticeKind,
    note_conditions,
    plan_notices,
    record_notice,
)
from tests.fixtures.manifests import NOW

_NAMES = ("archive", "clock", "recent-backup")


def _condition(name: str) -> Condition:
    return Condition(name=name, message="{name} is red", data="as it was", next="mend it", details={"name": name})


def _look(book: AlarmBook, red: frozenset[str], hours: float) -> AlarmBook:
    conditions = tuple(_condition(name) for name in sorted(red))
    return note_conditions(book, conditions, looked_at=frozenset(_NAMES) - red, now=NOW + timedelta(hours=hours))


def _tell(book: AlarmBook, hours: float, *, delivered: bool = True) -> tuple[AlarmBook, list[tuple[NoticeKind, str]]]:
    now = NOW + timedelta(hours=hours)
    told = []
    for notice in plan_notices(book, now=now):
        book = record_notice(book, notice, delivered=delivered, now=now)
        told.append((notice.kind, notice.alarm.condition.name))
    return book, told


_ROUNDS = some.lists(some.tuples(some.frozensets(some.sampled_from(_NAMES)), some.floats(0.01, 30)), max_size=30)


@given(_ROUNDS)
def test_raised_and_recovered_take_turns_and_a_repeat_never_comes_within_a_day(
    rounds: list[tuple[frozenset[str], float]],
) -> None:
    book, hours = AlarmBook(), 0.0
    on: dict[str, float] = {}
    for red, later in rounds:
        hours += later
        before = dict(on)
        book, told = _tell(_look(book, red, hours), hours)
        for kind, name in told:
            assert (kind is NoticeKind.RAISED) == (name not in before)
            assert (kind is NoticeKind.RECOVERED) == (name not in red)
            if kind is NoticeKind.REPEATED:
                assert timedelta(hours=hours - before[name]) >= REPEAT_AFTER - timedelta(seconds=1)
            on[name] = hours
        assert len(told) == len({name: kind for kind, name in told})
        on = {name: at for name, at in on.items() if name in red}
        assert set(on) == red


@given(_ROUNDS)
def test_a_restart_between_any_two_rounds_changes_nothing(rounds: list[tuple[frozenset[str], float]]) -> None:
    running, restarted, hours = AlarmBook(), AlarmBook(), 0.0
    for red, later in rounds:
        hours += later
        running, told = _tell(_look(running, red, hours), hours)
        restarted = parse(AlarmBook, to_json(restarted), file="alarms.json")
        restarted, told_after = _tell(_look(restarted, red, hours), hours)
        assert told == told_after


def test_an_alarm_is_told_once_and_again_only_after_a_day() -> None:
    red = frozenset({"clock"})
    book, first = _tell(_look(AlarmBook(), red, 0), 0)
    book, within_the_day = _tell(_look(book, red, 23.9), 23.9)
    _, next_day = _tell(_look(book, red, 24), 24)

    assert first == [(NoticeKind.RAISED, "clock")]
    assert within_the_day == []
    assert next_day == [(NoticeKind.REPEATED, "clock")]


def test_what_was_not_looked_at_stays_as_it_was() -> None:
    book, _ = _tell(_look(AlarmBook(), frozenset({"clock"}), 0), 0)

    unknown = note_conditions(book, (), looked_at=frozenset(), now=NOW)

    assert [alarm.condition.name for alarm in unknown.red] == ["clock"]
    assert _tell(unknown, 0.1)[1] == []


def test_a_message_nobody_took_is_tried_again_and_waits_longer_each_time() -> None:
    book = _look(AlarmBook(), frozenset({"clock"}), 0)
    tries = []
    for minute in range(240):
        book, told = _tell(book, minute / 60, delivered=False)
        tries += [minute] * len(told)

    waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert book.undelivered
    assert waits == sorted(waits)
    assert max(waits) == 60
    assert _tell(book, 6)[1] == [(NoticeKind.RAISED, "clock")]


def test_a_recovery_is_remembered_until_it_was_delivered() -> None:
    book, _ = _tell(_look(AlarmBook(), frozenset({"clock"}), 0), 0)
    book, _ = _tell(_look(book, frozenset(), 1), 1, delivered=False)

    book, told = _tell(book, 3)

    assert told == [(NoticeKind.RECOVERED, "clock")]
    assert book.alarms == ()


def test_nobody_hears_of_the_end_of_what_they_never_heard_of() -> None:
    book = _look(AlarmBook(), frozenset({"clock"}), 0)

    assert _look(book, frozenset(), 1).alarms == ()
