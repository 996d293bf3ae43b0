"""SHA-256 and BLAKE2b as Python has them built in, where there is little to hash.

`hashlib` loads OpenSSL: 3.6 MB of every process, and 4 ms of a lesson, in which it would save 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from hashlib import blake2b as blake2b
    from hashlib import sha256 as _built_in
    from mmap import mmap

    Data = bytes | bytearray | memoryview | mmap

    class Hash(Protocol):
        """A hash that is being computed."""

        def update(self, data: Data, /) -> None: ...
        def copy(self) -> Self: ...
        def hexdigest(self) -> str: ...
        def digest(self) -> bytes: ...
else:
    try:
        from _blake2 import blake2b
    except ImportError:
        from hashlib import blake2b
    try:
        from _sha2 import sha256 as _built_in  # from Python 3.12 on
    except ImportError:
        try:
            from _sha256 import sha256 as _built_in
        except ImportError:  # a Python that is built with OpenSSL's alone
            from hashlib import sha256 as _built_in

__all__ = ["blake2b", "sha256"]

MUCH = 8 << 20  # bytes, from which on OpenSSL is worth its loading


def sha256(data: Data = b"", *, of_bytes: int = 0) -> Hash:
    """Begin a SHA-256 with some data; `of_bytes` is about how much there will be in all, where that is more."""
    if max(of_bytes, memoryview(data).nbytes) < MUCH:
        return _built_in(data)
    from hashlib import sha256 as by_openssl

    return by_openssl(data)
