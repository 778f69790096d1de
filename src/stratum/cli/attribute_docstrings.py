"""Reads the sentences below the fields of a record or the members of an enum, which Python throws away."""

from __future__ import annotations

import ast
import inspect
import textwrap


def attribute_docstrings(kind: type[object]) -> dict[str, str]:
    """What is said below each field or member, by its name, on one line; those without a word are left out."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    found: dict[str, str] = {}
    if isinstance(tree, ast.ClassDef):
        for field, below in zip(tree.body, tree.body[1:], strict=False):
            name, text = _name(field), _text(below)
            if name and text:
                found[name] = text
    return found


def one_line(text: str | None) -> str:
    """The text with its line breaks taken out."""
    return " ".join((text or "").split())


def _name(node: ast.stmt) -> str | None:
    match node:
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return None


def _text(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return one_line(node.value.value)
    return ""
