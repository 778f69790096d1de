"""Picks one small file out of a tar as it streams by, without unpacking the rest."""

from __future__ import annotations

import tarfile

_BLOCK = tarfile.BLOCKSIZE


class TarWatch:
    """Fed a tar in pieces of any size; keeps the content of the member called `wanted` and forgets all else.

    It reads what `pg_basebackup` writes: ustar headers, one a member, each file padded to whole blocks.
    """

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._held = bytearray()
        self._left = 0
        self._pad = 0
        self._keeps = False
        self.content = bytearray()

    def feed(self, piece: bytes) -> None:
        """Raises `tarfile.TarError` for what is no tar."""
        view = memoryview(piece)
        while view:
            if self._left or self._pad:
                view = view[self._pass(view) :]
                continue
            missing = _BLOCK - len(self._held)
            self._held += view[:missing]
            view = view[missing:]
            if len(self._held) == _BLOCK:
                self._begin(bytes(self._held))
                self._held.clear()

    def _pass(self, view: memoryview) -> int:
        """How many bytes of it belong to the member in hand, or to its padding."""
        if self._left:
            count = min(self._left, len(view))
            if self._keeps:
                self.content += view[:count]
            self._left -= count
            return count
        count = min(self._pad, len(view))
        self._pad -= count
        return count

    def _begin(self, header: bytes) -> None:
        if not any(header):
            return  # the zeros at a tar's end
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        size = member.size if member.isreg() else 0
        self._left, self._pad = size, -size % _BLOCK
        self._keeps = member.name.removeprefix("./") == self._wanted
