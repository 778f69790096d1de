"""Seals files for age recipients and opens them again: what is in the archive then needs a key to be read.

The private key is not needed to seal. Any `age` program opens what is sealed here.
(https://age-encryption.org/v1)
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from stratum.adapters import durable
from stratum.core.backup import FileFacts
from stratum.core.errors import StratumError
from stratum.core.stack import Secret

if TYPE_CHECKING:
    from pyrage.x25519 import Identity  # type: ignore[import-untyped]  # a compiled module without types

SUFFIX = ".age"
IDENTITY_VARIABLE = "STRATUM_AGE_IDENTITY_FILE"
"""How a `restore_command` is told where the key is: a path, never the key."""
_CHUNK = 1 << 18
_WRONG_KEY = "No matching keys found"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """For whom this stack's archive is sealed, and with which key it can be opened here."""

    recipients: tuple[str, ...] = ()
    """None: nothing is sealed."""
    identity_file: Path | None = None
    """A file of age identities; None where this machine has no key, which only reading needs."""
    identity: Secret | None = field(default=None)
    """The key itself, where .env holds it."""
    workspace: Path | None = None
    """Where opened files are put for as long as they are read."""

    @property
    def seals(self) -> bool:
        return bool(self.recipients)

    @property
    def has_key(self) -> bool:
        """Whether a key is named here; whether it fits is known when something is opened."""
        return self.identity_file is not None or self.identity is not None

    def seal_stream(self, plain: IO[bytes], out: IO[bytes]) -> None:
        """Write what `plain` yields to `out`, sealed for every recipient."""
        import pyrage  # type: ignore[import-untyped]  # a compiled module without types

        keys = [pyrage.x25519.Recipient.from_str(recipient) for recipient in self.recipients]
        try:
            pyrage.encrypt_io(plain, out, keys)
        except pyrage.EncryptError as error:
            raise _as_os_error(error) from error

    def seal_into(self, plain: IO[bytes], target: Path, *, name: str) -> FileFacts:
        """Write a sealed file that is whole or not there; its size and SHA-256, under `name`."""
        aside = target.with_name(f".{target.name}.new")
        try:
            with aside.open("wb") as stream:
                os.fchmod(stream.fileno(), 0o640)
                durable.belong(stream.fileno(), target.parent)
                counted = _Counted(stream)
                self.seal_stream(plain, cast("IO[bytes]", counted))
                stream.flush()
                os.fsync(stream.fileno())
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        return FileFacts(path=name, bytes=counted.bytes, sha256=counted.sha256)

    @contextmanager
    def sealing(self, target: Path, *, name: str = "") -> Iterator[Sealing]:
        """Seal what is written to the yielded stream; the file is whole when the block ends well, and else not there.

        The stream's `facts` are there afterwards. Raises what writing the file raises, and `sealing-failed`.
        """
        reading, writing = os.pipe()
        stream = Sealing(self, reading, writing, target=target, name=name or target.name)
        try:
            yield stream
        except BaseException:
            stream.abandon()
            raise
        stream.finish()

    def seal_tree(self, folder: Path, files: Sequence[FileFacts]) -> tuple[FileFacts, ...]:
        """Replace files below `folder` by sealed ones of the same name with `.age`; what was sealed already stays."""
        found = []
        for file in files:
            if file.path.endswith(SUFFIX):
                found.append(file)
                continue
            plain, name = folder / file.path, f"{file.path}{SUFFIX}"
            with plain.open("rb") as stream:
                found.append(self.seal_into(stream, folder / name, name=name))
            plain.unlink()
        return tuple(found)

    @contextmanager
    def opened(self, file: Path) -> Iterator[IO[bytes]]:
        """Read what a file holds, sealed or not; nothing of it touches a disk.

        Raises `sealed-no-key`, `sealed-wrong-key` and `identity-unreadable`; reading on in a sealed file whose content
        changed raises `sealed-damaged`.
        """
        if file.suffix != SUFFIX:
            with file.open("rb") as plain:
                yield plain
            return
        keys = self._keys(file)
        reading, writing = os.pipe()
        with file.open("rb") as sealed:
            unsealing = _Unsealing(reading, writing, sealed=sealed, keys=keys, name=file.name)
            try:
                yield io.BufferedReader(unsealing, _CHUNK)
            finally:
                unsealing.close()

    def open_into(self, sealed: Path, target: Path) -> None:
        """Write what a sealed file holds to `target`, for our own account only. Raises as `opened`."""
        with self.opened(sealed) as stream:
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as out:
                shutil.copyfileobj(stream, out, _CHUNK)

    @contextmanager
    def identity_at(self, room: Path) -> Iterator[Path | None]:
        """The file another process reads the key from: the one named, or one in `room` until the block ends."""
        if self.identity_file is not None or self.identity is None:
            yield self.identity_file
            return
        file = room / f".identity-{secrets.token_hex(4)}"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(self.identity.reveal + "\n")
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)

    @contextmanager
    def room(self) -> Iterator[Path]:
        """A directory for opened files that only our account can read, gone when the block ends."""
        if self.workspace is not None:
            self.workspace.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="opened-", dir=self.workspace) as folder:
            yield Path(folder)

    def read_key(self) -> str:
        """The keys themselves, one a line. Raises `sealed-no-key` and `identity-unreadable`."""
        return "\n".join(str(key) for key in self._keys(Path("the archive")))

    def _keys(self, file: Path) -> list[Identity]:
        if self.identity_file is not None:
            return read_identities(self.identity_file)
        if self.identity is not None:
            return parse_identities(self.identity.reveal, where="AGE_IDENTITY of .env")
        raise StratumError("sealed-no-key", what=file.name)


