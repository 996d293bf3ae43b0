"""Check a store: read every byte and name what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgecl.errors import EdgeclError


@contextmanager
def collect_errors(found: list[str]) -> Iterator[None]:
    """Add the message of an error to `found` instead of raising it."""
    try:
        yield
    except EdgeclError as error:
        found.append(str(error))
