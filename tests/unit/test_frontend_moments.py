"""A moment is picked to the second, in the reader's own zone, and every page says the same of what it reaches."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.core.coverage import exact_stretches, reached_at
from stratum.core.plan import Plan
from stratum.core.receiving import ProtectMode, ReceiverState
from stratum.core.timeline import Reach, Span, Timeline
from stratum.frontend.moments import TimeNotReadError, field_text, parse_moment, whole_second_after
from stratum.frontend.pages_restore import shown_order
from stratum.frontend.standing import LayerState, describe_layers
from stratum.frontend.troubles import SILENT_AFTER, TroubleKind, find_troubles
from tests.fakes import console_coverage
from tests.fakes.console_answers import calm_world, empty_world, troubled_world
from tests.fakes.console_records import NOW, restore_plan
from tests.fakes.fake_backend import FakeBackend
from tests.fixtures.console_visits import press, read, visit, words

_FIRST = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2026-11-22T14:30:05", "Europe/Paris", "2026-11-22T13:30:05+00:00"),
        ("2026-07-01T14:30:05", "Europe/Paris", "2026-07-01T12:30:05+00:00"),
        ("2026-11-22T14:30", "", "2026-11-22T14:30:00+00:00"),
        ("2026-11-22 14:30:05+05:30", "Europe/Paris", "2026-11-22T09:00:05+00:00"),
        ("2026-10-25T02:30:00", "Europe/Paris", "2026-10-25T00:30:00+00:00"),
    ],
)
def test_a_typed_time_is_read_in_the_zone_beside_it(text: str, zone: str, utc: str) -> None:
    assert parse_moment(text, zone).isoformat() == utc


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("yesterday", "UTC"),
        ("", "UTC"),
        ("2026-11-22T14:30:05", "Europe/Atlantis"),
        ("2026-11-22T14:30:05", "../../etc/passwd"),
        ("2026-03-29T02:30:00", "Europe/Paris"),
        ("0001-01-01T00:00:00", "Asia/Tokyo"),
    ],
)
def test_a_time_that_never_was_is_no_time(text: str, zone: str) -> None:
    with pytest.raises(TimeNotReadError):
        parse_moment(text, zone)


def test_the_field_shows_the_moment_that_is_read_out_of_it_again() -> None:
    at = datetime(2026, 7, 1, 12, 30, 5, tzinfo=UTC)
    assert field_text(at, "Europe/Paris") == "2026-07-01T14:30:05"
    assert parse_moment(field_text(at, "Europe/Paris"), "Europe/Paris") == at


def test_the_second_after_a_beginning_is_never_before_it() -> None:
    assert whole_second_after(_FIRST) == _FIRST
    assert whole_second_after(_FIRST + timedelta(microseconds=1)) == _FIRST + timedelta(seconds=1)


def _timeline(reaches: list[Reach]) -> Timeline:
    """A stretch of ten seconds for each."""
    edges = [_FIRST + timedelta(seconds=10 * n) for n in range(len(reaches) + 1)]
    spans = (
        Span(begins=a, ends=b, reach=reach, backup_id="b")
        for reach, a, b in zip(reaches, edges, edges[1:], strict=False)
    )
    return Timeline(begins=edges[0], ends=edges[-1], spans=tuple(spans), moments=())


@given(reaches=st.lists(st.sampled_from(Reach), min_size=1, max_size=8), seconds=st.integers(-15, 95))
def test_what_a_moment_reaches_is_what_its_stretch_says_and_its_neighbours_are_the_nearest(
    reaches: list[Reach], seconds: int
) -> None:
    timeline = _timeline(reaches)
    at = _FIRST + timedelta(seconds=seconds)
    found = reached_at(timeline, at)

    place = len(reaches) - 1 if at == timeline.ends else seconds // 10
    inside = timeline.begins <= at <= timeline.ends
    assert found.reach is (reaches[place] if inside else Reach.NOTHING)
    exact = [s for s in range(10 * len(reaches) + 1) if reached_at(timeline, _FIRST + timedelta(seconds=s)).reach is
             Reach.EXACT]  # fmt: skip
    if found.reach is Reach.EXACT:
        assert (found.earlier, found.later) == (None, None)
        return
    before = [s for s in exact if s < seconds]
    after = [s for s in exact if s > seconds]
    # The end of a stretch is reached as well, though the next one begins there.
    assert (found.earlier is None) == (not before)
    assert found.earlier is None or found.earlier - _FIRST >= timedelta(seconds=max(before))
    assert found.later == (_FIRST + timedelta(seconds=min(after)) if after else None)


@given(reaches=st.lists(st.sampled_from(Reach), min_size=1, max_size=12))
def test_stretches_that_meet_are_told_as_one_and_cover_the_same_seconds(reaches: list[Reach]) -> None:
    timeline = _timeline(reaches)
    found = exact_stretches(timeline)

    assert sum((s.ends - s.begins for s in found), timedelta()) == timedelta(seconds=10 * reaches.count(Reach.EXACT))
    assert all(left.ends < right.begins for left, right in pairwise(found))


_STATES: dict[str, tuple[ReceiverState | None, tuple[TroubleKind, ...], LayerState]] = {
    "never received": (None, (), LayerState.UNKNOWN),
    "not asked for": (
        replace(console_coverage.commits_wait(), mode=ProtectMode.DUMPS),
        (),
        LayerState.UNKNOWN,
    ),
    "receiving": (console_coverage.receiving(), (), LayerState.GOOD),
    "commits wait": (console_coverage.commits_wait(), (TroubleKind.COMMITS_WAIT,), LayerState.BAD),
    "degraded": (console_coverage.degraded(), (TroubleKind.DEGRADED,), LayerState.BAD),
    "cannot be armed": (
        replace(console_coverage.degraded(), degraded_since=None, armed_problem="commits would hang"),
        (TroubleKind.DEGRADED,),
        LayerState.BAD,
    ),
    "lost its place": (console_coverage.unprotected(), (TroubleKind.UNPROTECTED, TroubleKind.AWAY), LayerState.BAD),
    "silent": (
        replace(console_coverage.receiving(), at=NOW - SILENT_AFTER - timedelta(seconds=1)),
        (TroubleKind.SILENT,),
        LayerState.BAD,
    ),
}


@pytest.mark.parametrize("name", list(_STATES))
def test_each_way_to_lose_the_protection_of_every_second_is_told(name: str) -> None:
    receiver, kinds, layer = _STATES[name]
    status = replace(calm_world(), receiver=receiver).status()
    if name == "silent":
        status["status"]["receiver"]["at"] = (NOW - SILENT_AFTER - timedelta(seconds=1)).isoformat()

    assert tuple(trouble.kind for trouble in find_troubles(receiver, NOW)) == kinds
    layers = describe_layers(status, NOW)
    assert layers.seconds is layer
    assert layers.safe == (layer is not LayerState.BAD)


@pytest.mark.parametrize(
    ("receiver", "told"),
    [
        (
            console_coverage.commits_wait(),
            ("Commits are waiting since", "3 sessions wait now.", "disk is full", "stratum protect --degrade"),
        ),
        (console_coverage.degraded(), ("Zero loss is suspended since", "as soon as it has caught up")),
        (console_coverage.unprotected(), ("Unprotected since", "no longer has the WAL", "takes a base backup")),
    ],
)
def test_the_first_page_says_in_red_what_is_wrong_and_what_to_do(receiver: ReceiverState, told: tuple[str]) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        for path in ("/", "/protection"):
            page = (await client.get(path)).text
            band = words(re.findall(r'<section class="alarm-band".*?</section>', page, re.DOTALL)[0])
            assert all(text in band for text in told), path

    visit(FakeBackend(replace(calm_world(), receiver=receiver)), scenario)


def test_a_calm_first_page_has_no_band() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        page = (await client.get("/")).text
        assert "alarm-band" not in page
        assert "is in the archive." in words(page)

    visit(FakeBackend(calm_world()), scenario)


def _ask_for(at: datetime) -> dict[str, str]:
    return {"target": "time", "at": f"{at:%Y-%m-%dT%H:%M:%S}", "zone": "UTC"}


def test_the_restore_page_says_what_the_picked_second_reaches() -> None:
    world = calm_world()
    exact = world.timeline().spans[-1]
    backup = world.manifests[2]

    async def scenario(client: httpx.AsyncClient) -> None:
        async def reached(at: datetime) -> str:
            return words((await client.get("/restore", params=_ask_for(at))).text.split("<form")[1])

        assert f"exactly: from the base backup {exact.backup_id}" in await reached(exact.ends - timedelta(hours=1))
        before = await reached(backup.taken_at + timedelta(hours=1))
        assert f"brings back the backup {backup.id}" in before
        assert "after it:" in before
        assert "Nothing brings this second back" in await reached(world.manifests[0].taken_at - timedelta(days=9))
        assert "has not come yet" in await reached(exact.ends + timedelta(days=1))

    visit(FakeBackend(world), scenario)


def test_what_the_picture_offers_is_filled_into_the_field() -> None:
    world = calm_world()
    at = world.timeline().spans[-1].ends

    async def scenario(client: httpx.AsyncClient) -> None:
        links = re.findall(r'href="(/restore\?at=[^"]+)"', (await client.get("/timeline?range=all")).text)
        assert len(set(links)) == 4  # two stretches and two named moments
        page = (await client.get("/restore", params={"at": at.isoformat()})).text
        assert f'value="{at:%Y-%m-%dT%H:%M:%S}"' in page
        assert re.search(r'value="time" checked', page)

    visit(FakeBackend(world), scenario)


def test_where_neither_backup_nor_wal_is_there_no_restore_is_offered() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        assert "There is nothing to restore from." in await read(client, "/restore")

    visit(FakeBackend(empty_world()), scenario)


def test_a_plan_that_reaches_the_moment_itself_is_started_with_that_moment() -> None:
    exact = replace(_plan(), params={"database": "shop_db", "swap": True})
    wanted = {"at": "2026-11-22T13:30:05+00:00", "database": "shop_db"}

    assert shown_order(wanted, exact) == wanted
    assert shown_order(wanted, _plan()) == {"backup_id": "2026-11-20T01-00-00Z-0013", "database": "shop_db"}


def test_the_plan_of_a_moment_says_that_it_is_exact_and_starts_it_as_it_was_picked() -> None:
    fake = FakeBackend(calm_world())
    at = fake.world.timeline().spans[-1].ends - timedelta(hours=1)

    async def scenario(client: httpx.AsyncClient) -> None:
        page = (await client.get("/restore/plan", params=_ask_for(at))).text
        assert "Exactly this second is brought back" in words(page)
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.split('action="/restore"')[1]))
        await client.post("/restore", data=fields)
        assert fake.bodies[-1] == {"at": at.isoformat()}
        older = (await client.get("/restore/plan", params=_ask_for(fake.world.manifests[2].taken_at))).text
        assert "itself: the last backup before it is brought back" in words(older)

    visit(fake, scenario)


def _plan() -> Plan:
    return restore_plan("2026-11-20T01-00-00Z-0013")


def test_a_second_is_drilled_and_a_base_backup_taken_at_a_press() -> None:
    fake = FakeBackend(calm_world())

    async def scenario(client: httpx.AsyncClient) -> None:
        drilled = await press(client, "/drill/moment", at="2026-11-22T13:30:05+00:00")
        assert drilled.headers["location"] == "/jobs/job-drill-running"
        assert fake.bodies[-1] == {"at": "2026-11-22T13:30:05+00:00"}
        await press(client, "/backups/base")
        assert fake.bodies[-1] == {"kind": "base"}

    visit(fake, scenario)


def test_the_protection_page_shows_what_the_receiver_and_the_archive_say() -> None:
    world = replace(troubled_world(), receiver=console_coverage.commits_wait(), points=("before-the-sale",))

    async def scenario(client: httpx.AsyncClient) -> None:
        page = await read(client, "/protection")
        for text in ("2/51AB3F28", "stratum_receiver", "593 files", "before-the-sale", "zero loss", "1.2 GiB"):
            assert text in page

    visit(FakeBackend(world), scenario)
