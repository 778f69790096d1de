"""Each house rule is shown a file that breaks it and one that keeps it."""

from __future__ import annotations

import pytest

from stratum.core.errors import KINDS, ErrorKind, ExitCode
from tests.architecture import rules
from tests.architecture.error_calls import an_error_has_a_known_code_and_every_value_it_needs, placeholders
from tests.architecture.sources import parse_source

_LONG = "def f() -> None:\n" + "    g()\n" * rules.LONGEST_FUNCTION

_BROKEN: tuple[tuple[rules.Rule, str], ...] = (
    (rules.no_program_is_started_outside_the_process_module, "import subprocess"),
    (rules.no_program_is_started_outside_the_process_module, "from subprocess import run"),
    (rules.no_program_is_started_outside_the_process_module, "import os\nos.execv('a', ['a'])"),
    (rules.no_shell, "import os\nos.system('ls')"),
    (rules.no_shell, "import os\nos.popen('ls')"),
    (rules.no_shell, "run(['ls'], shell=True)"),
    (rules.no_shell, "run(['ls'], shell=wanted)"),
    (rules.no_function_is_long, _LONG),
    (rules.no_file_is_long, "x = 1\n" * (rules.LONGEST_FILE + 1)),
    (rules.no_error_is_swallowed, "try:\n    f()\nexcept ValueError:\n    pass"),
    (rules.no_error_is_swallowed, "try:\n    f()\nexcept ValueError:\n    'ignored'"),
    (rules.no_error_is_swallowed, "with contextlib.suppress(Exception):\n    f()"),
    (rules.the_core_is_pure, "import os"),
    (rules.the_core_is_pure, "from pathlib import Path"),
    (rules.the_core_is_pure, "from stratum.ports import Clock"),
    (rules.the_core_is_pure, "from datetime import UTC, datetime\nx = datetime.now(UTC)"),
    (rules.the_core_is_pure, "x = open('a')"),
    (rules.inheritance_is_for_errors_and_protocols, "class A(Thing): ..."),
    (rules.records_are_frozen, "@dataclass\nclass A: ..."),
    (rules.records_are_frozen, "@dataclasses.dataclass(slots=True)\nclass A: ..."),
    (rules.records_are_frozen, "@dataclass(frozen=False)\nclass A: ..."),
    (rules.an_argv_is_a_tuple, "def dump_argv() -> list[str]: ..."),
    (rules.a_module_says_its_purpose, "import os"),
    (rules.a_module_says_its_purpose, "'''helpers'''"),
    (rules.an_exception_to_a_rule_has_a_reason, "f()  # noqa"),
    (rules.an_exception_to_a_rule_has_a_reason, "f()  # noqa: S101"),
    (rules.an_exception_to_a_rule_has_a_reason, "f()  # type: ignore"),
    (rules.an_exception_to_a_rule_has_a_reason, "f()  # type: ignore[arg-type]"),
    (rules.a_test_is_named_with_a_sentence, "def test_restore() -> None: ..."),
    (rules.a_test_waits_for_a_condition_and_not_for_a_time, "time.sleep(2)"),
)

_KEPT: tuple[tuple[rules.Rule, str], ...] = (
    (rules.no_shell, "run(['ls'], shell=False)"),
    (rules.no_function_is_long, _LONG.removesuffix("    g()\n")),
    (rules.no_file_is_long, "x = 1\n" * rules.LONGEST_FILE),
    (rules.no_error_is_swallowed, "try:\n    f()\nexcept ValueError:\n    log()"),
    (rules.no_error_is_swallowed, "with contextlib.suppress(FileNotFoundError):\n    f()"),
    (rules.the_core_is_pure, "from datetime import datetime\nfrom stratum.core.plan import Plan"),
    (rules.inheritance_is_for_errors_and_protocols, "class A(Protocol): ..."),
    (rules.inheritance_is_for_errors_and_protocols, "class A(enum.StrEnum): ..."),
    (rules.inheritance_is_for_errors_and_protocols, "class A(StratumError): ..."),
    (rules.inheritance_is_for_errors_and_protocols, "class A(Exception): ..."),
    (rules.records_are_frozen, "@dataclass(frozen=True)\nclass A: ..."),
    (rules.an_argv_is_a_tuple, "def dump_argv() -> tuple[str, ...]: ..."),
    (rules.a_module_says_its_purpose, "'''Says what it is for.\n\nAnd more.'''"),
    (rules.an_exception_to_a_rule_has_a_reason, "f()  # noqa: S101  the tool needs it"),
    (rules.an_exception_to_a_rule_has_a_reason, "f()  # type: ignore[arg-type]  # the stubs are wrong"),
    (rules.an_exception_to_a_rule_has_a_reason, "# The stubs are wrong here.\nf()  # type: ignore[arg-type]"),
    (rules.an_exception_to_a_rule_has_a_reason, "x = '# noqa'"),
    (rules.a_test_is_named_with_a_sentence, "def test_a_restore_never_overwrites() -> None: ..."),
    (rules.a_test_waits_for_a_condition_and_not_for_a_time, "time.sleep(0.02)"),
)


