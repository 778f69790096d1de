"""The templates: one environment for each language, with everything escaped and nothing silently empty."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stratum.frontend.assets import read_assets
from stratum.frontend.language import LANGUAGES, NAMES, console_catalogue
from stratum.frontend.render import install_filters
from stratum.frontend.sessions import THEMES
from stratum.frontend.speech import respeak, say_again

_FOLDER = Path(__file__).parent / "templates"


@cache
def templates(language: str) -> Environment:
    """The templates in this language."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    # The extension's own method, which type checkers do not know: https://jinja.palletsprojects.com/en/stable/extensions/
    environment.install_gettext_translations(console_catalogue(language), newstyle=True)  # type: ignore[attr-defined]
    install_filters(environment)
    environment.filters |= {
        "said": lambda text: say_again(str(text), language),
        "respoken": lambda error: respeak(error, language),
    }
    environment.globals |= {
        "asset": read_assets().address,
        "languages": [(name, NAMES[name]) for name in LANGUAGES],
        "themes": THEMES,
    }
    return environment
