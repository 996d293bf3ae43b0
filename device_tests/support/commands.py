"""The command line under test, in this process or in one of its own, and recordings to feed it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from edgecl.cli.app import main
from edgecl.demo.clips import voice_clips
from edgecl.errors import ContractError
from edgecl.extractors.opening import builtin_extractor
from edgecl.sources.samples import Sample
from edgecl.sources.sound import encode_wav

RATE = 16_000


@dataclass(frozen=True)
class Result:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def edgecl(*arguments: object) -> Result:
    """Run a command in this process; what is no message but a traceback is raised."""
    done = CliRunner().invoke(main, [str(one) for one in arguments], prog_name="edgecl")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert "Traceback" not in done.stderr
    return Result(done.exit_code, done.stdout, done.stderr)


def command_line(*arguments: object) -> list[str]:
    """What a shell would run."""
    return [sys.executable, "-m", "edgecl.cli", *(str(one) for one in arguments)]


def process(*arguments: object, **options: Any) -> Result:
    """Run a command in a process of its own."""
    done = subprocess.run(command_line(*arguments), capture_output=True, text=True, check=False, **options)
    return Result(done.returncode, done.stdout, done.stderr)


def tree(folder: Path) -> dict[str, str]:
    """Path and digest of every file of a folder; of a very large one the length."""
    return {str(path.relative_to(folder)): _digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _digest(path: Path) -> str:
    size = path.stat().st_size
    return str(size) if size > 1 << 24 else hashlib.sha256(path.read_bytes()).hexdigest()


def voice_extractor() -> Path:
    """The extractor that ships with edgecl; without it a test is skipped."""
    try:
        return builtin_extractor("voice")
    except ContractError as error:
        pytest.skip(str(error))


def write_wav(path: Path, signal: NDArray[np.floating], *, rate: int = RATE) -> Path:
    """A 16-bit WAV file of one channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_wav(signal, rate_hz=rate))
    return path


def write_clips(folder: Path, samples: Iterable[Sample]) -> Path:
    """Samples as <label>/<speaker>_<number>.wav."""
    for number, one in enumerate(samples):
        write_wav(folder / str(one.label) / f"{one.group}_{number}.wav", one.signal)
    return folder


def clips(split: str, words: Sequence[str], *, most: int = 100) -> list[Sample]:
    """At most so many clips of each word, from those that the demo ships."""
    found = [one for one in voice_clips(split) if one.label in words]
    return [one for word in words for one in [one for one in found if one.label == word][:most]]


def noise(seconds: float = 1.0, *, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))
