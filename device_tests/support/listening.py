"""Words one after another, a background for them, and `edgecl listen` as a process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgecl.extractors.base import FileExtractor
from edgecl.spotting.background import Background
from edgecl.spotting.densities import Gaussian
from edgecl.spotting.window import Window

from .commands import RATE, Result, clips, command_line, noise

WORDS = ("yes", "stop", "left", "right")


def said(*labels: str, pause_s: float = 1.5, take: int = 0) -> NDArray[np.float32]:
    """Words by a voice that did not teach, each after a pause, over a little noise."""
    pause = np.zeros(round(pause_s * RATE), np.float32)
    words = [clips("test", [label])[take].signal[:, 0] for label in labels]
    sound = np.concatenate([part for word in words for part in (pause, word)] + [pause])
    return (sound + 0.01 * noise(len(sound) / RATE, seed=99)[: len(sound)]).astype(np.float32)


def plain_background(rng: np.random.Generator, columns: int) -> Background:
    """A background of normal numbers, and no room."""
    return Background(
        gaussians=(Gaussian(np.zeros(columns, np.float32), np.eye(columns, dtype=np.float32)),),
        tied=np.eye(columns, dtype=np.float32) / 4,
        distractors=rng.standard_normal((5, columns)).astype(np.float32),
        offset=np.zeros(columns, np.float32),
        rows=(2 * rng.standard_normal((400, columns))).astype(np.float32),
        hours=4.0,
        room=np.zeros((0, columns), np.float32),
    )


def window_of(hop: NDArray[np.float32], window: Window | None = None) -> Window:
    """A window of frames (P, D) whose latent is their mean; or one of before, with these as its next ones."""
    if window is None:
        contract = SimpleNamespace(
            pool_frames=len(hop), dimension=hop.shape[1], mean=np.zeros(hop.shape[1]), normalisation="none"
        )
        window = Window(cast("FileExtractor", SimpleNamespace(contract=contract)))
    for number, frame in enumerate(hop):
        window.put(number, frame)
    return window


def pcm(signal: NDArray[np.float32]) -> bytes:
    """A signal as `write_wav` writes it, without a header."""
    return np.rint(signal * 32768).clip(-32768, 32767).astype("<i2").tobytes()


def piped(kitchen: Path, content: bytes, *options: object, **more: Any) -> Result:
    """`edgecl listen` with bytes on its stdin."""
    done = subprocess.run(
        command_line("listen", kitchen, "--json", *options), input=content, capture_output=True, check=False, **more
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def listening(kitchen: Path, *options: object, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """`edgecl listen` in a process of its own, fed by hand; killed at the end if it is still there."""
    pipe = subprocess.PIPE
    command = command_line("listen", kitchen, "--json", *options)
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, **more) as child:
        try:
            yield child
        finally:
            child.kill()
