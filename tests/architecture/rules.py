"""The house rules no linter holds: each takes one source file and names what is against it, with the line."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from tests.architecture.sources import Source, called_name, dotted

Rule: TypeAlias = Callable[[Source], Iterator[str]]

LONGEST_FUNCTION = 50
LONGEST_FILE = 400
FEWEST_WORDS = 4
PROCESS_MODULE = "src/stratum/adapters/process.py"
EMPTY_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"})

_STARTS_A_PROGRAM = re.compile(r"os\.(exec|spawn|posix_spawn|fork)|asyncio\.create_subprocess|pty\.spawn")
_IS_A_SHELL = frozenset({"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"})
_PURE_MODULES = frozenset(
    {
        "__future__",
        "abc",
        "bisect",
        "collections",
        "collections.abc",
        "dataclasses",
        "datetime",
        "decimal",
        "difflib",
        "enum",
        "fnmatch",
        "functools",
        "hashlib",
        "heapq",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "statistics",
        "string",
        "textwrap",
        "types",
        "typing",
    }
)
_READS_THE_WORLD = frozenset(
    {
        "now",
        "today",
        "utcnow",
        "fromtimestamp",
        "open",
        "print",
        "input",
        "breakpoint",
        "eval",
        "exec",
        "__import__",
    }
)
_MAY_BE_INHERITED = frozenset(
    {
        "Protocol",
        "RawIOBase",
        "Enum",
        "StrEnum",
        "IntEnum",
        "Flag",
        "IntFlag",
        "NamedTuple",
        "TypedDict",
        "Generic",
        "BuildHookInterface",
    }
)
_NOQA = re.compile(r"#\s*noqa(?P<codes>:\s*[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*)?(?P<rest>.*)")
_TYPE_IGNORE = re.compile(r"#\s*type:\s*ignore(?P<codes>\[[\w, -]+\])?(?P<rest>.*)")
_REASON = re.compile(r"[^\W\d_]+\W+[^\W\d_]{3,}")
_ELSEWHERE = re.compile(r"(?<![\w.~-])/(?:home|root|Users)/[\w.-]+")


def no_program_is_started_outside_the_process_module(source: Source) -> Iterator[str]:
    if source.path == PROCESS_MODULE:
        return
    for name, line in source.imported_modules():
        if name.split(".")[0] in {"subprocess", "pty", "multiprocessing"}:
            yield f"{source.path}:{line} imports {name}"
    for call in source.calls():
        if _STARTS_A_PROGRAM.match(called_name(call)):
            yield f"{source.path}:{call.lineno} starts a program with {called_name(call)}"


def no_shell(source: Source) -> Iterator[str]:
    for call in source.calls():
        if called_name(call) in _IS_A_SHELL:
            yield f"{source.path}:{call.lineno} runs a shell with {called_name(call)}"
        for keyword in call.keywords:
            if keyword.arg == "shell" and not (
                isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            ):
                yield f"{source.path}:{call.lineno} asks for a shell"


def no_function_is_long(source: Source) -> Iterator[str]:
    for function in source.functions():
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > LONGEST_FUNCTION:
            yield f"{source.path}:{function.lineno} {function.name} has {length} lines"


def no_file_is_long(source: Source) -> Iterator[str]:
    if source.lines > LONGEST_FILE:
        yield f"{source.path} has {source.lines} lines"


def no_error_is_swallowed(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and all(_does_nothing(line) for line in node.body):
            yield f"{source.path}:{node.lineno} swallows an error"
        if isinstance(node, ast.Call) and called_name(node).split(".")[-1] == "suppress":
            for kind in node.args:
                if dotted(kind) in {"Exception", "BaseException"}:
                    yield f"{source.path}:{node.lineno} suppresses every error"


def _does_nothing(line: ast.stmt) -> bool:
    return isinstance(line, ast.Pass) or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))


def the_core_is_pure(source: Source) -> Iterator[str]:
    """It imports nouns and harmless parts of the standard library; it reads no clock, disk or environment."""
    for name, line in source.imported_modules():
        if name not in _PURE_MODULES and not name.startswith("stratum.core"):
            yield f"{source.path}:{line} imports {name}"
    for call in source.calls():
        if called_name(call).split(".")[-1] in _READS_THE_WORLD:
            yield f"{source.path}:{call.lineno} calls {called_name(call)}"


def inheritance_is_for_errors_and_protocols(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            for kind in node.bases:
                name = dotted(kind).split(".")[-1]
                if name not in _MAY_BE_INHERITED and not _is_an_error(name):
                    yield f"{source.path}:{node.lineno} {node.name} inherits from {name}"


def _is_an_error(name: str) -> bool:
    builtin = getattr(builtins, name, None)
    return name.endswith("Error") or (isinstance(builtin, type) and issubclass(builtin, BaseException))


def records_are_frozen(source: Source) -> Iterator[str]:
    """What a module gives away cannot be changed; what it keeps to itself may be a notebook."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
            continue
        for mark in node.decorator_list:
            name = dotted(mark.func) if isinstance(mark, ast.Call) else dotted(mark)
            if name.split(".")[-1] == "dataclass" and not _is_frozen(mark):
                yield f"{source.path}:{node.lineno} {node.name} can be changed after it was made"


