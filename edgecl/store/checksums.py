"""JSON objects that carry the digest of their own text as the last member.

    {"number":7,"kind":"lesson",...,"sha256":"9f86d0..."}

The digest covers every byte before its comma, and the rest has only one form, so no byte is left uncovered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgecl.store.files import Bytes


@dataclass(frozen=True)
class Seal:
    """A way to seal a text: the name of the last member, and the function that computes it."""

    name: str
    digest: Callable[[bytes | bytearray], str]
    """Returns the digest of a text in hex."""

    def close(self, fields: Mapping[str, Any]) -> bytes:
        """Return the members as one sealed line of ASCII; raises ValueError for NaN and infinity."""
        text = json.dumps(fields, allow_nan=False, separators=(",", ":"))[:-1].encode("ascii")
        return text + self._ending(text)

    def fits(self, line: bytes | bytearray) -> bool:
        """Test whether the line is as `close` wrote it."""
        length = len(self._ending(b""))
        return line[-length:] == self._ending(line[:-length])

    def open(self, line: bytes | bytearray) -> dict[str, Any]:
        """Return the members without the digest; raises ValueError where the line was changed."""
        if not self.fits(line):
            raise ValueError(f"its {self.name} does not fit its text")
        try:
            fields = json.loads(line.decode("ascii"))
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        if not isinstance(fields, dict):
            raise ValueError("it is not a JSON object")
        fields.pop(self.name, None)  # a hostile text may name it twice, or parse differently from how it ends
        return fields

    def _ending(self, text: bytes | bytearray) -> bytes:
        return f',"{self.name}":"{self.digest(text)}"}}\n'.encode("ascii")


def sha256(data: Bytes) -> str:
    """Return the sha256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


DIGEST = Seal("sha256", sha256)
