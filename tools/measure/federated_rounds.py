"""Rounds of devices, some of which are late, under masks, or of one matrix a device: run by tools/federated_table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.federation.secure import Agreement, levels
from edgecl.model.statistics import ClassStatistics
from edgecl.sharing.plans import Plan, Planned
from edgecl.sharing.share_file import Shape, decode, encode, encode_plan
from measure.cases import Case
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

DEVICES, ROUNDS = 10, 6
SEED = 0


def irreversible_row(found: Sequence[Case], count: int) -> dict[str, Any]:
    """Return what one matrix a device costs and answers, as the files of it are read, against plain files."""
    rows = []
    for case in found:
        devices = devices_of(case, count)
        parts = [statistics_of(one) for one in devices]
        dimension = next(iter(parts[0].values())).dimension
        shape = Shape("0" * 64, dimension, dimension, 0, 0, 0)
        counts = [{label: one.count for label, one in part.items()} for part in parts]
        plan = Plan({f"{n:02d}": Planned(f"device {n}", one) for n, one in enumerate(counts)})
        shares = [shared(f"{n:02d}", part) for n, part in enumerate(parts)]
        files = [encode(one, shape, plan=plan) for one in shares]
        halves = [encode(one, shape, plan=plan, half=True) for one in shares]
        plain = [encode(one, shape, compact=True) for one in shares]
        heads = [head_of(case, _read_total(some)) for some in (files, halves, plain)]
        heads.append(head_of(case, statistics_of(joined(devices))))
        found_answers = [answers(case, one) for one in heads]
        rows.append(
            (
                *(float(np.mean(list(map(len, some)))) / 1e3 for some in (plain, files, halves)),
                len(encode_plan(plan, shape)) / 1e3,
                *(accuracy(case, one) for one in found_answers),
                *(100 * float(np.mean(one == found_answers[-1])) for one in found_answers[:2]),
                float(np.abs(heads[0].weights - heads[-1].weights).max() / np.abs(heads[-1].weights).max()),
            )
        )
    mean = np.mean(rows, axis=0)
    sizes = ("plain, KB", "irreversible, KB", "irreversible, float16, KB", "plan, KB")
    shown = ("irreversible %", "irreversible, float16 %", "plain %", "central %")
    same = ("irreversible: same answers as central %", "float16: same answers %")
    return {
        "set": found[0].data.name,
        "devices": count,
        **{name: f"{value:.0f}" for name, value in zip(sizes, mean, strict=False)},
        **{name: f"{value:.1f}" for name, value in zip(shown, mean[4:], strict=False)},
        **{name: f"{value:.2f}" for name, value in zip(same, mean[8:], strict=False)},
        "largest difference of weights": f"{max(row[-1] for row in rows):.0e}",
    }


def _read_total(files: Sequence[bytes]) -> dict[str, ClassStatistics]:
    """Return the sum of what files have."""
    return total([decode(one, source="a device").share.statistics for one in files])


def straggler_rows(found: Sequence[Case]) -> list[dict[str, Any]]:
    """Return accuracy round by round: devices learn a part before each, half of them reply, and all in the last.

    What a device handed in before counts, as at the server, which keeps the newest share of each.
    """
    shown = [np.array(one) for one in zip(*map(_rounds, found), strict=True)]
    return [
        {
            "set": found[0].data.name,
            "round": number + 1,
            "reply": f"{DEVICES if number == ROUNDS - 1 else DEVICES // 2} of {DEVICES}",
            **dict(
                zip(
                    ("those who reply %", "with what others handed in before %", "all that is learnt so far %"),
                    (f"{one:.1f}" for one in rows.mean(axis=0)),
                    strict=True,
                )
            ),
        }
        for number, rows in enumerate(shown)
    ]


def _rounds(case: Case) -> list[tuple[float, float, float]]:
    draw, devices = np.random.default_rng(SEED), devices_of(case, DEVICES)
    parts = [_parts(one, draw) for one in devices]
    newest: dict[int, Statistics] = {}
    figures = []
    for number in range(ROUNDS):
        learnt = [joined(some[: number + 1]) for some in parts]
        late = number < ROUNDS - 1
        replied = draw.permutation(DEVICES)[: DEVICES // 2] if late else np.arange(DEVICES)
        now = {int(one): statistics_of(learnt[one]) for one in replied}
        newest.update(now)
        found = (list(now.values()), list(newest.values()), [statistics_of(one) for one in learnt])
        figures.append((score(case, total(found[0])), score(case, total(found[1])), score(case, total(found[2]))))
    return figures


def _parts(device: Device, draw: np.random.Generator) -> list[Device]:
    """Cut what a device has into what it learns before each round; before the last it learns nothing."""
    which = {label: draw.integers(ROUNDS - 1, size=len(rows)) for label, rows in device.items()}
    return [
        {label: rows[which[label] == part] for label, rows in device.items() if (which[label] == part).any()}
        for part in range(ROUNDS)
    ]


def secure_row(found: Sequence[Case], count: int) -> dict[str, Any]:
    """Return a sum of quantised vectors, as SecAgg+ brings it, against the plain sum; masks cancel and are left out."""
    rows = []
    for number, case in enumerate(found):
        parts = [statistics_of(one) for one in devices_of(case, count)]
        bound = max(one.count for part in parts for one in part.values())
        dimension = next(iter(parts[0].values())).dimension
        agreed, plain = Agreement(tuple(sorted(case.classes)), dimension, bound), total(parts)
        vectors, fine = [agreed.vector(one) for one in parts], levels(count)
        wanted, draw = np.sum(vectors, axis=0), np.random.default_rng(number)
        summed = np.sum([_quantised(one, fine, draw) for one in vectors], axis=0) * (2 / fine) - count
        one, other = (answers(case, head_of(case, some)) for some in (agreed.statistics(summed), plain))
        rows.append(
            (
                float(np.abs(summed - wanted).max() / np.abs(wanted).max()),
                100 * float(np.mean(one == other)),
                accuracy(case, one),
                accuracy(case, other),
                4 * agreed.length / 1e3,
            )
        )
    mean = np.mean(rows, axis=0)
    return {
        "set": found[0].data.name,
        "devices": count,
        "levels": f"2^{levels(count).bit_length() - 1}",
        "largest error of an entry, over the largest": f"{max(row[0] for row in rows):.0e}",
        "same answers as of the plain sum %": f"{mean[1]:.2f}",
        "secure %": f"{mean[2]:.1f}",
        "plain %": f"{mean[3]:.1f}",
        "KB up a device": f"{mean[4]:.0f}",
    }


def _quantised(vector: NDArray[np.float64], fine: int, draw: np.random.Generator) -> NDArray[np.float64]:
    """Return entries from -1 to 1 as whole levels, rounded at random as Flower rounds them."""
    scaled = (vector + 1) * (fine / 2)
    return np.asarray(np.floor(scaled + draw.random(scaled.shape)), np.float64)