@pytest.mark.parametrize(("rule", "text"), _BROKEN, ids=[rule.__name__ for rule, _ in _BROKEN])
def test_a_file_against_the_rule_is_named_with_its_line(rule: rules.Rule, text: str) -> None:
    offences = list(rule(parse_source("src/stratum/core/example.py", text)))

    assert offences != []
    assert offences[0].startswith("src/stratum/core/example.py")


@pytest.mark.parametrize(("rule", "text"), _KEPT, ids=[rule.__name__ for rule, _ in _KEPT])
def test_a_file_that_keeps_the_rule_is_left_alone(rule: rules.Rule, text: str) -> None:
    assert list(rule(parse_source("src/stratum/core/example.py", text))) == []


_TABLE = "_CODES = {1: 'not-running', 2: 'no-such-code'}\n"


@pytest.mark.parametrize(
    "line",
    [
        "raise StratumError('no-such-code')",
        "raise StratumError(code)",
        "raise StratumError('not-running')",
        "raise StratumError('not-running', detail=1, a=2)",
        "raise StratumError('not-running', **values)",
        "raise StratumError(a.code, **b.details)",
        "x = GuardResult(code='not-running')",
        "x = GuardResult(code='not-running', details={'pid': 1})",
        "raise StratumError(_CODES[1], detail=1)",
        "values = {'reason': 1}\n    raise StratumError('not-running', **values)",
    ],
)
def test_an_error_that_lacks_its_code_or_a_value_is_named(line: str) -> None:
    source = parse_source("src/stratum/example.py", f"{_TABLE}def f() -> None:\n    {line}")

    assert list(an_error_has_a_known_code_and_every_value_it_needs(source)) != []


@pytest.mark.parametrize(
    "line",
    [
        "raise StratumError('not-running', detail=1)",
        "raise StratumError(guard.code, **guard.details)",
        "x = GuardResult(code='not-running', details={'detail': 'stopped'})",
        "raise StratumError(_CODES[1], detail=1)",
        "values = {}\n    values |= {'detail': 1}\n    raise StratumError('not-running', **values)",
    ],
)
def test_an_error_with_its_code_and_its_values_is_left_alone(line: str) -> None:
    table = _TABLE.replace("no-such-code", "not-running")
    source = parse_source("src/stratum/example.py", f"{table}def f() -> None:\n    {line}")

    assert list(an_error_has_a_known_code_and_every_value_it_needs(source)) == []


def test_the_process_module_alone_may_start_programs() -> None:
    source = parse_source(rules.PROCESS_MODULE, "import subprocess")

    assert list(rules.no_program_is_started_outside_the_process_module(source)) == []


@pytest.mark.parametrize("name", sorted(rules.EMPTY_NAMES))
def test_a_module_name_that_says_nothing_is_refused(name: str) -> None:
    offences = list(rules.a_module_has_a_telling_name(parse_source(f"src/stratum/{name}.py", "")))

    assert len(offences) == 1


def test_a_home_directory_in_a_text_is_found() -> None:
    parts = ("", "home", "somebody", "project")

    assert list(rules.places_of_one_machine("README.md", f"see {'/'.join(parts)}")) != []
    assert list(rules.places_of_one_machine("README.md", "see docs/home/page and ~/project")) == []


def test_the_values_an_error_needs_are_read_from_all_three_sentences() -> None:
    kind = ErrorKind(code="x", exit=ExitCode.FAILED, message="{a} broke", data="{b} is safe", next="mend {a} and {c}")

    assert placeholders(kind) == {"a", "b", "c"}
    assert placeholders(KINDS["not-running"]) == {"detail"}
