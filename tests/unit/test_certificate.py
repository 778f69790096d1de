"""A certificate is red three weeks before it ends, and one that cannot be read is never green."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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
    return StackFilesOnDisk(directory=directory, environment={"NGINX_CERT_PATH": named} if named else {})


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
