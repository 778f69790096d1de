"""Writes docs/reference and schemas from the code, or says where what is checked in has fallen behind.

python -m stratum.cli.reference [--check] [--root DIR]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from stratum.cli.reference_pages import render_checklist_page, render_errors_page, render_settings_page
from stratum.cli.reference_schemas import SCHEMAS, render_openapi, render_schema
from stratum.cli.reference_verbs import render_cli_page, rights_blocks

_PAGES, _SCHEMAS = Path("docs/reference"), Path("schemas")


def render_reference() -> dict[Path, str]:
    """Every generated file, by its path in the repository. The same code gives the same bytes."""
    return {
        _PAGES / "cli.md": render_cli_page(),
        _PAGES / "settings.md": render_settings_page(),
        _PAGES / "errors.md": render_errors_page(rights_blocks()),
        _PAGES / "checklist.md": render_checklist_page(),
        **{_SCHEMAS / f"{name}.json": render_schema(name) for name in SCHEMAS},
        _SCHEMAS / "openapi.json": render_openapi(),
    }


def differences(root: Path) -> tuple[str, ...]:
    """What is checked in and is not what the code gives: changed, missing, or of no record at all."""
    wanted = render_reference()
    found = {path.relative_to(root) for folder, kind in ((_PAGES, "*.md"), (_SCHEMAS, "*.json"))
             for path in (root / folder).glob(kind)}  # fmt: skip
    behind = [f"{path} is missing" for path in wanted.keys() - found]
    behind += [f"{path} describes nothing in the code" for path in found - wanted.keys()]
    behind += [
        f"{path} is not what the code says"
        for path in wanted.keys() & found
        if (root / path).read_text(encoding="utf-8") != wanted[path]
    ]
    return tuple(sorted(behind))


def main(argv: Sequence[str]) -> int:
    """Write the files; with --check write nothing, and return 1 when one of them differs."""
    parser = argparse.ArgumentParser(prog="python -m stratum.cli.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something differs")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository; by default the current directory")
    options = parser.parse_args(argv)
    root: Path = options.root
    if options.check:
        behind = differences(root)
        print("\n".join((*behind, "run `make docs`")) if behind else "the reference says what the code does")
        return 1 if behind else 0
    for path, text in render_reference().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
