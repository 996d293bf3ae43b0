"""Raw timings of phases as a file, side by side with another's, and as the reference of a board."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecl.bench.board import why_busy
from edgecl.errors import DataError, EdgeclError, SettingError
from edgecl.sources.folders import require_file

SCHEMA_VERSION = 1
QUANTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100}
RESAMPLES = 1000
REFERENCE_BAND = 0.3  # by which the median of a phase may differ from its board's reference


@dataclass(frozen=True)
class Limit:
    """How much worse one quantile of a phase may be: 0.1 is 10 %."""

    quantile: str
    allowed: float

    @staticmethod
    def parse(text: str) -> Limit:
        """Read "p95:10%".

        Raises
        ------
        SettingError
            It is not of that form.

        >>> Limit.parse("p95:10%")
        Limit(quantile='p95', allowed=0.1)
        """
        match = re.fullmatch(r"(\w+):(\d+(?:\.\d+)?)%", text)
        if match is None or match[1] not in QUANTILES:
            raise SettingError(
                f"{text!r} is no limit: write one of {', '.join(QUANTILES)} and a share, such as p95:10%"
            )
        return Limit(match[1], float(match[2]) / 100)


def summary(samples_ms: Sequence[float]) -> dict[str, float]:
    """Quantiles of raw samples in milliseconds, between neighbours by linear interpolation.

    >>> summary([1.0, 3.0])["p50"]
    2.0
    """
    return {name: float(np.percentile(samples_ms, share)) for name, share in QUANTILES.items()}


def read(path: Path) -> dict[str, Any]:
    """Read what a measurement wrote.

    Raises
    ------
    DataError
        It cannot be read, is of another schema version, or lacks what a comparison needs.
    """
    try:
        require_file(path)
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON: give a file that a measurement wrote", remedy="bench") from error
    if not isinstance(told, dict) or "schema_version" not in told:
        raise DataError(f"{path} has no schema_version: give a file that a measurement wrote", remedy="bench")
    if told["schema_version"] != SCHEMA_VERSION:
        raise DataError(
            f"{path} has schema_version {told['schema_version']}, this edgecl reads {SCHEMA_VERSION}: measure again"
        )
    fault = _fault(told)
    if fault:
        raise DataError(f"{path} is damaged: {fault}")
    return told


def _fault(told: Mapping[str, Any]) -> str | None:
    """What a comparison would miss."""
    kinds = {"environment": dict, "workload": dict, "phases": dict, "marks": list}
    for name, kind in kinds.items():
        if not isinstance(told.get(name), kind):
            return f"{name} is missing"
    if not isinstance(told["environment"].get("board"), str):
        return "environment.board is missing"
    for name, phase in told["phases"].items():
        samples = phase.get("samples_ms") if isinstance(phase, dict) else None
        if not isinstance(samples, list) or not samples or not all(_is_time(one) for one in samples):
            return f"phase {name!r} has no samples_ms of finite numbers above 0"
    return None


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def why_not_comparable(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What makes a comparison of two runs say nothing, in sentences."""
    found = []
    boards = [one["environment"]["board"] for one in (before, after)]
    if boards[0] != boards[1]:
        found.append(f"they ran on different boards: {boards[0]}; {boards[1]}")
    differing = [name for name in before["workload"] if before["workload"][name] != after["workload"].get(name)]
    if differing:
        told = ", ".join(f"{name} {before['workload'][name]} and {after['workload'].get(name)}" for name in differing)
        found.append(f"they measured different models: {told}")
    for name, one in (("first", before), ("second", after)):
        found += [f"the {name} run is marked, {mark}" for mark in one["marks"]]
        environment = one["environment"]
        if "before" in environment and "cores" in environment and (busy := why_busy(**_begun(environment))):
            found.append(f"of the {name} run {busy}")
    return found


