"""Releases of a stack without containers: noted when something new was started, and then only."""

from __future__ import annotations

from stratum.core.release import Release
from stratum.engine.releases import list_releases
from tests.fixtures.stacks import StackUnderTest


def _releases(stack: StackUnderTest) -> tuple[Release, ...]:
    return list_releases(stack.ports()).releases


def test_a_start_is_a_release_when_its_settings_are_new_and_no_other_is(stack: StackUnderTest) -> None:
    before = len(_releases(stack))
    stack.up()
    known = _releases(stack)
    assert known[0].running
    assert known[0].verb == "up"
    assert set(known[0].heads) == {"stratum_db"}

    stack.up()
    assert _releases(stack) == known, "nothing new was started"

    file = stack.directory / "stratum.toml"
    file.write_text(file.read_text(encoding="utf-8") + "\n# another setting\n", encoding="utf-8")
    stack.up()
    newest, *older = _releases(stack)
    assert newest.configuration != known[0].configuration
    assert [release.running for release in (newest, *older)] == [True, *(False for _ in older)]
    assert len(older) == len(known) >= before