def _is_frozen(mark: ast.expr) -> bool:
    options = {option.arg: option.value for option in mark.keywords} if isinstance(mark, ast.Call) else {}
    frozen = options.get("frozen")
    return isinstance(frozen, ast.Constant) and frozen.value is True


def an_argv_is_a_tuple(source: Source) -> Iterator[str]:
    for function in source.functions():
        returns = ast.unparse(function.returns) if function.returns else "nothing"
        if function.name.endswith("_argv") and not returns.startswith("tuple["):
            yield f"{source.path}:{function.lineno} {function.name} returns {returns}"


def a_module_has_a_telling_name(source: Source) -> Iterator[str]:
    for part in source.path.removesuffix(".py").split("/"):
        if part.lower() in EMPTY_NAMES:
            yield f"{source.path}: {part} says nothing about its subject"


def a_module_says_its_purpose(source: Source) -> Iterator[str]:
    first = (ast.get_docstring(source.tree) or "").split("\n\n")[0]
    if not first.endswith("."):
        yield f"{source.path} does not open with one sentence that says its purpose"


def an_exception_to_a_rule_has_a_reason(source: Source) -> Iterator[str]:
    """`noqa` and `type: ignore` name their rule, and the reason stands beside them or on the line above."""
    above = ["", *source.text.splitlines()]
    for line, comment in source.comments():
        for found in (_NOQA.search(comment), _TYPE_IGNORE.search(comment)):
            if found is None:
                continue
            if not found["codes"]:
                yield f"{source.path}:{line} silences every rule"
            elif not _REASON.search(found["rest"]) and not _is_a_comment(above[line - 1]):
                yield f"{source.path}:{line} silences a rule without a reason"


def _is_a_comment(line: str) -> bool:
    return line.strip().startswith("#") and _REASON.search(line) is not None


def nothing_is_named_from_outside_the_repository(source: Source) -> Iterator[str]:
    yield from places_of_one_machine(source.path, source.text)


def places_of_one_machine(path: str, text: str) -> Iterator[str]:
    """Directories of somebody's own, which are not there on the reader's machine."""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _ELSEWHERE.search(line):
            yield f"{path}:{number} names {found[0]}, a place of one machine"


def a_test_is_named_with_a_sentence(source: Source) -> Iterator[str]:
    for function in source.functions():
        if function.name.startswith("test_") and len(function.name.split("_")) < FEWEST_WORDS:
            yield f"{source.path}:{function.lineno} {function.name} is not a sentence"


def a_test_waits_for_a_condition_and_not_for_a_time(source: Source) -> Iterator[str]:
    for call in source.calls():
        seconds = call.args[0] if call.args else None
        is_long = isinstance(seconds, ast.Constant) and isinstance(seconds.value, int | float) and seconds.value >= 1
        if called_name(call).split(".")[-1] == "sleep" and is_long:
            yield f"{source.path}:{call.lineno} sleeps instead of waiting for a condition"
