"""A self-signed pair is good for its names and its time, and never takes the place of a file that is there."""

from __future__ import annotations

import ipaddress
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stratum.adapters import self_signed
from stratum.adapters.self_signed import write_self_signed
from stratum.core.errors import StratumError

_NAMES = ("console.example.org", "localhost", "127.0.0.1", "::1", "müller.example")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "certificates" / "stratum.crt", tmp_path / "certificates" / "stratum.key"


def _read(certificate: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.read_bytes())


def test_the_certificate_is_for_each_name_and_address_and_ends_within_ninety_days(pair: tuple[Path, Path]) -> None:
    write_self_signed(*pair, names=_NAMES)

    made, now = _read(pair[0]), datetime.now(UTC)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["console.example.org", "localhost", "xn--mller-kva.example"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]
    assert made.not_valid_before_utc < now < made.not_valid_after_utc <= now + timedelta(days=90)
    assert made.not_valid_after_utc > now + timedelta(days=30)


def test_it_is_no_authority_and_signed_with_its_own_p_256_key(pair: tuple[Path, Path]) -> None:
    write_self_signed(*pair, names=_NAMES)

    made = _read(pair[0])
    key = serialization.load_pem_private_key(pair[1].read_bytes(), password=None)
    made.verify_directly_issued_by(made)
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    assert key.public_key() == made.public_key()
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*pair)


def test_only_its_owner_may_read_the_key(pair: tuple[Path, Path]) -> None:
    write_self_signed(*pair, names=_NAMES)

    assert [file.stat().st_mode & 0o777 for file in pair] == [0o644, 0o600]


def test_both_files_may_be_given_to_another_account(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda _, uid, gid: given.append((uid, gid)))

    write_self_signed(*pair, names=_NAMES, owner=(10001, 10002))

    assert given == [(10001, 10002)] * 2


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("kind", ["file", "broken-link"])
def test_a_file_that_is_there_stays_and_no_other_is_written(pair: tuple[Path, Path], place: int, kind: str) -> None:
    there = pair[place]
    there.parent.mkdir()
    if kind == "file":
        there.write_text("mine")
    else:
        there.symlink_to("nowhere")

    with pytest.raises(StratumError) as refused:
        write_self_signed(*pair, names=_NAMES)

    assert refused.value.code == "file-exists"
    assert refused.value.details == {"file": str(there)}
    assert list(there.parent.iterdir()) == [there]
    assert kind != "file" or there.read_text() == "mine"


def test_a_certificate_that_cannot_be_written_leaves_no_key_behind(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = self_signed._create

    def full(file: Path, content: bytes, *, mode: int, owner: tuple[int, int] | None) -> None:
        if file == pair[0]:
            raise OSError("no space left on device")
        create(file, content, mode=mode, owner=owner)

    monkeypatch.setattr(self_signed, "_create", full)

    with pytest.raises(OSError, match="no space"):
        write_self_signed(*pair, names=_NAMES)

    assert not pair[1].exists()
