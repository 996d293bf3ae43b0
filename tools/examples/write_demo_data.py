#!/usr/bin/env python3
"""Write every file that the README's commands read: words, sound, movement and texts.

    tools/examples/write_demo_data.py FOLDER

The voices are synthetic (espeak-ng), the movement is simulated, the texts are made up. Those who teach differ from
those who are answered.
"""

from __future__ import annotations

import csv
import json
import sys
import wave
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecl.demo.clips import KNOWN_WORDS, voice_clips
from edgecl.demo.movement import CHANNELS, recording
from edgecl.demo.movement import RATE_HZ as MOVEMENT_HZ
from edgecl.sources.samples import Sample

SOUND_HZ = 16_000
WORDS, NEW = KNOWN_WORDS[:8], "lights off"
EXERCISES = ("biceps curl", "squat", "rest")
OPENINGS = ("please", "hello", "help", "sorry", "again", "urgent")
JANUARY: dict[str, tuple[str, ...]] = {
    "lost card": ("where is my card", "my card is lost", "my card is stolen", "the card is not here"),
    "refund": ("refund please", "i want my money back", "money back please", "refund the money"),
}
FEBRUARY: dict[str, tuple[str, ...]] = {
    "opening hours": ("when do you open", "are you open on sunday", "until when are you open", "open today")
}
# of two intents, and of none
TODAY = ("my card was stolen", "when do you open on sunday", "will it rain tomorrow")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_clips(folder)
    write_sound(folder / "evening.wav", np.concatenate([sound for _, sound in evening()]))
    write_labels(folder / "evening.csv", evening())
    write_sound(folder / "room.wav", noise(60.0))
    write_movement(folder / "workout.csv", list(product(range(6), EXERCISES)), seconds=20.0)
    write_movement(folder / "monday.csv", [(100, name) for name in EXERCISES], seconds=20.0, labelled=False)
    workout = [(100, name) for name in ("rest", "biceps curl", "rest", "squat", "rest")]
    write_movement(folder / "tuesday.csv", workout, seconds=12.0, labelled=False)
    write_texts(folder / "january.jsonl", JANUARY)
    write_texts(folder / "february.jsonl", FEBRUARY)
    write_texts(folder / "today.jsonl", {"": TODAY}, openings=("hello",))
    print(f"written to {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    return 0


def write_clips(folder: Path) -> None:
    """Write clips/ to teach, new/ with a new word and heard/ to test, each as <label>/<voice>_<number>.wav."""
    splits = {
        "teach": ("clips", WORDS),
        "new": ("new", (NEW,)),
        "test": ("heard", WORDS),
        "new-test": ("heard", (NEW,)),
    }
    for split, (name, labels) in splits.items():
        for number, one in enumerate(clip for clip in voice_clips(split) if clip.label in labels):
            write_sound(folder / name / str(one.label) / f"{one.group}_{number}.wav", one.signal)


def write_sound(path: Path, signal: NDArray[np.floating]) -> None:
    """Write a 16-bit WAV file of one channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_HZ)
        file.writeframes((np.clip(signal, -1, 1) * 32767).astype("<i2").tobytes())


def evening() -> list[tuple[str, NDArray[np.floating]]]:
    """Return a recording in parts: three of the words, two seconds apart; the label of a pause is empty."""
    heard: list[Sample] = [*voice_clips("new-test"), *voice_clips("test")]
    said = [(word, next(one.signal[:, 0] for one in heard if one.label == word)) for word in (NEW, "left", "right")]
    parts = [part for number, word in enumerate(said) for part in (("", noise(2.0, number)), word)]
    return [*parts, ("", noise(2.0))]


def write_labels(path: Path, parts: Iterable[tuple[str, NDArray[np.floating]]]) -> None:
    """Write when each word of a recording is spoken, in seconds."""
    with path.open("w", newline="") as file:
        table, now = csv.writer(file), 0
        table.writerow(["label", "begin", "end"])
        for label, sound in parts:
            if label:
                table.writerow([label, round(now / SOUND_HZ, 3), round((now + len(sound)) / SOUND_HZ, 3)])
            now += len(sound)


def noise(seconds: float, seed: int = 9) -> NDArray[np.float64]:
    """Return a quiet room."""
    return np.random.default_rng(seed).normal(0, 0.001, round(seconds * SOUND_HZ))


def write_movement(path: Path, plan: list[tuple[int, str]], *, seconds: float, labelled: bool = True) -> None:
    """Write one exercise after another, one row per sample."""
    with path.open("w", newline="") as file:
        table, time = csv.writer(file), 0
        table.writerow(["timestamp", *CHANNELS, *(["label", "subject"] if labelled else [])])
        for subject, name in plan:
            for row in recording(name, subject, seconds=seconds):
                known = [name, f"s{subject}"] if labelled else []
                table.writerow([round(time / MOVEMENT_HZ, 2), *(round(float(one), 3) for one in row), *known])
                time += 1


def write_texts(path: Path, intents: Mapping[str, tuple[str, ...]], openings: Iterable[str] = OPENINGS) -> None:
    """Write one text per line with its intent."""
    with path.open("w", encoding="utf-8") as file:
        for (intent, texts), start in product(intents.items(), openings):
            for text in texts:
                file.write(json.dumps({"text": f"{start} {text}", **({"label": intent} if intent else {})}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
