"""What devices gain by exchanging statistics: run by tools/federated_table where edgecl is installed.

Devices get speakers or subjects in turn; those who are tested are at no device. Statistics of rows as a store keeps
them (int8), sums and screens of `edgecl.sharing`, the closed-form head. Nothing is tuned but the rate of the averaged
peers, which is chosen by their loss on what was taught.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np

from common.splits import SETS, data_root
from edgecl.model.shares import MEDIAN, pooled
from edgecl.model.statistics import ClassStatistics
from edgecl.sharing.noise import Noise, noisy
from edgecl.sharing.screening import CAP, capped, screened
from edgecl.sharing.share_file import Shape, encode
from measure.cases import Case, cases, note
from measure.federated_averaging import FLOWER, averaged
from measure.federated_gate import gate_rows
from measure.federated_parts import (
    Device,
    Statistics,
    accuracy,
    answers,
    devices_of,
    head_of,
    joined,
    score,
    shared,
    statistics_of,
    total,
)
from measure.federated_rounds import irreversible_row, secure_row, straggler_rows

DEVICES = {"speech_commands": (5, 10, 20, 100), "hapt_uci_har": (5, 10, 20)}
SPEECH = "speech_commands"
PARTS = ("merged", "stragglers", "secure", "irreversible", "gate", "poison", "privacy", "averaging", "movement")
OF_BOTH = ("irreversible", "gate")  # measured on either set
HOSTILE = 10  # devices, of which one to three are
EPSILONS = (16.0, 8.0, 4.0)
FORMS = {"plain": {}, "float16": {"half": True}, "compact": {"compact": True}, "both": {"half": True, "compact": True}}


def merged_row(found: Sequence[Case], count: int) -> dict[str, Any]:
    """Compare merged, central and alone over the splits."""
    rows = []
    for case in found:
        devices = devices_of(case, count)
        parts = [statistics_of(one) for one in devices]
        started = time.process_time()
        merged = total(parts)
        cpu = 1e3 * (time.process_time() - started)
        one, other = head_of(case, merged), head_of(case, statistics_of(joined(devices)))
        half = np.arange(len(parts)) % 2 == 0
        replied = total([part for part, here in zip(parts, half, strict=True) if here])
        rows.append(
            (
                accuracy(case, answers(case, one)),
                accuracy(case, answers(case, other)),
                float(np.mean([score(case, part) for part in parts if len(part) > 1] or [np.nan])),
                100 * float(np.mean(answers(case, one) == answers(case, other))),
                float(np.abs(one.weights - other.weights).max() / np.abs(other.weights).max()),
                score(case, replied),
                cpu,
            )
        )
    mean = np.mean(rows, axis=0)
    return {
        "set": found[0].data.name,
        "devices": count,
        "merged %": f"{mean[0]:.1f}",
        "central %": f"{mean[1]:.1f}",
        "a device alone %": f"{mean[2]:.1f}",
        "same answers %": f"{mean[3]:.2f}",
        "largest difference of weights": f"{max(row[4] for row in rows):.0e}",
        "half of them reply %": f"{mean[5]:.1f}",
        "merging, CPU ms": f"{mean[6]:.0f}",
    }


def size_row(case: Case, count: int) -> dict[str, Any]:
    """Return the bytes of a device's file in each form, and the share of classes that it gives away."""
    devices = [statistics_of(one) for one in devices_of(case, count)]
    counts = np.array([one.count for part in devices for one in part.values()])
    dimension = next(iter(devices[0].values())).dimension
    shape = Shape("0" * 64, dimension, dimension, 0, 0, 0)
    shares = [shared(str(number), part) for number, part in enumerate(devices)]
    sizes = {
        f"{name}, KB": f"{np.mean([len(encode(one, shape, **how)) for one in shares]) / 1e3:.0f}"  # type: ignore[arg-type]
        for name, how in FORMS.items()
    }
    return {
        "set": case.data.name,
        "devices": count,
        **sizes,
        "classes of one sample %": f"{100 * np.mean(counts == 1):.0f}",
        "of two %": f"{100 * np.mean(counts == 2):.0f}",
        "below D %": f"{100 * np.mean(counts < dimension):.0f}",
    }


