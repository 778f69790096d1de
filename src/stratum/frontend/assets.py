"""The static files: read once, compressed once, under an address that changes with their content."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_FOLDER = Path(__file__).parent / "static"
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One file as it goes out."""

    kind: str
    plain: bytes = field(repr=False)
    packed: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Assets:
    """All static files, and the digest of all of them."""

    digest: str
    files: dict[str, Asset] = field(repr=False)

    def address(self, name: str) -> str:
        """Where a page finds this file; a browser keeps it for good. An unknown name is a fault of the template."""
        if name not in self.files:
            raise FileNotFoundError(f"{name} is not among the console's static files; `make assets` fetches them")
        return f"/static/{self.digest}/{name}"


@cache
def read_assets() -> Assets:
    """Everything below `static`: the console's own files, and those of npm in `vendor`."""
    files = dict(_files())
    whole = hashlib.sha256()
    for name, asset in files.items():
        whole.update(f"{name}\x00{len(asset.plain)}\x00".encode() + asset.plain)
    return Assets(digest=whole.hexdigest()[:16], files=files)


def _files() -> Iterator[tuple[str, Asset]]:
    for path in sorted(_FOLDER.rglob("*")):
        if path.suffix in _KINDS:
            plain = path.read_bytes()
            packed = gzip.compress(plain, mtime=0)
            yield path.relative_to(_FOLDER).as_posix(), Asset(kind=_KINDS[path.suffix], plain=plain, packed=packed)


async def static(request: Request) -> Response:
    """One static file. One of another version is given as it is now, and not kept."""
    assets = read_assets()
    asset = assets.files.get(request.path_params["name"])
    if asset is None:
        raise HTTPException(404)
    known = request.path_params["digest"] == assets.digest
    headers = {"cache-control": _FOR_GOOD if known else "no-store", "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, media_type=asset.kind, headers=headers | {"content-encoding": "gzip"})
    return Response(asset.plain, media_type=asset.kind, headers=headers)