def _begun(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {"before": environment["before"], "cores": environment["cores"]}


@dataclass(frozen=True)
class Change:
    """One phase in two runs; quantiles in ms, None where a run lacks the phase."""

    phase: str
    before: Mapping[str, float] | None
    after: Mapping[str, float] | None
    samples: tuple[Sequence[float], Sequence[float]] = ((), ())
    """Of both runs, in ms."""

    def interval(self, quantile: str) -> tuple[float, float] | None:
        """Compute the 95 % interval of the ratio, by bootstrap: what other runs of the same two states would give."""
        if not all(self.samples):
            return None
        draws = np.random.default_rng(0)
        quantiles = [
            np.percentile(draws.choice(np.asarray(one), (RESAMPLES, len(one))), QUANTILES[quantile], axis=1)
            for one in self.samples
        ]
        low, high = np.percentile(quantiles[1] / quantiles[0], (2.5, 97.5))
        return float(low), float(high)

    def ratio(self, quantile: str) -> float | None:
        if self.before is None or self.after is None:
            return None
        return self.after[quantile] / self.before[quantile]

    def exceeds(self, limit: Limit) -> bool:
        """Whether it is worse than the limit allows; a phase that the second run lacks cannot be shown not to be."""
        if self.before is None:
            return False
        ratio = self.ratio(limit.quantile)
        return ratio is None or ratio > 1 + limit.allowed


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Every phase of either run, in the order of the first."""
    old, new = before["phases"], after["phases"]

    def quantiles(phases: Mapping[str, Any], name: str) -> dict[str, float] | None:
        return summary(phases[name]["samples_ms"]) if name in phases else None

    def samples(name: str) -> tuple[Sequence[float], Sequence[float]]:
        before, after = ((phases.get(name) or {"samples_ms": ()})["samples_ms"] for phases in (old, new))
        return before, after

    return [
        Change(name, quantiles(old, name), quantiles(new, name), samples(name)) for name in dict.fromkeys([*old, *new])
    ]


def reference_path(folder: Path, board: str) -> Path:
    """The reference of a board.

    >>> reference_path(Path("reference"), "Raspberry Pi 4 Model B Rev 1.4").name
    'raspberry_pi_4_model_b_rev_1_4.csv'
    """
    return folder / (re.sub(r"[^a-z0-9]+", "_", board.lower()).strip("_") + ".csv")


def write_reference(folder: Path, run: Mapping[str, Any]) -> Path:
    """Write the quantiles of a run as the reference of its board.

    Raises
    ------
    EdgeclError
        The run is not of a real board, or is marked. Nothing is written.
    """
    environment = run["environment"]
    if not environment["is_real_board"] or run["marks"]:
        why = "; ".join(run["marks"]) or f"{environment['board']} is no real board"
        raise EdgeclError(f"no reference is written: {why}")
    path = reference_path(folder, environment["board"])
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["board", "edgecl", "kernels", "workload", "phase", "samples", *(f"{q}_ms" for q in QUANTILES)])
        about = (environment["board"], environment["edgecl"], environment["kernels"], workload_key(run))
        for name, phase in run["phases"].items():
            figures = [f"{phase[q]:.4f}" for q in QUANTILES]
            rows.writerow([*about, name, len(phase["samples_ms"]), *figures])
    return path


def beyond_reference(path: Path, run: Mapping[str, Any], *, band: float = REFERENCE_BAND) -> list[str]:
    """Phases whose median is not within the band around that of the reference, in sentences.

    Raises
    ------
    DataError
        The reference cannot be read, or is of another workload.
    """
    try:
        require_file(path)
        with path.open(newline="", encoding="utf-8") as file:
            rows = {row["phase"]: (row["workload"], float(row["p50_ms"])) for row in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no reference: {error!r}", remedy="reference") from error
    found = []
    for name, (workload, wanted) in rows.items():
        if workload != workload_key(run):
            raise DataError(f"{path} is of another model or extractor: measure it again", remedy="reference")
        if name not in run["phases"]:
            found.append(f"{name}: not measured")
        elif abs(run["phases"][name]["p50"] / wanted - 1) > band:
            found.append(f"{name}: {run['phases'][name]['p50']:.2f} ms, the reference has {wanted:.2f}")
    return found


def workload_key(run: Mapping[str, Any]) -> str:
    """What was measured, as one text."""
    return " ".join(f"{name}={value}" for name, value in run["workload"].items())
