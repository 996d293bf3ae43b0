"""Every parser holds what it promises for any bytes: what fuzzing has found so far, and mutated sound files."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from .support.fuzzing import TARGETS, seeds

CORPUS = Path(__file__).parent / "corpus"
SLOWEST_S = 5


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_is_parsed_or_refused(target: str) -> None:
    found = sorted((CORPUS / target).iterdir())
    assert found
    for path in found:
        started = time.monotonic()
        TARGETS[target](path.read_bytes())
        assert time.monotonic() - started < SLOWEST_S, path.name


@pytest.mark.native("tries hundreds of files")
@pytest.mark.parametrize("target", TARGETS)
def test_mutated_files_are_parsed_or_refused(target: str) -> None:
    draw = random.Random(target)
    for seed in seeds(target):
        TARGETS[target](seed)
        for _ in range(60):
            TARGETS[target](mutated(seed, draw))


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, a piece left out or doubled."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at, length = draw.randrange(len(changed) + 1), draw.randint(0, 8)
        piece = draw.choice(
            [draw.randbytes(length), changed[at : at + length] * 2, b"", b"9" * length, b"\xff" * length]
        )
        changed[at : at + length] = piece
    return bytes(changed)
