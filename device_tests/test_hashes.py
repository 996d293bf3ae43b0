"""SHA-256 with and without OpenSSL."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from edgecl import hashes

LOADED = "import sys; from edgecl.hashes import sha256; sha256(bytes({size})); print('hashlib' in sys.modules)"


@pytest.mark.parametrize(
    "data", [b"", b"a", bytes(range(256)) * 999, memoryview(bytearray(b"xyz")), bytes(hashes.MUCH)]
)
def test_both_are_the_sha256(data: bytes) -> None:
    expected = hashlib.sha256(data).hexdigest()
    assert hashes.sha256(data).hexdigest() == expected
    for of_bytes in (0, hashes.MUCH):
        whole = hashes.sha256(of_bytes=of_bytes)
        whole.update(data)
        other = whole.copy()
        other.update(b"more")
        assert whole.hexdigest() == expected
        assert other.hexdigest() == hashlib.sha256(bytes(data) + b"more").hexdigest()


@pytest.mark.native("starts processes")
def test_openssl_is_loaded_for_much_alone() -> None:
    for size, expected in ((1 << 20, "False"), (hashes.MUCH, "True")):
        command = [sys.executable, "-c", LOADED.format(size=size)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == expected