def privacy_rows(found: Sequence[Case]) -> list[dict[str, Any]]:
    """Return what noise costs: on every device's file, and once on the sum."""
    rows = []
    for epsilon in (None, *EPSILONS):
        local, central = [], []
        for case in found:
            parts = [statistics_of(one) for one in devices_of(case, HOSTILE)]
            whole = total(parts)
            if epsilon is None:
                local.append(score(case, whole))
                central.append(local[-1])
                continue
            budget = Noise(epsilon)
            noised = [noisy(part, budget, seed=seed, is_unit=True) for seed, part in enumerate(parts)]
            local.append(score(case, total(noised)))
            central.append(score(case, noisy(whole, budget, seed=0, is_unit=True)))
        rows.append(
            {
                "ε (δ = 1e-5, one sample)": "no noise" if epsilon is None else f"{epsilon:g}",
                "σ": "" if epsilon is None else f"{Noise(epsilon).sigma:.2f}",
                "noise on every file %": f"{np.mean(local):.1f}",
                "noise once, on the sum %": f"{np.mean(central):.1f}",
            }
        )
    return rows


def turned(device: Device, attack: str, seed: int) -> dict[str, ClassStatistics]:
    """Return what a hostile device shares."""
    honest, draw = statistics_of(device), np.random.default_rng(seed)
    labels = sorted(honest)
    match attack:
        case "shifted labels" | "shifted, counts x 1000":
            times = 1000 if attack.endswith("1000") else 1
            moved = {label: honest[labels[(at + 1) % len(labels)]] for at, label in enumerate(labels)}
            return {label: times_of(one, times) for label, one in moved.items()}
        case "noise":
            made = {label: draw.standard_normal((20, rows.shape[1])) for label, rows in device.items()}
            unit = {label: rows / np.linalg.norm(rows, axis=1, keepdims=True) for label, rows in made.items()}
            return statistics_of({label: rows.astype(np.float32) for label, rows in unit.items()})
        case "backdoored word":
            return {**honest, labels[0]: times_of(honest[labels[1]], 50)}
    raise ValueError(attack)


def times_of(one: ClassStatistics, times: int) -> ClassStatistics:
    """Return statistics that claim so many times the samples."""
    return ClassStatistics(one.count * times, one.mean, one.scatter * np.float32(times))


def poison_rows(found: Sequence[Case]) -> list[dict[str, Any]]:
    """Return accuracy with hostile devices, by what is done about them."""
    rows = []
    for attack in ("shifted labels", "shifted, counts x 1000", "noise", "backdoored word"):
        for bad in (1, 2, 3):
            results = [_defended(case, attack, bad) for case in found]
            mean = {name: float(np.mean([one[name] for one in results])) for name in results[0]}
            rows.append(
                {"attack": attack, "hostile of 10": bad, **{name: f"{value:.1f}" for name, value in mean.items()}}
            )
    return rows


def _defended(case: Case, attack: str, bad: int) -> dict[str, float]:
    devices = devices_of(case, HOSTILE)
    shares = {
        f"{n:02d}": shared(f"{n:02d}", turned(one, attack, n) if n < bad else statistics_of(one))
        for n, one in enumerate(devices)
    }
    floor = 0.1 if case.data.modality == "imu" else 0.03
    kept = screened(shares, {}, floor=floor).kept
    names = [f"{n:02d}" for n in range(len(devices))]
    return {
        "nothing done %": score(case, total([one.statistics for one in shares.values()])),
        "screened %": score(case, total([one.statistics for one in kept.values()])),
        "screened and capped %": score(case, total([one.statistics for one in capped(kept, {}, times=CAP).values()])),
        "screened, median %": score(case, _median([one.statistics for one in kept.values()])),
        "hostile left out": float(sum(name not in kept for name in names[:bad])),
        "honest left out": float(sum(name not in kept for name in names[bad:])),
    }


def _median(parts: Sequence[Statistics]) -> dict[str, ClassStatistics]:
    found = {}
    for label in sorted({label for one in parts for label in one}):
        held = [one[label] for one in parts if label in one]
        found[label] = pooled(held, np.empty(len(held[0].scatter)), combine=MEDIAN)
    return found