UNSEALED = Seal()
"""Seals nothing, and opens nothing that is sealed."""


def recipient_problem(recipient: str) -> str | None:
    """Why a text is no age recipient; None where it is one."""
    import pyrage

    try:
        pyrage.x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError as error:
        said = "it is a private key: here belongs its recipient" if recipient.startswith("AGE-SECRET-KEY-") else error
        return str(said)
    return None


def read_identities(file: Path) -> list[Identity]:
    """The keys of a file as `age-keygen` writes it. Raises `identity-unreadable`, which says no word of the key."""
    try:
        text = file.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is no text"
        raise StratumError("identity-unreadable", file=file, problem=problem) from None
    return parse_identities(text, where=str(file))


def parse_identities(text: str, *, where: str) -> list[Identity]:
    """As `read_identities`, of a text that lies at `where`."""
    import pyrage

    lines = [line.strip() for line in text.splitlines()]
    try:
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError:
        raise StratumError("identity-unreadable", file=where, problem="a line of it is no age identity") from None
    if not found:
        raise StratumError("identity-unreadable", file=where, problem="there is no age identity in it")
    return found


class Sealing:
    """Takes plain bytes, which another thread seals into a file."""

    def __init__(self, seal: Seal, reading: int, writing: int, *, target: Path, name: str) -> None:
        self._seal = seal
        self._out = os.fdopen(writing, "wb")
        self._target = target
        self._name = name
        self._fault: Exception | None = None
        self.facts = FileFacts(path=name, bytes=0, sha256="")
        self._thread = threading.Thread(target=self._work, args=(reading,), daemon=True)
        self._thread.start()

    def write(self, piece: bytes) -> None:
        """Raises what stood in the way of writing what came before."""
        try:
            self._out.write(piece)
        except BrokenPipeError:
            self._thread.join()
            raise self._fault or StratumError("sealing-failed", problem="it ended too early") from None

    def finish(self) -> None:
        """The file is whole and on the disk after this."""
        with suppress(BrokenPipeError):
            self._out.close()
        self._thread.join()
        if self._fault is not None:
            raise self._fault

    def abandon(self) -> None:
        """No file is left."""
        with suppress(BrokenPipeError):
            self._out.close()
        self._thread.join()
        self._target.unlink(missing_ok=True)

    def _work(self, reading: int) -> None:
        with os.fdopen(reading, "rb") as plain:
            try:
                self.facts = self._seal.seal_into(plain, self._target, name=self._name)
            except Exception as fault:  # noqa: BLE001 - raised again in the thread that writes
                self._fault = fault


class _Unsealing(io.RawIOBase):
    """What a sealed file holds, as another thread opens it; a fault of that thread is raised where it is read."""

    def __init__(self, reading: int, writing: int, *, sealed: IO[bytes], keys: list[Any], name: str) -> None:
        super().__init__()
        self._pipe = os.fdopen(reading, "rb", buffering=0)
        self._name = name
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._work, args=(writing, sealed, keys), daemon=True)
        self._thread.start()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer, as io.RawIOBase says
        count = self._pipe.readinto(buffer) or 0
        if not count:
            self._thread.join()
            if self._fault is not None:
                raise _as_sealed_error(self._fault, self._name)
        return count

    def close(self) -> None:
        if not self.closed:
            self._pipe.close()
            self._thread.join()
        super().close()

    def _work(self, writing: int, sealed: IO[bytes], keys: list[Any]) -> None:
        import pyrage

        with suppress(BrokenPipeError), os.fdopen(writing, "wb", buffering=0) as out:
            try:
                pyrage.decrypt_io(sealed, _Whole(out), keys)
            except Exception as fault:  # noqa: BLE001 - raised again in the thread that reads
                self._fault = fault


class _Whole:
    """A pipe that takes each piece as a whole: a raw one may take less."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, piece: bytes) -> int:
        left = memoryview(piece)
        while left:
            left = left[self._out.write(left) :]
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""


class _Counted(io.RawIOBase):
    """Passes on what is written, and knows its size and SHA-256."""

    def __init__(self, out: IO[bytes]) -> None:
        super().__init__()
        self._out = out
        self._found = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        return self._found.hexdigest()

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:  # noqa: ANN401 - any readable buffer, as io.RawIOBase says
        self._found.update(piece)
        self.bytes += len(piece)
        self._out.write(piece)
        return len(piece)


def _as_sealed_error(fault: Exception, name: str) -> StratumError:
    if str(fault) == _WRONG_KEY:
        return StratumError("sealed-wrong-key", what=name)
    return StratumError("sealed-damaged", what=name, problem=fault)


def _as_os_error(error: Exception) -> Exception:
    """The library keeps the cause of a full disk as text alone."""
    text = str(error)
    for number in (28, 122, 5, 13, 30):
        if f"[Errno {number}]" in text or f"os error {number}" in text:
            return OSError(number, os.strerror(number))
    return StratumError("sealing-failed", problem=text)
