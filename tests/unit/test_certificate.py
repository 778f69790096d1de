"""A certificate is red three weeks before it ends, and never green when it, or its key, cannot serve."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stratum.adapters.self_signed import write_self_signed
from stratum.adapters.stack_files import StackFilesOnDisk
from tests.fixtures.manifests import NOW


def _write(file: Path, *days: int) -> None:
    """A chain whose certificates end after so many days."""
    file.write_bytes(b"".join(_certificate(end) for end in days))


def _certificate(days: int) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.org")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=365))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def _files(directory: Path, named: str) -> StackFilesOnDisk:
    names = {"NGINX_CERT_PATH": named, "NGINX_KEY_PATH": "key.pem"} if named else {}
    return StackFilesOnDisk(directory=directory, environment=names)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A directory with a certificate and its key."""
    write_self_signed(tmp_path / "cert.pem", tmp_path / "key.pem", names=("localhost",))
    return tmp_path


def test_the_pair_nginx_takes_where_env_names_none_is_looked_at(tmp_path: Path) -> None:
    assert _files(tmp_path, "").observe().certificate_ends_at is None
    (tmp_path / "certificates").mkdir()
    _write(tmp_path / "certificates" / "stratum.crt", 20)

    found = _files(tmp_path, "").observe()

    assert found.certificate_ends_at is not None
    assert abs(found.certificate_ends_at - NOW - timedelta(days=20)) < timedelta(seconds=2)
    assert "stratum.key" in found.certificate_problem


def test_a_chain_ends_with_the_first_of_its_certificates(tmp_path: Path) -> None:
    _write(tmp_path / "chain.pem", 300, 20, 90)

    ends = _files(tmp_path, "chain.pem").observe().certificate_ends_at

    assert ends is not None
    assert abs(ends - NOW - timedelta(days=20)) < timedelta(seconds=2)


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_cannot_be_read_is_said_to_be_so(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "cert.pem").write_bytes(content)

    found = _files(tmp_path, "cert.pem").observe()

    assert found.certificate_ends_at is None
    assert found.certificate_problem.startswith("cert.pem")


def test_without_a_certificate_there_is_nothing_to_say(tmp_path: Path) -> None:
    found = _files(tmp_path, "").observe()

    assert (found.certificate_ends_at, found.certificate_problem) == (None, "")


def test_a_certificate_with_its_own_key_can_serve(pair: Path) -> None:
    found = _files(pair, "cert.pem").observe()

    assert found.certificate_ends_at is not None
    assert found.certificate_problem == ""


def test_another_certificate_s_key_is_told_from_its_own(pair: Path) -> None:
    write_self_signed(pair / "other.pem", pair / "other.key", names=("localhost",))
    (pair / "other.key").replace(pair / "key.pem")

    assert _files(pair, "cert.pem").observe().certificate_problem == "key.pem is another certificate's key"


def test_the_key_belongs_to_the_first_certificate_of_a_chain(pair: Path) -> None:
    own = (pair / "cert.pem").read_bytes()
    (pair / "chain.pem").write_bytes(own + _certificate(300))
    (pair / "turned.pem").write_bytes(_certificate(300) + own)

    assert _files(pair, "chain.pem").observe().certificate_problem == ""
    assert _files(pair, "turned.pem").observe().certificate_problem == "key.pem is another certificate's key"


def test_a_key_that_anybody_may_read_is_a_problem(pair: Path) -> None:
    (pair / "key.pem").chmod(0o644)

    assert _files(pair, "cert.pem").observe().certificate_problem == "key.pem can be read by anybody (mode 0644)"


def test_a_key_that_is_missing_unreadable_locked_or_not_named_is_said_to_be_so(pair: Path) -> None:
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"of the tests"),
    )
    (pair / "key.pem").write_bytes(locked)
    assert _files(pair, "cert.pem").observe().certificate_problem == "key.pem holds no key without a passphrase"
    (pair / "key.pem").write_bytes(b"nonsense")
    assert _files(pair, "cert.pem").observe().certificate_problem == "key.pem holds no key without a passphrase"
    (pair / "key.pem").unlink()
    assert _files(pair, "cert.pem").observe().certificate_problem == "key.pem: No such file or directory"
    unnamed = StackFilesOnDisk(directory=pair, environment={"NGINX_CERT_PATH": "cert.pem"})
    assert unnamed.observe().certificate_problem == "NGINX_KEY_PATH is not set"
