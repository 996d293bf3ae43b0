"""The curves of tools/listen_table. Usage, where matplotlib is: python -m report.listen_plot FIGURES.json OUT.svg."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

mpl.rcParams.update({"svg.hashsalt": "edgecl", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False})
STYLES = {5: "-", 10: "--"}  # by clips


def draw(axes: Any, figures: dict[str, Any], level: int) -> None:
    """Misses against false accepts an hour, a line for each learner and number of clips."""
    for colour, learner in enumerate(dict.fromkeys(one["learner"] for one in figures["cases"])):
        for shots, style in STYLES.items():
            of = [
                one
                for one in figures["cases"]
                if (one["learner"], one["shots"], one["snr_db"]) == (learner, shots, level)
            ]
            points = [(rate, _mean(of, f"{rate:g}", "misses")) for rate in figures["rates"]]
            axes.plot(*zip(*points, strict=True), style, color=f"C{colour}", label=f"{learner}, {shots} clips")
            if learner == "edgecl":
                rate = _mean(of, "automatic", "false_accepts") / figures["hours"] / 100
                axes.plot(
                    [rate],
                    [_mean(of, "automatic", "misses")],
                    "o",
                    color=f"C{colour}",
                    markersize=3 if shots == 5 else 5,
                )
    axes.set(xscale="log", ylim=(0, None), xlabel="false accepts an hour", ylabel="misses, %")
    axes.set_title(f"{level} dB (dots: the automatic threshold)", loc="left", fontsize=8)


def _mean(cases: list[dict[str, Any]], at: str, value: str) -> float:
    chosen: list[float] = [100 * one[value] for one in cases if one["at"] == at]
    return sum(chosen) / len(chosen)


def main() -> None:
    figures = json.loads(Path(sys.argv[1]).read_text())
    figures["cases"] = [one for one in figures["cases"] if one["words"] == "long"]
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained", sharey=True)
    for one, level in zip(axes, (20, 10), strict=True):
        draw(one, figures, level)
    axes[0].legend(frameon=False, fontsize=6)
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
