"""A certificate that nobody vouches for, to try TLS with before there is a real one."""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from stratum.adapters.durable import sync_directory
from stratum.core.errors import StratumError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

_CLOCKS_APART = timedelta(hours=1)
"""A browser's clock may be behind this machine's."""


def write_self_signed(
    certificate: Path,
    key: Path,
    *,
    names: tuple[str, ...],
    lifetime: timedelta = timedelta(days=90),
    owner: tuple[int, int] | None = None,
) -> None:
    """Write a P-256 key, which only its owner may read, and a certificate for these DNS names and IP addresses.

    Missing directories are made; with `owner` (uid, gid) both files are given to that account. Raises `file-exists`
    when one of the two is there already, and then writes neither; OSError when they cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = _signed(private, names, lifetime).public_bytes(serialization.Encoding.PEM)
    for file in (certificate, key):
        if os.path.lexists(file):
            raise StratumError("file-exists", file=file)
        file.parent.mkdir(parents=True, exist_ok=True)
    _create(key, secret, mode=0o600, owner=owner)
    try:
        _create(certificate, public, mode=0o644, owner=owner)
    except BaseException:
        # A key without its certificate would only be in the way of the next try.
        key.unlink()
        raise


def _signed(private: ec.EllipticCurvePrivateKey, names: tuple[str, ...], lifetime: timedelta) -> x509.Certificate:
    """For servers only, and no authority: who trusts it trusts these names and nothing else (RFC 5280, 4.2.1)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    now, public = datetime.now(UTC), private.public_key()
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0][:64])])
    builder = x509.CertificateBuilder(
        issuer_name=called,
        subject_name=called,
        public_key=public,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - _CLOCKS_APART,
        not_valid_after=now + lifetime,
    )
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (
        (x509.SubjectAlternativeName([_general_name(name) for name in names]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    return builder.sign(private, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    """An address as one: a browser that opens https://127.0.0.1 does not look at DNS names (RFC 6125, 1.7.2)."""
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        # Certificates hold ASCII; `müller.example` travels as xn--mller-kva.example.
        return x509.DNSName(name.encode("idna").decode() if not name.isascii() else name)


def _create(file: Path, content: bytes, *, mode: int, owner: tuple[int, int] | None) -> None:
    """A new file, never in place of one that is there."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise StratumError("file-exists", file=file) from None
    with os.fdopen(handle, "wb") as stream:
        os.fchmod(handle, mode)
        if owner is not None:
            os.fchown(handle, *owner)
        stream.write(content)
        stream.flush()
        os.fsync(handle)
    sync_directory(file.parent)
