"""Where the tablespaces of recovered clusters are, so that they go with the data directory they belong to."""

from __future__ import annotations

import shutil
from pathlib import Path

FOLDER = "tablespaces"
"""Beside the data directory: what the server puts there stays when that is renamed."""


def remove_with_tablespaces(data: Path, home: Path) -> None:
    """Delete a data directory that no server uses, and the tablespaces that a recovery made for it below `home`.

    Tablespaces elsewhere are their owner's, and stay.
    """
    ours = home / FOLDER
    links = data / "pg_tblspc"
    targets = [link.readlink() for link in links.iterdir() if link.is_symlink()] if links.is_dir() else []
    shutil.rmtree(data)
    for place in {target.parent for target in targets if target.parent.parent == ours}:
        if place.exists():
            shutil.rmtree(place)
