"""stratum.toml and .env are read strictly: what is not understood is refused by name, with a hint."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratum.config import Settings, find_stack, load_settings, parse_duration
from stratum.core.backup import DigestMode
from stratum.core.errors import StratumError

_MINIMAL = '[stack]\nname = "led"\n'


def _load(directory: Path, toml: str = _MINIMAL, env: str = "POSTGRES_DB=app\nPOSTGRES_PORT=5433\n") -> Settings:
    (directory / "stratum.toml").write_text(toml, encoding="utf-8")
    (directory / ".env").write_text(env, encoding="utf-8")
    return load_settings(directory)


def _refusal(directory: Path, toml: str) -> StratumError:
    with pytest.raises(StratumError) as refused:
        _load(directory, toml)
    return refused.value


def test_a_name_is_all_that_has_to_be_set(tmp_path: Path) -> None:
    settings = _load(tmp_path)

    assert settings.as_stack().databases == ("app",)
    assert settings.restore.undo_window == timedelta(hours=72)
    assert settings.retention.keep_days == 14
    assert settings.archive_path == tmp_path / "archive"
    assert settings.port() == 5433


def test_every_section_is_read_into_its_record(tmp_path: Path) -> None:
    toml = _MINIMAL + (
        '[database]\ndatabases = ["a", "b c"]\n[archive]\npath = "/elsewhere"\nfailure_domain = "other-host"\n'
        '[backup]\ndigest = "sampled"\ncollapse_limit = 0.1\n[retention]\nkeep_days = 0\nmonthly = 12\n'
        '[drill]\nsmoke_sql = ["SELECT true"]\n[restore]\nundo_window = "2d"\n'
        '[commands]\nmigrate = ["alembic", "upgrade", "head"]\n[check]\naccept = ["off-the-disk"]\n'
    )

    settings = _load(tmp_path, toml)

    stack = settings.as_stack()
    assert stack.databases == ("a", "b c")
    assert settings.archive_path == Path("/elsewhere")
    assert (stack.backup.digest, stack.backup.collapse_limit) == (DigestMode.SAMPLED, 0.1)
    assert (stack.retention.keep_days, stack.retention.monthly) == (0, 12)
    assert stack.drill.smoke_sql == ("SELECT true",)
    assert stack.restore.undo_window == timedelta(days=2)
    assert stack.commands.migrate == ("alembic", "upgrade", "head")
    assert stack.accepted_risks == ("off-the-disk",)


@pytest.mark.parametrize(
    ("toml", "setting", "hint"),
    [
        (_MINIMAL + "[retention]\nkeep_dys = 3\n", "[retention] keep_dys", " (did you mean keep_days?)"),
        (_MINIMAL + "[retentoin]\n", "retentoin", " (did you mean retention?)"),
        (_MINIMAL + "[backup]\nzzz = 1\n", "[backup] zzz", ""),
        ("name = 1\n" + _MINIMAL, "name", ""),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest_known_one(
    tmp_path: Path, toml: str, setting: str, hint: str
) -> None:
    error = _refusal(tmp_path, toml)

    assert error.code == "unknown-setting"
    assert (error.details["setting"], error.details["hint"]) == (setting, hint)


@pytest.mark.parametrize("text", ["[stack", "[stack]\nname = led\n", "[stack]\nname = 'a'\nname = 'b'\n", "\x00"])
def test_malformed_toml_is_refused(tmp_path: Path, text: str) -> None:
    assert _refusal(tmp_path, text).code == "malformed-settings"


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stratum.toml").write_bytes(b'[stack]\nname = "\xe9"\n')

    with pytest.raises(StratumError) as refused:
        load_settings(tmp_path)

    assert refused.value.code == "malformed-settings"


@pytest.mark.parametrize(
    ("toml", "setting"),
    [
        ("", "[stack] name"),
        ("[stack]\n", "[stack] name"),
        ("stack = 3\n", "[stack]"),
        ('[stack]\nname = "Led Zep"\n', "[stack] name"),
        ('[stack]\nname = "../x"\n', "[stack] name"),
        ('[stack]\nname = "led"\nruntime = "podman"\n', "[stack] runtime"),
        (_MINIMAL + '[retention]\nkeep_days = "many"\n', "[retention] keep_days"),
        (_MINIMAL + "[retention]\nkeep_days = true\n", "[retention] keep_days"),
        (_MINIMAL + "[retention]\nkeep_days = 1.5\n", "[retention] keep_days"),
        (_MINIMAL + '[backup]\ndigest = "some"\n', "[backup] digest"),
        (_MINIMAL + '[restore]\nundo_window = "soon"\n', "[restore] undo_window"),
        (_MINIMAL + "[restore]\nundo_window = 72\n", "[restore] undo_window"),
        (_MINIMAL + "[archive]\npath = 3\n", "[archive] path"),
        (_MINIMAL + '[commands]\nmigrate = "alembic upgrade head"\n', "[commands] migrate"),
        (_MINIMAL + "[commands]\nmigrate = [1]\n", "[commands] migrate"),
        (_MINIMAL + "[drill]\nsmoke_sql = {}\n", "[drill] smoke_sql"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(tmp_path: Path, toml: str, setting: str) -> None:
    error = _refusal(tmp_path, toml)

    assert error.code == "invalid-setting"
    assert error.details["setting"] == setting
    assert error.details["problem"]


@pytest.mark.parametrize(
    ("toml", "setting"),
    [
        (_MINIMAL + "[retention]\nkeep_days = -1\n", "[retention] keep_days"),
        (_MINIMAL + "[backup]\ncollapse_limit = 50\n", "[backup] collapse_limit"),
        (_MINIMAL + "[backup]\ncollapse_limit = nan\n", "[backup] collapse_limit"),
        (_MINIMAL + "[protect]\ncanary_seconds = 0\n", "[protect] canary_seconds"),
        (_MINIMAL + "[protect]\nslot_keep_mb = 8\n", "[protect] slot_keep_mb"),
        (_MINIMAL + '[archive]\nfailure_domain = "moon"\n', "[archive] failure_domain"),
        (_MINIMAL + '[retention]\nkeep_days = "14"\n', "[retention] keep_days"),
        (_MINIMAL + '[restore]\nundo_window = "99999999999w"\n', "[restore] undo_window"),
        (_MINIMAL + '[check]\naccept = ["off-the-dsk"]\n', "[check] accept"),
    ],
)
def test_a_value_outside_its_range_is_refused_by_name(tmp_path: Path, toml: str, setting: str) -> None:
    error = _refusal(tmp_path, toml)

    assert error.code == "invalid-setting"
    assert error.details["setting"] == setting


def test_a_missing_secret_is_asked_for_by_its_name(tmp_path: Path) -> None:
    settings = _load(tmp_path, env="POSTGRES_PASSWORD=\n")

    with pytest.raises(StratumError) as refused:
        settings.secret("POSTGRES_PASSWORD")

    assert refused.value.code == "missing-secret"
    assert refused.value.details["name"] == "POSTGRES_PASSWORD"


@pytest.mark.parametrize("port", ["many", "0", "65536", "-1", "5433 5434", "٥٤٣٣"])
def test_an_impossible_port_is_refused(tmp_path: Path, port: str) -> None:
    settings = _load(tmp_path, env=f"POSTGRES_PORT={port}\n")

    with pytest.raises(StratumError) as refused:
        settings.port()

    assert refused.value.code == "invalid-setting"


def test_a_dollar_in_a_secret_is_kept_as_it_is(tmp_path: Path) -> None:
    assert _load(tmp_path, env="A='p$HOME${x}'\n").secret("A").reveal == "p$HOME${x}"


def test_settings_never_show_a_secret(tmp_path: Path) -> None:
    settings = _load(tmp_path, env="POSTGRES_PASSWORD=hush-hush-hush\n")

    shown = f"{settings!r} {settings.secret('POSTGRES_PASSWORD')!r} {settings.secret('POSTGRES_PASSWORD')}"

    assert "hush" not in shown


def test_a_stack_is_found_from_a_directory_below_it(tmp_path: Path) -> None:
    below = tmp_path / "deep" / "down"
    below.mkdir(parents=True)
    _load(tmp_path)

    assert find_stack(below) == tmp_path


def test_a_directory_without_a_stack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StratumError) as refused:
        find_stack(tmp_path)

    assert refused.value.code == "no-stack-here"


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        (" 72 h ", timedelta(days=3)),
        ("14d", timedelta(days=14)),
        ("2w", timedelta(weeks=2)),
        ("0s", timedelta()),
    ],
)
def test_a_duration_is_a_number_and_one_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "h", "1", "1.5h", "-1h", "1h30m", "1y", "1 hour", "99999999999w"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@given(st.text(max_size=60))
def test_no_settings_file_ends_in_anything_but_a_named_refusal(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    directory = tmp_path_factory.mktemp("settings")
    (directory / "stratum.toml").write_text(text, encoding="utf-8", errors="surrogatepass")

    with pytest.raises(StratumError) as refused:
        load_settings(directory)

    assert refused.value.code in {"malformed-settings", "unknown-setting", "invalid-setting"}
