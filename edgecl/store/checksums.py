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
    """How a text is sealed: the name of the last member and the digest it gives of a text, in hex."""

    name: str
    digest: Callable[[bytes | bytearray], str]

    def close(self, fields: Mapping[str, Any]) -> bytes:
        """Return one line of ASCII that ends in a newline; NaN and infinity are refused by ValueError."""
        text = json.dumps(fields, allow_nan=False, separators=(",", ":"))[:-1].encode("ascii")
        return text + self._ending(text)

    def holds(self, line: bytes | bytearray) -> bool:
        """Whether the line is as `close` wrote it."""
        length = len(self._ending(b""))
        return line[-length:] == self._ending(line[:-length])

    def open(self, line: bytes | bytearray) -> dict[str, Any]:
        """Return the members, the digest left out; raises ValueError where the line was changed."""
        if not self.holds(line):
            raise ValueError(f"its {self.name} does not fit its text")
        try:
            fields = json.loads(line.decode("ascii"))
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        if not isinstance(fields, dict):
            raise ValueError("it is not a JSON object")
        fields.pop(self.name, None)  # a text that is hostile may name it twice, or not parse as it ends
        return fields

    def _ending(self, text: bytes | bytearray) -> bytes:
        return f',"{self.name}":"{self.digest(text)}"}}\n'.encode("ascii")


def sha256(data: Bytes) -> str:
    """Return the sha256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


DIGEST = Seal("sha256", sha256)
