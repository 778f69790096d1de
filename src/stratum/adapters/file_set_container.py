"""The override that lets a container of its own write to a file set, which the service `backup` only reads."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stratum.core.containers import BACKUP
from stratum.core.errors import StratumError
from stratum.core.file_sets import INSIDE_FILES

_RIGHTS = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID")
"""What giving files back to whoever owned them needs, and nothing else of what root may."""


@contextmanager
def writing_override(config: Mapping[str, Any], name: str) -> Iterator[Path]:
    """A Compose file that is there for the block: `backup` as root with the rights to files, and the set writable.

    `config` is what `docker compose config` says. Raises `files-away` where `backup` has no mount of that name.
    """
    place = f"{INSIDE_FILES}/{name}"
    mounts = [m for m in config["services"][BACKUP].get("volumes") or () if m["target"] == place]
    if not mounts:
        raise StratumError("files-away", name=name, path=f"{place} in the service {BACKUP}")
    mount = {key: value for key, value in mounts[0].items() if key != "read_only"}
    service = {"user": "0:0", "cap_add": list(_RIGHTS), "volumes": [mount]}
    with tempfile.TemporaryDirectory(prefix="stratum-files-") as private:
        file = Path(private) / "override.yaml"
        file.write_text(json.dumps({"services": {BACKUP: service}}), encoding="utf-8")
        yield file
