"""Signatures: of a kind, a digest and a key; everything else is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="signing needs the extra [sign]")

from edgecl.errors import ModelError, SettingError
from edgecl.signatures import private_key, public_key, require_signed, require_signed_file, sha256_of, sign_file, signed

from .support.keys import key_pair

DIGEST = "ab" * 32


def test_what_a_key_signed_is_accepted_and_nothing_else(tmp_path: Path) -> None:
    (private, public), (_, other) = key_pair(tmp_path, "mine"), key_pair(tmp_path, "other")
    members = signed("backup", DIGEST, private)
    require_signed("backup", DIGEST, members, key=public, what="it")
    with pytest.raises(ModelError, match="names the key"):
        require_signed("backup", DIGEST, members, key=other, what="it")
    for changed in ({**members, "signature": "00" * 64}, {**members, "algorithm": "none"}, {**members, "signature": 3}):
        with pytest.raises(ModelError, match="it is not what was signed"):
            require_signed("backup", DIGEST, changed, key=public, what="it")
    with pytest.raises(ModelError, match="it is not what was signed"):
        require_signed("extractor", DIGEST, members, key=public, what="it")  # of another kind
    with pytest.raises(ModelError, match="it has no signature"):
        require_signed("backup", DIGEST, {}, key=public, what="it")


def test_a_file_is_signed_beside_itself(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "mine")
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"a graph")
    beside = sign_file(path, key=private)
    require_signed_file(path, sha256_of(path), key=public)
    path.write_bytes(b"another graph")
    with pytest.raises(ModelError, match="it is not what was signed"):
        require_signed_file(path, sha256_of(path), key=public)
    for content in ("", "[]", "{", json.dumps({"signature": None})):
        beside.write_text(content)
        with pytest.raises(ModelError, match="is not signed by"):
            require_signed_file(path, sha256_of(path), key=public)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path, "mine")
    for path in (public, tmp_path / "missing", tmp_path):
        with pytest.raises(SettingError, match="no private Ed25519 key"):
            private_key(path)
    os.truncate(public, 40)
    for path in (private, public):
        with pytest.raises(SettingError, match="no public Ed25519 key"):
            public_key(path)