def averaging_rows(found: Sequence[Case], count: int) -> list[dict[str, Any]]:
    """Return rounds and bytes of averaged peers beside one exchange of statistics, on the same latents."""
    merged = float(np.mean([score(case, total([statistics_of(d) for d in devices_of(case, count)])) for case in found]))
    shape = Shape("0" * 64, found[0].latents.x.shape[1], found[0].latents.x.shape[1], 0, 0, 0)
    parts = [statistics_of(one) for one in devices_of(found[0], count)]
    size = float(np.mean([len(encode(shared("a", one), shape, half=True, compact=True)) for one in parts]))
    rows = [_row_of("statistics, summed once", count, merged, 1, 1, 1, size)]
    for name, proximal in (("FedAvg", 0.0), ("FedProx, μ = 0.1", 0.1)):
        curves = []
        for case in found:
            devices, tested = devices_of(case, count), case.latents.x[case.tested()]
            predicted = averaged(devices, case.classes, tested, proximal=proximal)
            curves.append([accuracy(case, np.array(case.classes)[one]) for one in predicted])
        mean = np.mean(curves, axis=0)
        near = [int(np.argmax(mean >= merged - gap)) + 1 if mean.max() >= merged - gap else 0 for gap in (1, 5)]
        sent = 4 * len(found[0].classes) * (found[0].latents.x.shape[1] + 1)
        whose = f"Flower {FLOWER}: {name}" if FLOWER else name
        rows.append(_row_of(whose, count, float(mean[-1]), len(mean), near[0], near[1], sent))
    return rows


def _row_of(name: str, count: int, found: float, rounds: int, near: int, nearer: int, sent: float) -> dict[str, Any]:
    return {
        "way": name,
        "devices": count,
        "rounds": rounds,
        "%": f"{found:.1f}",
        "rounds to 1 point below the sum": near or "not reached",
        "to 5 points below": nearer or "not reached",
        "KB up a device and round": f"{sent / 1e3:.0f}",
    }


def rows_of(found: Sequence[Case], part: str, used: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    """Return the tables of a part, for these numbers of devices where it has several."""
    match part:
        case "merged" | "movement":
            rows = [merged_row(found, count) for count in used]
            return {"merged": rows, "size": [size_row(found[0], count) for count in used]}
        case "gate":
            return {part: gate_rows(found)}
        case "irreversible":
            return {part: [irreversible_row(found, count) for count in used]}
        case "stragglers":
            return {part: straggler_rows(found)}
        case "secure":
            return {part: [secure_row(found, count) for count in used]}
        case "privacy":
            return {part: privacy_rows(found)}
        case "poison":
            return {part: poison_rows(found)}
    return {"averaging": averaging_rows(found, HOSTILE)}


def together(before: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of earlier runs with these in place of those of the same set."""
    sets = {one.get("set") for one in rows}
    found = [one for one in before if one.get("set") not in sets] + list(rows)
    return sorted(found, key=lambda one: list(DEVICES).index(one["set"]) if "set" in one else 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[dict[str, Any]]] = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}

    def keep(part: str, made: dict[str, list[dict[str, Any]]]) -> None:
        note(f"{part}: {time.process_time():.0f} s of CPU so far")
        tables.update({name: together(tables.get(name, []), rows) for name, rows in made.items()})
        arguments.json.write_text(json.dumps(tables, indent=1, ensure_ascii=False))

    with tempfile.TemporaryDirectory() as folder:
        places = {"root": data_root(), "cache": arguments.cache, "scratch": Path(folder)}
        for name, counts in DEVICES.items():
            parts = [one for one in arguments.only if one in OF_BOTH or (one == "movement") == (name != SPEECH)]
            if not parts:
                continue
            found = cases(SETS[name], **places, quick=arguments.quick)
            used = counts[:2] if arguments.quick else counts
            for part in parts:
                keep(part, rows_of(found, part, used))
    return 0


if __name__ == "__main__":
    sys.exit(main())
