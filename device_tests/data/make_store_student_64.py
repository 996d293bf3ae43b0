"""Make `store_student_64`: python make_store_student_64.py, with the edgecl that is to be kept. See README.md."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from edgecl.demo.clips import voice_clips
from edgecl.sources.sound import encode_wav

STORE = Path(__file__).resolve().parent / "store_student_64"
WORDS, CLIPS = ("yes", "left"), 5


def edgecl(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "edgecl.cli", *map(str, arguments)], check=True)


def main() -> None:
    shutil.rmtree(STORE, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        for word in WORDS:
            own = [one for one in voice_clips("teach") if one.label == word]
            for at, one in enumerate(own[:CLIPS]):
                file = Path(folder, word, f"{at}.wav")
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(encode_wav(one.signal[:, 0], rate_hz=16_000))
        edgecl("init", STORE, "--extractor", "voice")
        edgecl("learn", STORE, folder)
    for name in ("extractor.onnx", "reserve"):  # 1.7 MB that ship with edgecl, and nothing but zeros
        (STORE / name).unlink()


if __name__ == "__main__":
    main()
