"""Samples that intake refuses, by reason: run by tools/intake_table where edgecl is installed."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.splits import data_root
from edgecl.errors import DataError
from edgecl.extractors.base import Extractor
from edgecl.extractors.contract import Contract
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.operations.rates import RATES, check_rates
from edgecl.sources.choices import Choices
from edgecl.sources.gravity import Gravity
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample, reason_kind
from edgecl.sources.scales import acceleration

SOUND = ("fsdd", "speech_commands")
MOVEMENT = ("geotec_phone", "geotec_watch", "hapt_uci_har", "physio_exercises", "spar_watch")
TEXT = ("bitext_customer", "clinc150", "hwu64", "snips")
TABLES = {"elec2": "class", "noaa_weather": "target"}  # and their column of labels
WINDOWS = 8  # of a lesson whose angular rates are judged
NO_SAMPLE = "other file"  # beside the clips, such as a README


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    root = data_root()
    voice = open_extractor(builtin_extractor("voice")).contract
    rows = [counted(name, root / name, voice) for name in SOUND]
    rates: list[dict[str, Any]] = []
    gravity: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in MOVEMENT:
            made = exported(Path(folder, f"{name}.onnx"), "imu", root / name / "windows.npz")
            rows.append(counted(name, root / name / "windows.npz", made))
            rates.append(of_rates(name, root / name / "windows.npz", open_extractor(Path(folder, f"{name}.onnx"))))
            gravity.append(of_gravity(name, root / name / "windows.npz", made))
        for name, column in TABLES.items():
            table = root / name / "data.csv"
            made = exported(Path(folder, f"{name}.onnx"), "identity", table, "--label-column", column)
            rows.append(counted(name, table, made, label_column=column))
    rows += [counted(name, root / name / "data.jsonl", text_contract()) for name in TEXT]
    arguments.json.write_text(json.dumps({"refused": rows, "rates": rates, "gravity": gravity}))


def exported(out: Path, kind: str, like: Path, *options: str) -> Contract:
    """Build an extractor for the data and return its contract."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "edgecl.cli",
        "export",
        kind,
        "--like",
        like,
        "-o",
        out,
        *options,
    ]
    subprocess.run(command, check=True, capture_output=True)
    return open_extractor(out).contract


def text_contract() -> Contract:
    """Return a contract of text, for which no model is needed to read."""
    return Contract(
        modality="text",
        sample_rate_hz=0.0,
        channels=("utf8",),
        units=("byte",),
        window_samples=1,
        hop_samples=1,
        pool_frames=1,
        dimension=1,
        mean=np.zeros(1, np.float32),
        normalisation="none",
        shrinkage_floor=0.0,
        source="",
        licence="",
    )


def counted(name: str, path: Path, contract: Contract, *, label_column: str | None = None) -> dict[str, Any]:
    """Read a set as a lesson would, and count what is refused."""
    good, reasons = 0, Counter[str]()
    for item in read_samples(path, contract, how=Choices(label_column=label_column)):
        if isinstance(item, Sample):
            good += 1
        else:
            reasons[reason_kind(item.reason)] += 1
    del reasons[NO_SAMPLE]
    refused = sum(reasons.values())
    listed = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common()) or "none"
    samples = good + refused
    one_in = f"1 in {samples / refused:,.0f}" if refused else "none"
    return {"set": name, "samples": samples, "refused": refused, "share": one_in, "by reason": listed}


def of_rates(name: str, path: Path, extractor: Extractor) -> dict[str, Any]:
    """Count the lessons of one class by one person that are refused for the unit of their angular rates."""
    groups: dict[tuple[str | None, str | None], list[Sample]] = {}
    for item in read_samples(path, extractor.contract):
        if isinstance(item, Sample) and len(groups.setdefault((item.label, item.group), [])) < WINDOWS:
            groups[item.label, item.group].append(item)
    turning = [bool(RATES.fullmatch(channel)) for channel in extractor.contract.channels]
    factors = {"as they are": 1.0, "in degrees": 180 / np.pi, "degrees wanted": np.pi / 180}
    found = {what: sum(is_refused(one, turning, factor, extractor) for one in groups.values())
             for what, factor in factors.items()}  # fmt: skip
    return {"set": name, "lessons": len(groups), **found}


def is_refused(samples: list[Sample], turning: list[bool], factor: float, extractor: Extractor) -> bool:
    scale = np.where(turning, factor, 1).astype(np.float32)
    try:
        check_rates([replace(one, signal=one.signal * scale) for one in samples], extractor)
    except DataError:
        return True
    return False


def of_gravity(name: str, path: Path, contract: Contract) -> dict[str, Any]:
    """Count windows and lessons of one class by one person that are refused by what was taught.

    As they are, and without gravity, which is taken for the mean over a second. Also whether the whole set without it
    is taken by a store that was taught nothing, and refused by one that was taught with gravity.
    """
    axes = acceleration(contract)
    as_is = [one for one in read_samples(path, contract) if isinstance(one, Sample)]
    linear = [replace(one, signal=without_gravity(one.signal, axes, contract.sample_rate_hz)) for one in as_is]
    lessons = len(lessons_of(as_is))
    return {
        "set": name,
        "windows": len(as_is),
        "refused of them": sum(is_other([one], contract, taught=True) for one in as_is),
        "without gravity, refused": sum(is_other([one], contract, taught=True) for one in linear),
        "lessons": lessons,
        "refused of these": sum(is_other(one, contract, taught=True) for one in lessons_of(as_is)),
        "without gravity, refused of these": sum(is_other(one, contract, taught=True) for one in lessons_of(linear)),
        "whole set without, taught first": "refused" if is_other(linear, contract, taught=None) else "taken",
        "taught after": "refused" if is_other(linear, contract, taught=True) else "taken",
    }


def lessons_of(samples: list[Sample]) -> list[list[Sample]]:
    groups: dict[tuple[str | None, str | None], list[Sample]] = {}
    for one in samples:
        groups.setdefault((one.label, one.group), []).append(one)
    return list(groups.values())


def without_gravity(signal: NDArray[np.float32], axes: list[int] | None, rate_hz: float) -> NDArray[np.float32]:
    """Return a signal (n, channels) whose acceleration is without its mean over the second around each sample."""
    if axes is None:
        return signal
    length, linear = int(rate_hz) // 2 * 2 + 1, signal.copy()
    for axis in axes:
        padded = np.pad(signal[:, axis], length // 2, mode="edge")
        linear[:, axis] -= np.convolve(padded, np.ones(length, np.float32) / length, "valid")
    return linear


def is_other(samples: list[Sample], contract: Contract, *, taught: bool | None) -> bool:
    """Test whether samples are refused for their gravity."""
    try:
        list(Gravity(contract, taught).same(iter(samples)))
    except DataError:
        return True
    return False


if __name__ == "__main__":
    main()
