"""Passwords: which ones are taken, and their Argon2id hashes."""

from __future__ import annotations

import itertools
import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from stratum.core.errors import StratumError

LEAST_CHARACTERS = 12
MOST_CHARACTERS = 1000

_WELL_KNOWN = frozenset(
    {
        "administrator",
        "changemechangeme",
        "correcthorsebatterystaple",
        "iloveyouiloveyou",
        "letmeinletmein",
        "motdepassemotdepasse",
        "motdepasse123",
        "motdepasse1234",
        "password1234",
        "password12345",
        "password123456",
        "passwordpassword",
        "postgrespostgres",
        "qwertyqwerty",
        "qwertyuiop12",
        "qwertyuiop123",
        "qwertyuiopasdf",
        "1q2w3e4r5t6y",
        "1qaz2wsx3edc",
        "q1w2e3r4t5y6",
        "stratumstratum",
        "adminadminadmin",
        "azertyuiop12",
        "azertyuiop123",
        "azertyazerty",
        "welcomewelcome",
    }
)
_HASHER = PasswordHasher()


def check_rules(password: str, *, name: str) -> None:
    """Raises `password-too-weak` for a password that is short, the name, one character repeated, or well known."""
    plain = _normalised(password).casefold()
    letters = "".join(character for character in plain if character.isalnum())
    too_weak = (
        len(_normalised(password)) < LEAST_CHARACTERS
        or len(set(plain)) < 4
        or plain.strip() == name.casefold()
        or letters in _WELL_KNOWN
        or _is_a_row(plain)
    )
    if too_weak or len(password) > MOST_CHARACTERS:
        raise StratumError("password-too-weak", least=LEAST_CHARACTERS)


def hash_password(password: str) -> str:
    """Argon2id with argon2-cffi's parameters (RFC 9106, the low-memory choice), which the hash carries."""
    return _HASHER.hash(_normalised(password))


def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether the password fits. Without a hash as much work is done, so that time does not tell who exists."""
    try:
        _HASHER.verify(password_hash or _NOBODY, _normalised(password))
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def wants_rehash(password_hash: str) -> bool:
    """Whether the hash was made with other parameters than are used now."""
    return _HASHER.check_needs_rehash(password_hash)


def _is_a_row(text: str) -> bool:
    """`123456789012`, `abcdefghijkl`: each character is the next of the one before, or 9 is followed by 0."""
    steps = {ord(after) - ord(before) for before, after in itertools.pairwise(text)}
    return steps <= {1, -9} or steps <= {-1, 9}


def _normalised(password: str) -> str:
    """One form for what keyboards write in several (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


_NOBODY = _HASHER.hash(secrets.token_urlsafe())
"""Verified in place of a hash that does not exist."""
