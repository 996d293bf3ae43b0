"""The plot of how cost grows. Usage: python -m peers.plot FIGURES.json OUT.svg, where matplotlib is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

mpl.rcParams.update({"svg.hashsalt": "edgecl", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False})


def draw_steps(axes: Any, grown: list[dict[str, Any]], over: str) -> None:
    """Medians of a step on logarithmic axes, a line for each peer."""
    for name in grown[0]["peers"]:
        times = [1e6 * one["peers"][name]["median"] for one in grown]
        axes.plot([one[over] for one in grown], times, marker="o", markersize=2.5, label=name)
    axes.set(xscale="log", yscale="log", xlabel=over)
    axes.set_title("µs a step of 32", loc="left", fontsize=8)
    axes.legend(frameon=False, fontsize=7)


def draw_stream(axes: Any, stream: list[dict[str, float]]) -> None:
    """Resident memory, and µs a latent."""
    latents = [one["latents"] / 1e6 for one in stream]
    axes.plot(latents, [one["resident_bytes"] / 2**20 for one in stream], label="resident memory, MiB")
    axes.plot(latents, [1e6 * one["seconds_each"] for one in stream], label="µs a latent")
    axes.set(ylim=(0, None), xlabel="latents taken in, millions")
    axes.legend(frameon=False, fontsize=7)


def main() -> None:
    growth = json.loads(Path(sys.argv[1]).read_text())["growth"]
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
    draw_steps(axes[0], growth["classes"], "classes")
    draw_steps(axes[1], growth["columns"], "columns")
    draw_stream(axes[2], growth["stream"])
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
