"""Ed25519 signatures (RFC 8032) beside a file: who made it, where its digest tells only that it is whole.

A signature is JSON. What is signed is the kind of the file and its sha256, so that a signature of an extractor is none
of a backup. Needs the package `cryptography` (extra `[sign]`).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgecl.errors import ModelError, SettingError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Kind = Literal["extractor", "backup"]
SUFFIX = ".sig"
LARGEST = 1 << 14  # bytes of a key or a signature
MADE_BY = "openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out key.pub"


def signed(kind: Kind, digest: str, key: Path) -> dict[str, str]:
    """Sign a digest.

    Parameters
    ----------
    digest
        Sha256 of the file, in hex.
    key
        PEM file of the private key, without a password.

    Returns
    -------
    dict
        "algorithm", "key" (public, hex) and "signature" (hex).

    Raises
    ------
    SettingError
        When the key cannot be used.
    ImportError
        When the package `cryptography` is missing.
    """
    private = private_key(key)
    return {
        "algorithm": "ed25519",
        "key": private.public_key().public_bytes_raw().hex(),
        "signature": private.sign(_message(kind, digest)).hex(),
    }


def require_signed(kind: Kind, digest: str, members: Mapping[str, Any], *, key: Path, what: object) -> None:
    """Raise ModelError unless `members`, as `signed` returned them, are the signature of a digest by `key`.

    Parameters
    ----------
    key
        PEM file of the public key that is trusted.
    what
        Name of the file, for the message.

    Raises
    ------
    SettingError
        When the key cannot be used.
    ImportError
        When the package `cryptography` is missing.
    """
    public = public_key(key)
    from cryptography.exceptions import InvalidSignature

    try:
        signature = bytes.fromhex(members["signature"])
        if members["algorithm"] != "ed25519":
            raise ValueError("another algorithm")
        public.verify(signature, _message(kind, digest))
    except (InvalidSignature, LookupError, TypeError, ValueError) as error:
        named = members.get("key") if isinstance(members, Mapping) else None
        is_other = bool(named) and named != public.public_bytes_raw().hex()
        why = f"its signature names the key {str(named)[:16]}..." if is_other else "it is not what was signed"
        raise ModelError(f"{what} is not signed by {key}: {why if members else 'it has no signature'}") from error


def sign_file(path: Path, *, key: Path) -> Path:
    """Write the signature of an extractor to `path`.sig, and return that path; raises as `signed` does."""
    members = signed("extractor", sha256_of(path), key)
    beside = path.with_name(path.name + SUFFIX)
    try:
        beside.write_text(json.dumps(members, indent=1) + "\n", encoding="ascii")
    except OSError as error:
        raise SettingError(f"{beside} cannot be written: {error.strerror}", parameter="sign") from error
    return beside


def require_signed_file(path: Path, digest: str, *, key: Path) -> None:
    """Raise as `require_signed` does, unless `path`.sig is the signature of an extractor with that digest."""
    try:
        members = json.loads(_small(path.with_name(path.name + SUFFIX)))
    except (OSError, ValueError, RecursionError):
        members = {}
    require_signed("extractor", digest, members if isinstance(members, dict) else {}, key=key, what=path)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hex; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key; raises SettingError, or ImportError where the package is missing."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_small(path), None)
    except (OSError, TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path, "private", "sign") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "private", "sign")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key; raises SettingError, or ImportError where the package is missing."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_small(path))
    except (OSError, TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path, "public", "require_signature") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "public", "require_signature")
    return key


def _message(kind: Kind, digest: str) -> bytes:
    return f"edgecl {kind} 1 sha256 {digest}".encode("ascii")


def _small(path: Path) -> bytes:
    """Return the first bytes of a key or signature; a pipe is not waited for."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return file.read(LARGEST)


def _no_key(path: Path, which: str, parameter: str) -> SettingError:
    return SettingError(
        f"{path} is no {which} Ed25519 key in PEM without a password: make one with {MADE_BY}", parameter=parameter
    )
