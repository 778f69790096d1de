"""Counts the rows of a script that `pg_restore --data-only` writes, while it streams by."""

from __future__ import annotations

_BEGIN = b" FROM stdin;\n"
_END = b"\n\\.\n"


class CopyCounter:
    """Rows of each COPY block that came to its end mark.

    The mark stands in the dump's own data file, and COPY escapes every line break and backslash of a value, so a
    block without it was truncated. (https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS)
    """

    def __init__(self) -> None:
        self.rows: list[int] = []
        self._rest = b""
        self._count: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every block that began has ended."""
        return self._count is None

    def take(self, chunk: bytes) -> None:
        """Go on with the next bytes of the script, wherever they were cut."""
        buffer = self._rest + chunk
        while (cut := self._block_begins(buffer) if self._count is None else self._block_ends(buffer)) is not None:
            buffer = cut
        keep = len(_BEGIN if self._count is None else _END) - 1
        done = max(0, len(buffer) - keep)
        if self._count is not None:
            self._count += buffer.count(b"\n", 0, done)
        self._rest = buffer[done:]

    def _block_begins(self, buffer: bytes) -> bytes | None:
        at = buffer.find(_BEGIN)
        if at < 0:
            return None
        # The header's own line break is kept: an empty block's end mark follows it at once.
        self._count = -1
        return buffer[at + len(_BEGIN) - 1 :]

    def _block_ends(self, buffer: bytes) -> bytes | None:
        # One byte is looked for about fifty times as fast as four, and most data has no backslash.
        at = buffer.find(_END) if b"\\" in buffer else -1
        if at < 0 or self._count is None:
            return None
        self.rows.append(self._count + buffer.count(b"\n", 0, at + 1))
        self._count = None
        return buffer[at + len(_END) :]
