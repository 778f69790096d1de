"""Holds the whole repository to the house rules that no linter knows."""

from __future__ import annotations

import itertools
import re
import statistics
import tomllib
from string import Formatter
from typing import Any

import pytest

from stratum.core.errors import EXIT_MEANING, KINDS, ErrorKind, ExitCode
from tests.architecture import rules
from tests.architecture.error_calls import an_error_has_a_known_code_and_every_value_it_needs
from tests.architecture.sources import ROOT, sources

PRODUCT = ("src",)
EVERYTHING = ("src", "tests", "benchmarks")

_RULES: tuple[tuple[rules.Rule, tuple[str, ...]], ...] = (
    (rules.no_program_is_started_outside_the_process_module, PRODUCT),
    (rules.no_shell, EVERYTHING),
    (rules.no_function_is_long, PRODUCT),
    (rules.no_file_is_long, PRODUCT),
    (rules.no_error_is_swallowed, EVERYTHING),
    (rules.the_core_is_pure, ("src/stratum/core",)),
    (rules.inheritance_is_for_errors_and_protocols, PRODUCT),
    (rules.records_are_frozen, PRODUCT),
    (rules.an_argv_is_a_tuple, EVERYTHING),
    (rules.a_module_has_a_telling_name, EVERYTHING),
    (rules.a_module_says_its_purpose, EVERYTHING),
    (rules.an_exception_to_a_rule_has_a_reason, EVERYTHING),
    (rules.nothing_is_named_from_outside_the_repository, EVERYTHING),
    (an_error_has_a_known_code_and_every_value_it_needs, PRODUCT),
    (rules.a_test_is_named_with_a_sentence, ("tests",)),
    (rules.a_test_waits_for_a_condition_and_not_for_a_time, ("tests",)),
)


@pytest.mark.parametrize(("rule", "folders"), _RULES, ids=[rule.__name__ for rule, _ in _RULES])
def test_the_repository_keeps_the_rule(rule: rules.Rule, folders: tuple[str, ...]) -> None:
    files = sources(*folders)

    assert files, f"no file below {folders}: the rule looks at nothing"
    assert [offence for file in files for offence in rule(file)] == []


def test_the_usual_function_is_short() -> None:
    lengths = sorted((f.end_lineno or 0) - f.lineno + 1 for file in sources(*PRODUCT) for f in file.functions())

    ninth_tenth = statistics.quantiles(lengths, n=10)[-1]
    print(f"{len(lengths)} functions: median {statistics.median(lengths)}, 90 % up to {ninth_tenth:.0f} lines")

    assert statistics.median(lengths) <= 15
    assert ninth_tenth <= 25


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_error_says_what_happened_what_it_means_for_the_data_and_what_to_do(kind: ErrorKind) -> None:
    for text in (kind.message, kind.data, kind.next):
        assert text.strip() == text != ""
        assert not text.endswith("."), "the three lines carry no full stop"
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert kind.exit is not ExitCode.DONE, "a refusal never exits 0"


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_sentences_of_an_error_name_plain_values(kind: ErrorKind) -> None:
    """No attribute, index or conversion: a translation must be able to move the names about."""
    for text in (kind.message, kind.data, kind.next):
        for _, name, form, conversion in Formatter().parse(text):
            assert name is None or re.fullmatch(r"[a-z][a-z_]*", name), text
            assert not form
            assert not conversion


def test_every_exit_code_has_a_meaning_and_every_error_one_of_them() -> None:
    assert set(EXIT_MEANING) == set(ExitCode)
    assert {kind.exit for kind in KINDS.values()} <= set(ExitCode)


@pytest.mark.parametrize("code", KINDS)
def test_every_error_of_the_table_can_happen(code: str) -> None:
    """A kind nobody raises is a promise in the reference that nothing keeps."""
    table = ("core/refusals.py", "core/failures.py", "core/console_errors.py", "core/page_refusals.py")
    raised = [file.path for file in sources(*PRODUCT) if f'"{code}"' in file.text and not file.path.endswith(table)]

    assert raised != []


def test_the_linter_keeps_the_rules_that_are_left_to_it() -> None:
    selected = set(_settings()["ruff"]["lint"]["select"])

    assert {"ANN", "BLE", "D", "DTZ", "FBT", "PGH", "S", "TID"} <= selected


def test_every_rule_the_linter_ignores_has_its_reason_beside_it() -> None:
    lint = _settings()["ruff"]["lint"]
    ignored = {*lint["ignore"], *itertools.chain(*lint["per-file-ignores"].values())}
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert [code for code in ignored if not re.search(rf'^ +"{code}", +# \S+ \S+ \S+', text, re.MULTILINE)] == []


def test_no_type_is_left_unchecked_by_the_settings() -> None:
    settings = _settings()["mypy"]

    assert settings["strict"] is True
    assert {"src", "tests", "benchmarks"} <= set(settings["files"])
    assert "overrides" not in settings
    assert "exclude" not in settings


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt", "lock.txt"])
def test_a_lock_holds_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")

    assert [pin for pin in _PIN.finditer(text) if not pin["hashes"]] == []
    assert _versions(lock)
    assert not re.search(r"://|--(extra-)?index|--find-links|^ *#.*[ =]/", text, flags=re.MULTILINE)


def test_what_the_tests_run_on_is_what_a_user_installs() -> None:
    assert _versions("runtime.txt").items() <= _versions("dev.txt").items()


def test_no_text_of_the_repository_names_a_place_of_one_machine() -> None:
    files = [ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]

    assert [o for file in files for o in rules.places_of_one_machine(file.name, file.read_text("utf-8"))] == []


_PIN = re.compile(
    r"^(?P<name>[a-z][\w.-]*)==(?P<version>[^\s;]+)[^\n\\]*"
    r"(?P<hashes>(\\\n +--hash=sha256:[0-9a-f]{64} ?)*)$",
    re.MULTILINE,
)


def _versions(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return {pin["name"]: pin["version"] for pin in _PIN.finditer(text)}


def _settings() -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    return settings
