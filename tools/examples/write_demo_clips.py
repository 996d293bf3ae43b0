#!/usr/bin/env python3
"""Write the demo's spoken words as WAV files: clips/ to teach, new/ with a new word, heard/ to test.

    tools/examples/write_demo_clips.py FOLDER

The voices are synthetic (espeak-ng). clips/ and heard/ are of different voices.
"""

from __future__ import annotations

import sys
import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edgecl.demo.clips import KNOWN_WORDS, voice_clips
from edgecl.sources.samples import Sample

RATE_HZ = 16_000
WORDS = KNOWN_WORDS[:8]
NEW = "lights off"


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    write(folder / "clips", (one for one in voice_clips("teach") if one.label in WORDS))
    write(folder / "new", (one for one in voice_clips("new") if one.label == NEW))
    write(folder / "heard", (one for one in voice_clips("test") if one.label in WORDS))
    write(folder / "heard", (one for one in voice_clips("new-test") if one.label == NEW))
    print(f"{folder}/clips, new and heard: {len(WORDS)} words, and {NEW!r}")
    return 0


def write(folder: Path, samples: Iterable[Sample]) -> None:
    """Write samples as <label>/<voice>_<number>.wav."""
    for number, one in enumerate(samples):
        path = folder / str(one.label) / f"{one.group}_{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes((np.clip(one.signal, -1, 1) * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    sys.exit(main())
