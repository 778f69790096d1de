"""What is sealed opens with one of the keys it is sealed for, with no other, and not at all once it changed."""

from __future__ import annotations

import io
import os
import threading
from dataclasses import replace
from pathlib import Path

import pyrage  # type: ignore[import-untyped]  # a compiled module without types
import pytest

from stratum.adapters.seal import Seal, recipient_problem
from stratum.core.backup import FileFacts
from stratum.core.errors import StratumError
from stratum.core.stack import Secret
from tests.fixtures.sealed_stacks import Keys, make_keys

_CONTENT = os.urandom(700_000)


def _sealed(folder: Path, *recipients: str) -> Path:
    target = folder / "dump.age"
    Seal(recipients=recipients).seal_into(io.BytesIO(_CONTENT), target, name="dump.age")
    return target


def test_each_of_several_keys_opens_what_is_sealed_and_any_age_program_does(tmp_path: Path) -> None:
    first, second = make_keys(tmp_path, "first"), make_keys(tmp_path, "second")
    file = _sealed(tmp_path, first.recipient, second.recipient)

    for keys in (first, second):
        with Seal(identity_file=keys.file).opened(file) as stream:
            assert stream.read() == _CONTENT
    key = second.file.read_text().splitlines()[1]
    with Seal(identity=Secret(key)).opened(file) as stream:
        assert stream.read(10) == _CONTENT[:10]
    assert pyrage.decrypt(file.read_bytes(), [pyrage.x25519.Identity.from_str(key)]) == _CONTENT
    assert not [thread for thread in threading.enumerate() if "_work" in thread.name]


def test_a_missing_a_wrong_and_an_unreadable_key_are_told_apart_and_none_is_shown(tmp_path: Path, keys: Keys) -> None:
    file, other = _sealed(tmp_path, keys.recipient), make_keys(tmp_path, "other")
    broken = tmp_path / "broken.txt"
    secret = keys.file.read_text().splitlines()[1]
    broken.write_text(secret[:-4] + "QQQQ\n")
    named = {
        "sealed-no-key": Seal(),
        "sealed-wrong-key": Seal(identity_file=other.file),
        "identity-unreadable": Seal(identity_file=broken),
    }

    for code, seal in named.items():
        with pytest.raises(StratumError) as refused, seal.opened(file) as stream:
            stream.read()
        assert refused.value.code == code
        assert secret[:30] not in f"{refused.value.record()} {seal!r} {Seal(identity=Secret(secret))!r}"
    with pytest.raises(StratumError) as refused, Seal(identity_file=tmp_path / "none").opened(file):
        pass
    assert refused.value.code == "identity-unreadable"


@pytest.mark.parametrize("harm", ["flipped", "cut", "empty"])
def test_a_sealed_file_that_changed_is_named_and_never_read_to_its_end(tmp_path: Path, keys: Keys, harm: str) -> None:
    file = _sealed(tmp_path, keys.recipient)
    whole = file.read_bytes()
    half = len(whole) // 2
    file.write_bytes({"flipped": whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :],
                      "cut": whole[:half], "empty": b""}[harm])  # fmt: skip

    with pytest.raises(StratumError) as refused, Seal(identity_file=keys.file).opened(file) as stream:
        stream.read()

    assert (refused.value.code, "dump.age" in refused.value.message) == ("sealed-damaged", True)


def test_a_file_that_could_not_be_sealed_to_its_end_is_not_there(tmp_path: Path, keys: Keys) -> None:
    seal = Seal(recipients=(keys.recipient,))

    def write(target: Path, then: Exception | None = None) -> None:
        with seal.sealing(target) as out:
            for _ in range(8):
                out.write(_CONTENT)
            if then is not None:
                raise then

    with pytest.raises(KeyError):
        write(tmp_path / "base.age", then=KeyError("the copy failed"))
    with pytest.raises(OSError, match="No such file"):
        write(tmp_path / "gone" / "base.age")

    assert [path.name for path in tmp_path.iterdir()] == ["key.txt"]


def test_a_tree_is_sealed_in_place_and_its_record_is_of_what_is_stored(tmp_path: Path, keys: Keys) -> None:
    folder = tmp_path / "backup"
    (folder / "led").mkdir(parents=True)
    (folder / "led" / "toc.dat").write_bytes(_CONTENT)
    plain = FileFacts(path="led/toc.dat", bytes=len(_CONTENT), sha256="of the plain file")

    (sealed,) = Seal(recipients=(keys.recipient,)).seal_tree(folder, (plain,))

    assert [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()] == ["led/toc.dat.age"]
    assert (sealed.path, sealed.bytes) == ("led/toc.dat.age", (folder / sealed.path).stat().st_size)
    assert sealed.sha256 != plain.sha256
    again = Seal(recipients=(keys.recipient,)).seal_tree(folder, (replace(sealed),))
    assert again == (sealed,)


def test_a_private_key_among_the_recipients_is_named_as_one(keys: Keys) -> None:
    assert recipient_problem(keys.recipient) is None
    assert "private key" in str(recipient_problem(keys.file.read_text().splitlines()[1]))
    assert recipient_problem(keys.recipient[:-1] + ("q" if keys.recipient[-1] != "q" else "p")) is not None
