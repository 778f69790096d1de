"""What tells one release from another, and what is read of them out of the journal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from stratum.adapters.stack_fingerprint import fingerprint, without_secrets
from stratum.core.plan import JournalEntry, JournalKind
from stratum.core.release import Look, is_look_of, past_releases, recorded_releases, release_facts

_ENVIRONMENT = {"POSTGRES_PASSWORD": "correct horse", "FRONTEND_PORT": "3000", "SMTP_LOGIN": "somebody"}
_LOOK = Look(commit="abc", images={"app": "sha256:1", "backup": "sha256:2"}, configuration="0f", stratum="1.0")


def _directory(place: Path, **files: str) -> Path:
    place.mkdir()
    for name, text in files.items():
        (place / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return place


def test_a_fingerprint_changes_with_a_setting_and_not_with_a_secret(tmp_path: Path) -> None:
    stack = _directory(tmp_path / "one", stratum_toml='[stack]\nname = "led"\n', compose_yaml="services: {}\n")
    first = fingerprint(stack, _ENVIRONMENT)

    assert fingerprint(stack, _ENVIRONMENT | {"POSTGRES_PASSWORD": "battery staple", "SMTP_LOGIN": "other"}) == first
    assert fingerprint(stack, _ENVIRONMENT | {"FRONTEND_PORT": "3001"}) != first
    assert fingerprint(stack, _ENVIRONMENT | {"SMTP_HOST": "mail"}) != first
    (stack / "compose.yaml").write_text("services: {app: {}}\n", encoding="utf-8")
    assert fingerprint(stack, _ENVIRONMENT) != first


def test_no_secret_of_a_file_is_read_into_a_fingerprint() -> None:
    text = (
        'SMTP_PASSWORD: hunter2\n  API_KEY=hunter2 hunter2\nurls = ["mailtos://me:hunter2@example.org"]\nname = "led"'
    )

    assert "hunter2" not in without_secrets(text)
    assert 'name = "led"' in without_secrets(text)


def test_releases_are_read_back_as_they_were_noted_and_the_last_one_runs() -> None:
    entries = [_noted(number) for number in range(2)]

    first, second = recorded_releases(entries)

    assert (first.id, first.verb, first.plan_id, first.commit) == ("release-0", "update", "plan-0", "abc")
    assert (first.images, first.heads) == (_LOOK.images, {"stratum_db": "0001=initial", "stratum_console": ""})
    assert (first.running, second.running) == (False, True)
    assert is_look_of(second, _LOOK)
    assert not is_look_of(second, Look(commit="abc", images={}, configuration="0f", stratum="1.0"))


def test_the_images_of_the_newest_kinds_of_code_are_kept_however_often_each_was_started() -> None:
    releases = recorded_releases([_noted(number, image) for number, image in enumerate("abbcbb")])

    past = past_releases(releases, kept=2)

    assert [release.id for release in past] == ["release-4", "release-2", "release-1", "release-0"]


def _noted(number: int, image: str = "sha256:1") -> JournalEntry:
    look = replace(_LOOK, images={"app": image}) if image != "sha256:1" else _LOOK
    heads = {"stratum_db": "0001=initial", "stratum_console": ""}
    return JournalEntry(
        at=datetime(2026, 11, 1 + number, tzinfo=UTC),
        kind=JournalKind.NOTED,
        plan_id=f"release-{number}",
        verb="release",
        who="tester",
        facts=release_facts(look, verb="update", plan_id=f"plan-{number}", heads=heads),
    )
