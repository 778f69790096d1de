"""Compiles the message catalogues while the package is built, also for an editable install."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CatalogueHook(BuildHookInterface[Any]):
    """Puts a `.mo` beside each `.po` below `src/stratum/locale`, replacing the one that stood there."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  (hatchling's signature)
        """Compile every catalogue; an unreadable one ends the build."""
        for source in sorted((Path(self.root) / "src" / "stratum" / "locale").glob("*/LC_MESSAGES/*.po")):
            with source.open("rb") as lines:
                catalogue = read_po(lines, locale=source.parts[-3], abort_invalid=True)
            with source.with_suffix(".mo").open("wb") as compiled:
                write_mo(compiled, catalogue)
