"""Which release a rollback means, on which side the data stands, and what speaks against an older release's schema."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stratum.adapters.compose_reach import render_unpublished
from stratum.core.errors import StratumError
from stratum.core.plan import Facts, JournalEntry, JournalKind, Plan, PlanEnd
from stratum.core.release import Look, recorded_releases, release_facts
from stratum.core.schema import compare_columns
from stratum.core.way_back import Side, find_last_update, find_release

_BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


class _Story:
    """A journal as deploys leave it."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []

    def deploys(self, verb: str, image: str, *, end: PlanEnd = PlanEnd.DONE, **params: str | bool | list[str]) -> None:
        """A plan that ran, and the release it brought where it was done."""
        number = len(self.entries)
        plan_id = f"plan-{number}"
        facts: Facts = {"label": "k3f9", **params}
        plan = Plan(id=plan_id, verb=verb, stack="led", created_at=_BEGIN, headline=verb, steps=(), params=facts)
        self._add(JournalKind.PLAN_STARTED, plan_id, verb, plan=plan)
        if end is PlanEnd.DONE:
            look = Look(commit=None, images={"app": image}, configuration="0f", stratum="1.0")
            noted = release_facts(look, verb=verb, plan_id=plan_id, heads={})
            self._add(JournalKind.NOTED, f"release-{number}", "release", facts=noted)
        self._add(JournalKind.PLAN_ENDED, plan_id, verb, end=end)

    def _add(
        self,
        kind: JournalKind,
        plan_id: str,
        verb: str,
        *,
        plan: Plan | None = None,
        facts: Facts | None = None,
        end: PlanEnd | None = None,
    ) -> None:
        at = _BEGIN + timedelta(minutes=len(self.entries))
        entry = JournalEntry(
            at=at, kind=kind, plan_id=plan_id, verb=verb, who="tester", plan=plan, facts=facts or {}, end=end
        )
        self.entries.append(entry)

    def target(self, wanted: str | None = None) -> str:
        return find_release(recorded_releases(self.entries), wanted).images["app"]

    def stands(self) -> Side | None:
        found = find_last_update(self.entries)
        return found.stands if found else None


def test_without_a_name_the_newest_release_of_other_code_is_meant_so_that_a_rollback_is_undone_by_another() -> None:
    story = _Story()
    story.deploys("up", "one")
    story.deploys("update", "two")
    story.deploys("up", "two")
    assert story.target() == "one"
    story.deploys("rollback", "one")
    assert story.target() == "two"
    story.deploys("rollback", "two")
    assert story.target() == "one"


def test_a_release_is_found_by_the_end_of_its_id_and_no_other_is_taken_for_it() -> None:
    story = _Story()
    story.deploys("up", "one")
    story.deploys("update", "two")

    assert story.target("release-0") == story.target("0") == "one"
    with pytest.raises(StratumError) as unknown:
        story.target("7")
    assert unknown.value.code == "unknown-release"


def test_where_nothing_else_ran_there_is_nothing_to_go_back_to() -> None:
    story = _Story()
    with pytest.raises(StratumError) as none:
        story.target()
    story.deploys("up", "one")
    with pytest.raises(StratumError) as alone:
        story.target()

    assert (none.value.code, alone.value.code) == ("nothing-to-roll-back", "nothing-to-roll-back")


def test_only_a_rollback_with_data_moves_the_data_to_the_other_side_of_the_update() -> None:
    story = _Story()
    story.deploys("up", "one")
    assert story.stands() is None
    story.deploys("update", "two")
    assert story.stands() is Side.AFTER
    story.deploys("rollback", "one", databases=[])
    assert story.stands() is Side.AFTER
    story.deploys("rollback", "one", databases=["stratum_db"])
    assert story.stands() is Side.BEFORE
    story.deploys("rollback", "two", databases=["stratum_db"], forward=True, end=PlanEnd.COMPENSATED)
    assert story.stands() is Side.BEFORE
    story.deploys("rollback", "two", databases=["stratum_db"], forward=True)
    assert story.stands() is Side.AFTER

    found = find_last_update(story.entries)
    assert found is not None
    assert [found.side_of(release) for release in recorded_releases(story.entries)] == [
        Side.BEFORE,
        Side.AFTER,
        Side.BEFORE,
        Side.BEFORE,
        Side.AFTER,
    ]


def test_columns_that_are_gone_or_have_to_be_filled_speak_against_an_older_release_and_new_ones_do_not() -> None:
    then = {
        "public.orders": {"id": "integer not null", "note": "text", "code": "text"},
        "public.old": {"id": "integer"},
    }
    now = {
        "public.orders": {"id": "bigint not null", "code": "text not null", "paid": "boolean", "due": "date not null"},
        "public.new": {"id": "integer not null"},
    }

    unknown, breaking = compare_columns(then=then, now=now)

    assert tuple(one.text for one in breaking) == (
        "table public.old is gone",
        "public.orders.note is gone",
        "public.orders.code has to be filled",
        "public.orders.due has to be filled",
    )
    assert tuple(one.text for one in unknown) == (
        "table public.new",
        "public.orders.id (bigint not null now, integer not null then)",
        "public.orders.paid",
    )
    assert compare_columns(then=now, now=now) == ((), ())


def test_ports_are_taken_from_the_services_that_have_some_and_from_no_other() -> None:
    services = {"web": {"ports": [{"target": 80}]}, "worker": {}, "postgres": {"ports": [{"target": 5432}]}}

    assert render_unpublished(services, ("web", "worker")) == 'services:\n  "web":\n    ports: !reset []\n'
    assert render_unpublished(services, ("worker",)) is None
