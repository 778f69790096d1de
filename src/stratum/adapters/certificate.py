"""When a TLS certificate ends, and whether a server can use it with its key."""

from __future__ import annotations

import stat
from datetime import datetime
from pathlib import Path

CERTIFICATE_PATHS = {"NGINX_CERT_PATH": "./certificates/stratum.crt", "NGINX_KEY_PATH": "./certificates/stratum.key"}
"""Where nginx looks for the pair when .env names none, as compose.yaml has it."""


def observe_certificate(directory: Path, certificate: str, key: str) -> tuple[datetime | None, str]:
    """When the certificate ends, and why a server could not use it with this key; "" when it could.

    Both are paths as .env has them, relative to `directory`. A key that anybody may read is a problem too.
    """
    try:
        ends = observe_certificate_end(directory / certificate)
    except OSError as error:
        return None, f"{certificate}: {error.strerror}"
    except ValueError:
        return None, f"{certificate} holds no certificate"
    return ends, _observe_key(
        directory / certificate, directory / key, named=key
    ) if key else "NGINX_KEY_PATH is not set"


def observe_certificate_end(file: Path) -> datetime:
    """The earliest end among the certificates of a PEM file: a chain is as good as its shortest.

    Raises OSError for a file that cannot be read and ValueError for one that holds no certificate.
    """
    from cryptography import x509

    found = x509.load_pem_x509_certificates(file.read_bytes())
    return min(certificate.not_valid_after_utc for certificate in found)


def _observe_key(certificate: Path, key: Path, *, named: str) -> str:
    """Why the key cannot serve with the certificate. One with a passphrase cannot: no server could ask for it."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        mode = stat.S_IMODE(key.stat().st_mode)
        found = load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        return f"{named}: {error.strerror}"
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return f"{named} holds no key without a passphrase"
    # The first certificate is the server's own; those of the authorities follow (RFC 8446, 4.4.2).
    if x509.load_pem_x509_certificates(certificate.read_bytes())[0].public_key() != found.public_key():
        return f"{named} is another certificate's key"
    return f"{named} can be read by anybody (mode {mode:04o})" if mode & stat.S_IROTH else ""
