"""When a TLS certificate ends."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path


def observe_certificate_end(file: Path) -> datetime:
    """The earliest end among the certificates of a PEM file: a chain is as good as its shortest.

    Raises OSError for a file that cannot be read and ValueError for one that holds no certificate.
    """
    from cryptography import x509

    found = x509.load_pem_x509_certificates(file.read_bytes())
    return min(certificate.not_valid_after_utc for certificate in found)
