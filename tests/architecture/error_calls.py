"""Checks each place that makes an error or a guard: its code is known, and its sentences get their values."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from string import Formatter

from stratum.core.errors import KINDS, ErrorKind
from tests.architecture.sources import Function, Source, called_name


@dataclass(frozen=True, kw_only=True, slots=True)
class _Made:
    """What one call says; None is what cannot be read from the text."""

    codes: frozenset[str] | None
    values: frozenset[str] | None


def an_error_has_a_known_code_and_every_value_it_needs(source: Source) -> Iterator[str]:
    """An error, and a guard that may become one, gives just the values its three sentences speak of."""
    for function in source.functions():
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            name = called_name(call).split(".")[-1]
            if name in {"StratumError", "GuardResult"} and not _passes_a_guard_on(call):
                made = _error(call, function, source) if name == "StratumError" else _guard(call, function, source)
                yield from _offences(f"{source.path}:{call.lineno}", made)


def placeholders(kind: ErrorKind) -> frozenset[str]:
    """The names between braces in the three sentences of an error."""
    texts = (kind.message, kind.data, kind.next)
    return frozenset(name for text in texts for _, name, _, _ in Formatter().parse(text) if name is not None)


def _offences(where: str, made: _Made) -> Iterator[str]:
    if made.codes is None or made.values is None:
        yield f"{where} has an error whose code or values cannot be read here"
        return
    for code in sorted(made.codes - KINDS.keys()):
        yield f"{where} has the error {code}, which no kind is called"
    kinds = [KINDS[code] for code in sorted(made.codes & KINDS.keys())]
    for kind in kinds:
        if missing := sorted(placeholders(kind) - made.values):
            yield f"{where} gives {kind.code} no {', '.join(missing)}"
    if kinds and (unused := sorted(made.values.difference(*map(placeholders, kinds)))):
        yield f"{where} gives {', '.join(unused)}, which no sentence shows"


def _passes_a_guard_on(call: ast.Call) -> bool:
    """`StratumError(guard.code, **guard.details)`: the pair is checked where the guard is made."""
    match call:
        case ast.Call(
            args=[ast.Attribute(value=ast.Name(id=left), attr="code")],
            keywords=[ast.keyword(arg=None, value=ast.Attribute(value=ast.Name(id=right), attr="details"))],
        ):
            return left == right
    return False


def _error(call: ast.Call, function: Function, source: Source) -> _Made:
    named = frozenset(keyword.arg for keyword in call.keywords if keyword.arg)
    spread = [_keys(keyword.value, function) for keyword in call.keywords if keyword.arg is None]
    readable = [keys for keys in spread if keys is not None]
    values = named.union(*readable) if len(readable) == len(spread) else None
    return _Made(codes=_codes(call.args[0], source) if call.args else None, values=values)


def _guard(call: ast.Call, function: Function, source: Source) -> _Made:
    options = {keyword.arg: keyword.value for keyword in call.keywords}
    code, details = options.get("code"), options.get("details")
    return _Made(
        codes=_codes(code, source) if code else None,
        values=_keys(details, function) if details else frozenset(),
    )


def _codes(node: ast.expr, source: Source) -> frozenset[str] | None:
    """The code written out, either of two, or all those of a table of the module."""
    match node:
        case ast.Constant(value=str(code)):
            return frozenset({code})
        case ast.IfExp(body=ast.Constant(value=str(one)), orelse=ast.Constant(value=str(other))):
            return frozenset({one, other})
        case ast.Subscript(value=ast.Name(id=table)):
            found = [_texts(value.values) for name, value in _tables(source.tree) if name == table]
            return found[0] if found else None
    return None


def _keys(node: ast.expr, function: Function) -> frozenset[str] | None:
    """The keys of a dict written out, or of every dict put into this name within the function."""
    match node:
        case ast.Dict(keys=keys):
            return _texts([key for key in keys if key is not None]) if None not in keys else None
        case ast.Name(id=wanted):
            found = [_texts([key for key in value.keys if key]) for name, value in _tables(function) if name == wanted]
            return frozenset[str]().union(*found) if found else None
    return None


def _tables(tree: ast.AST) -> Iterator[tuple[str, ast.Dict]]:
    for node in ast.walk(tree):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as table)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict() as table)
                | ast.AugAssign(target=ast.Name(id=name), value=ast.Dict() as table)
            ):
                yield name, table


def _texts(nodes: list[ast.expr]) -> frozenset[str]:
    return frozenset(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
