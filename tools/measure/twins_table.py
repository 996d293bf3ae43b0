"""Copies and cuts of one recording against separate takes; run by tools/twins_table where edgecl is installed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.splits import data_root
from edgecl.extractors.base import Extractor
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.operations.twins import SAME_ROW
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample
from edgecl.sources.twins import SAME_MOVEMENT, SAME_SOUND, likeness, takes

SOUND = ("fsdd", "speech_commands")
MOVEMENT = ("geotec_phone", "geotec_watch", "hapt_uci_har", "physio_exercises", "spar_watch")
COPIES = (  # decibels, seconds later, noise so many dB below
    (-6.0, 0.0, 60.0),
    (0.0, 0.0001, 60.0),
    (0.0, 0.0, 40.0),
    (-12.0, 0.025, 40.0),
    (-20.0, 0.025, 30.0),
    (-6.0, 0.1, 40.0),
)
GROUPS, TAKES, CLIPS, COPIED = 150, 10, 20, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    root, draw = data_root(), np.random.default_rng(0)
    apart, copies = [], []
    for name in SOUND:
        one, more = of_sound(name, root / name, draw)
        apart.append(one)
        copies += more
    apart += [of_movement(name, root / name / "windows.npz", draw) for name in MOVEMENT]
    arguments.json.write_text(json.dumps({"apart": apart, "copies": copies}))


def of_sound(name: str, path: Path, draw: np.random.Generator) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Compare clips of one word by one person, and copies of clips in lessons of mixed people."""
    extractor = open_extractor(builtin_extractor("voice"))
    clips = [one for one in read_samples(path, extractor.contract) if isinstance(one, Sample)]
    found, nearest = [], []
    for own in drawn(groups_of([f"{one.label} {one.group}" for one in clips]), draw):
        signals = [clips[index].signal for index in own]
        found += [likeness(one, two, extractor.contract) for row, one in enumerate(signals) for two in signals[:row]]
        cosines = alike(latents(extractor, signals))
        nearest += cosines.max(axis=1).tolist()
    table = figures(name, found, SAME_SOUND) | {"joined by latents": f"{at_least(nearest, SAME_ROW)} of {len(nearest)}"}
    return table | {"cuts found": "-"}, [copied(name, clips, how, extractor, draw) for how in COPIES]


def copied(
    name: str, clips: Sequence[Sample], how: tuple[float, float, float], extractor: Extractor, draw: np.random.Generator
) -> dict[str, Any]:
    """Count which copies are found in lessons of one word, and which good clips are joined with another."""
    hits = count = false = rows = 0
    labels = list(dict.fromkeys(str(one.label) for one in clips))[:10]
    for label in labels:
        own = [one.signal for one in clips if one.label == label]
        own = [own[index] for index in draw.permutation(len(own))[:CLIPS]]
        twins = [copy(one, *how, draw) for one in own[:COPIED]]
        signals = own + twins
        found = latents(extractor, signals)
        first = takes(signals.__getitem__, [found.copy()], extractor.contract)
        cosines = np.einsum("nd,nd->n", found[: len(twins)], found[len(own) :])
        cosines /= np.linalg.norm(found[: len(twins)], axis=1) * np.linalg.norm(found[len(own) :], axis=1)
        hits += sum(int(first[len(own) + row] == first[row]) for row in range(len(twins)))
        false += sum(int(first[row] != row) for row in range(len(own)))
        rows += int((cosines >= SAME_ROW).sum())
        count += len(twins)
    decibels, late, below = how
    what = f"{decibels:g} dB, {1000 * late:g} ms later, noise {below:g} dB below"
    return {
        "set": name, "copy": what, "copies": count, "found by signal": hits, "found by latents": rows,
        "good clips joined": false,
    }  # fmt: skip


def copy(
    signal: NDArray[np.float32], decibels: float, late: float, below: float, draw: np.random.Generator
) -> NDArray[np.float32]:
    """Return a clip at another level, moved, with noise, rounded to 16 bits."""
    count = round(16_000 * late)
    moved = np.concatenate([np.zeros((count, 1), np.float32), signal[: len(signal) - count]]) * 10 ** (decibels / 20)
    noise = np.sqrt(np.square(moved).mean()) * 10 ** (-below / 20) * draw.normal(size=moved.shape)
    rounded: NDArray[np.float32] = (np.rint((moved + noise).clip(-1, 1) * 32767) / 32768).astype(np.float32)
    return rounded


def of_movement(name: str, path: Path, draw: np.random.Generator) -> dict[str, Any]:
    """Compare windows of one exercise by one person, and neighbours of which half is the same."""
    with np.load(path, allow_pickle=False) as read:
        windows, y, segment = read["X"].astype(np.float32), read["y"], read["segment"].astype(str)
        subject, rate = read["subject"].astype(str), float(read["rate_hz"])
    contract: Any = SimpleNamespace(is_sound=False, sample_rate_hz=rate)
    found: list[float] = []
    half = windows.shape[1] // 2
    for own in drawn(groups_of([f"{label} {who}" for label, who in zip(y, subject, strict=True)]), draw):
        for row, one in enumerate(own):
            apart = [two for two in own[:row] if segment[one] != segment[two] or abs(one - two) > 3]
            found += [likeness(windows[one], windows[two], contract) for two in apart]
    looked_at = draw.permutation(len(windows) - 1)[:600].tolist()
    cut = [index for index in looked_at if (windows[index, half:] == windows[index + 1, :half]).all()]
    overlapping = [likeness(windows[index], windows[index + 1], contract) for index in cut]
    cuts = f"{at_least(overlapping, SAME_MOVEMENT)} of {len(overlapping)}"
    return figures(name, found, SAME_MOVEMENT) | {"joined by latents": "-", "cuts found": cuts}


def groups_of(names: Sequence[str]) -> list[list[int]]:
    """Return the indices of each name that is there more than once."""
    found: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        found.setdefault(name, []).append(index)
    return [one for one in found.values() if len(one) > 1]


def drawn(groups: list[list[int]], draw: np.random.Generator) -> Iterator[list[int]]:
    """Yield some members of some groups."""
    for index in draw.permutation(len(groups))[:GROUPS].tolist():
        yield [groups[index][one] for one in draw.permutation(len(groups[index]))[:TAKES].tolist()]


def latents(extractor: Extractor, signals: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([extractor.latents(signals[at : at + 16]) for at in range(0, len(signals), 16)])


def alike(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosines (n, n) of rows with each other; -1 of a row with itself."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines: NDArray[np.float32] = rows @ rows.T
    np.fill_diagonal(cosines, -1)
    return cosines


def at_least(values: Sequence[float], wanted: float) -> int:
    return int((np.array(values) >= wanted).sum())


def figures(name: str, found: Sequence[float], wanted: float) -> dict[str, Any]:
    """Return how near separate takes come."""
    quantiles = np.quantile(found, [0.5, 0.99, 1])
    named = dict(zip(("median", "99%", "highest"), (f"{one:.3f}" for one in quantiles), strict=True))
    return {"set": name, "pairs": len(found), **named, "joined": at_least(found, wanted)}


if __name__ == "__main__":
    main()
