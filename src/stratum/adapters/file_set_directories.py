"""File sets as directories: packed with tar, unpacked beside, and put in place entry by entry."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stratum.adapters import durable
from stratum.adapters.file_contents import contents_of_directory, contents_of_tar
from stratum.adapters.process import stream_tool, tool_environment
from stratum.adapters.tar_unpack import unpack
from stratum.adapters.zstd import DAMAGED, compressor, open_compressed
from stratum.core.errors import StratumError
from stratum.core.file_sets import FileContents
from stratum.core.proof import Check, Verdict, could_not_verify

HIDDEN = ".stratum-files-"
"""How what Stratum puts into a set's directory begins; it is in no backup."""
_MOVING, _MEANWHILE = "moving-", "meanwhile-"
_CONTENT, _WAS_IN_PLACE = "content", "was-in-place"
_SECONDS = 24 * 3600.0
_CHANGED = 1
"""tar's exit code for a file that changed while it was read.
(https://www.gnu.org/software/tar/manual/html_section/Synopsis.html)"""


class FileSetDirectories:
    """Sets by name, each in a directory that this process sees."""

    def __init__(self, places: Mapping[str, Path], *, workspace: Path) -> None:
        self._places = places
        self._workspace = workspace

    def refuse_away(self) -> None:
        for name, place in self._places.items():
            if not place.is_dir():
                raise StratumError("files-away", name=name, path=place)

    def pack(self, name: str, into: Path, *, on_bytes: Callable[[int], None]) -> bool:
        pressing, seen = compressor(), 0
        with durable.archive_errors(into), into.open("wb") as out:
            os.fchmod(out.fileno(), 0o640)

            def take(piece: bytes) -> None:
                nonlocal seen
                out.write(pressing.compress(piece))
                seen += len(piece)
                on_bytes(seen)

            try:
                code = stream_tool(self._packing(name), timeout_seconds=_SECONDS, env=tool_environment(LC_ALL="C"),
                                   take=take, accept=(0, _CHANGED))  # fmt: skip
            except StratumError as error:
                if error.code != "tool-failed":
                    raise
                said = error.details["stderr"].strip().splitlines()
                raise StratumError("files-unreadable", name=name, problem=said[0] if said else "tar failed") from None
            out.write(pressing.flush())
        return code == _CHANGED

    def _packing(self, name: str) -> tuple[str, ...]:
        return ("tar", "--create", "--file=-", "--format=posix", "--pax-option=delete=atime,delete=ctime",
                "--numeric-owner", "--hard-dereference", "--sort=name", "--anchored", f"--exclude=./{HIDDEN}*",
                f"--directory={self._place(name)}", ".")  # fmt: skip

    def read(self, packed: Path) -> FileContents:
        try:
            with open_compressed(packed) as plain:
                return contents_of_tar(plain)
        except (OSError, ValueError, *DAMAGED) as error:
            raise StratumError("files-damaged", file=packed.name, problem=error) from None

    def prove(self, packed: Path, wanted: FileContents) -> Check:
        name = f"files {packed.name.removesuffix('.tar.zst')}"
        try:
            self._workspace.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="files-", dir=self._workspace) as room:
                found = _unpacked(packed, Path(room) / _CONTENT)
        except OSError as error:
            return could_not_verify(name, f"the throwaway directory does not take them: {error}")
        except StratumError as error:
            return Check(name=name, verdict=Verdict.FAILED, reason=error.message)
        if found != wanted:
            reason = f"{found.entries} entries, {found.bytes} bytes came back, and they are not those that were packed"
            return Check(name=name, verdict=Verdict.FAILED, reason=reason)
        reason = f"{found.entries} entries, {found.bytes} bytes came back as they were"
        return Check(name=name, verdict=Verdict.PROVEN, reason=reason)

    def free_bytes(self, name: str) -> int:
        return shutil.disk_usage(self._place(name)).free

    def writable(self, name: str) -> bool:
        place = self._place(name)
        return place.is_dir() and os.access(place, os.W_OK)

    def unpack(self, name: str, packed: Path, label: str) -> FileContents:
        beside = self._hidden(name, label)
        try:
            self.discard(name, label)
            beside.mkdir(mode=0o700)
            found = _unpacked(packed, beside / _CONTENT)
            os.sync()  # of all disks: files of any kind lie there, and some cannot be opened without harm
        except OSError as error:
            raise StratumError("files-not-writable", name=name, problem=error.strerror or error) from None
        return found

    def discard(self, name: str, label: str) -> None:
        """What was in place for a moment is kept under another name: somebody may have written to it then."""
        place = self._hidden(name, label)
        if (place / _WAS_IN_PLACE).exists():
            place.rename(self._hidden(name, _MEANWHILE + label))
        elif place.exists():
            for one in sorted(place.glob(f"{_MEANWHILE}*")):
                one.rename(self._hidden(name, one.name))
            _remove(place)

    def written_meanwhile(self, name: str) -> tuple[Path, ...]:
        return tuple(sorted(self._place(name).glob(f"{HIDDEN}{_MEANWHILE}*")))

    def contents(self, name: str) -> FileContents:
        return contents_of_directory(self._place(name), leaving_out=HIDDEN)

    def swap(self, name: str, label: str, *, keep: str) -> None:
        """First everything in place goes aside; the new name of where it lies says that this is done."""
        place, new = self._place(name), self._hidden(name, label) / _CONTENT
        aside, kept = self._hidden(name, _MOVING + keep), self._hidden(name, keep)
        with _writing(name):
            if not kept.exists():
                _make(aside)
                _give_like(aside / _CONTENT, place)
                _move_entries(place, aside / _CONTENT, meanwhile=aside)
                aside.rename(kept)
            if new.is_dir():
                _move_entries(new, place, meanwhile=kept)
                _give_like(place, new)
                _remove_empty(new)
            durable.sync_directory(place)

    def swap_back(self, name: str, label: str, *, keep: str) -> None:
        """In the other order; where everything went aside already, what is in place is what was coming."""
        place, coming = self._place(name), self._hidden(name, label)
        aside, kept = self._hidden(name, _MOVING + keep), self._hidden(name, keep)
        with _writing(name):
            if kept.exists():
                _make(coming)
                (coming / _WAS_IN_PLACE).touch()
                _give_like(coming / _CONTENT, place)
                _move_entries(place, coming / _CONTENT, meanwhile=coming)
                kept.rename(aside)
            if aside.exists():
                _move_entries(aside / _CONTENT, place, meanwhile=self._hidden(name, _MEANWHILE + keep))
                _give_like(place, aside / _CONTENT)
                _remove_empty(aside / _CONTENT)
            durable.sync_directory(place)

    def is_swapped(self, name: str, label: str, *, keep: str) -> bool:
        return self._hidden(name, keep).exists() and not self.has(name, label)

    def has(self, name: str, label: str) -> bool:
        return (self._hidden(name, label) / _CONTENT).is_dir()

    def _place(self, name: str) -> Path:
        if name not in self._places:
            raise StratumError("unknown-files", name=name, known=", ".join(sorted(self._places)) or "(none)")
        return self._places[name]

    def _hidden(self, name: str, label: str) -> Path:
        return self._place(name) / f"{HIDDEN}{label}"


