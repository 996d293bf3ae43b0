"""What `edgecl demo` learns from: synthetic spoken commands, and simulated movement (`edgecl.demo.movement`).

The clips are spoken by a speech synthesiser (espeak-ng), never by people; `tools/make_demo_clips` made them.
Recognising them is easier than recognising people: they show the loop at work, not how well it recognises.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.sources.samples import Sample

NOTICE = "the voices are synthetic (espeak-ng), the movement is simulated, the pictures are drawn"
KNOWN_WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
NEW_WORDS = ("lights off", "coffee")
SPLITS = ("teach", "test", "new", "new-test")


def voice_clips(split: str) -> list[Sample]:
    """Spoken commands at 16 kHz, in a fixed order; `group` names the synthetic voice.

    Parameters
    ----------
    split
        `teach`: the known words by twenty voices. `test`: the same words by ten other voices.
        `new`: the new words, five takes each by one further voice, the user's. `new-test`: the new words,
        eight other takes by the user (whose group is that of `new`) and one by each voice of `test`.

    Returns
    -------
    list[Sample]
        Signals (n, 1) float32 in [-1, 1], each 0.2 to 1 s long.

    Raises
    ------
    DataError
        There is no such split.
    """
    if split not in SPLITS:
        raise DataError(f"there is no split {split!r} of the demo's clips, wanted one of {', '.join(SPLITS)}")
    with files("edgecl.demo").joinpath("data/voice.npz").open("rb") as file, np.load(file) as archive:
        codes, ends = archive["codes"], np.cumsum(archive["lengths"])
        splits, labels, voices = (archive[name].tolist() for name in ("splits", "labels", "voices"))
    clips = np.split(codes, ends[:-1])
    return [
        Sample(f"demo/{split}/{labels[i]}/{i}", labels[i], mu_law_decoded(clips[i])[:, None], voices[i])
        for i in range(len(clips))
        if splits[i] == split
    ]


def mu_law_decoded(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Samples in [-1, 1] of mu-law codes (n,), 128 being zero.

    Notes
    -----
    The inverse of ITU-T G.711's continuous curve with mu = 255.

    >>> mu_law_decoded(np.array([1, 128, 255], dtype=np.uint8)).tolist()
    [-1.0, 0.0, 1.0]
    """
    curve = (codes.astype(np.float32) - 128) / 127
    magnitude = (np.exp(np.abs(curve) * np.log(np.float32(256))) - 1) / 255
    return np.asarray(np.sign(curve) * np.minimum(magnitude, 1), dtype=np.float32)