def _unpacked(packed: Path, into: Path) -> FileContents:
    """Unpack into a directory that is made here, and read what lies there. Raises `files-damaged` and OSError."""
    into.mkdir(mode=0o700)
    try:
        with tempfile.TemporaryDirectory(prefix="tar-") as room, open_compressed(packed) as plain:
            unpack(plain, into, run_as=None, log=Path(room) / "log", as_packed=True)
    except DAMAGED as error:
        raise StratumError("files-damaged", file=packed.name, problem=error) from None
    return contents_of_directory(into)


def _make(hidden: Path) -> None:
    """For our account alone: what an application served from here is not served from there."""
    for folder in (hidden, hidden / _CONTENT):
        folder.mkdir(mode=0o700, exist_ok=True)


def _give_like(directory: Path, other: Path) -> None:
    """Give a directory the permissions of another and, where we may, to its owner.

    A volume that was made anew belongs to root: the application could not write to it. A directory of somebody else's
    stays as that account made it: nobody else may change it, and no way back may end there.
    """
    found, now = other.stat(), directory.stat()
    if os.geteuid() == 0:
        os.chown(directory, found.st_uid, found.st_gid)
    if os.geteuid() in {0, now.st_uid}:
        directory.chmod(found.st_mode & 0o7777)


def _remove(place: Path) -> None:
    """Delete a directory of ours with all that came into it: entries of a read-only directory can be deleted too."""
    for folder, below, _ in os.walk(place):
        for path in (Path(folder) / name for name in below):
            if not path.is_symlink() and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                path.chmod(0o700)
    shutil.rmtree(place)


def _move_entries(source: Path, target: Path, *, meanwhile: Path) -> None:
    """Rename every entry that is not ours. What somebody else made under its name meanwhile is kept in `meanwhile`."""
    for entry in sorted(source.iterdir()):
        if entry.name.startswith(HIDDEN):
            continue
        there = target / entry.name
        if os.path.lexists(there):
            meanwhile.mkdir(mode=0o700, exist_ok=True)
            there.rename(Path(tempfile.mkdtemp(prefix=_MEANWHILE, dir=meanwhile)) / entry.name)
        entry.rename(there)


def _remove_empty(content: Path) -> None:
    """Its own directory goes too, unless it keeps what was made meanwhile."""
    content.rmdir()
    if not any(content.parent.iterdir()):
        content.parent.rmdir()


@contextmanager
def _writing(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StratumError("files-not-writable", name=name, problem=error.strerror or error) from None
