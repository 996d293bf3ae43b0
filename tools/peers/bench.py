"""The run of tools/bench_peers: every case side by side, whole processes, growth. Usage: bench.py JOB OUTPUT."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from edgecl_kernels import implementation
from edgecl_kernels._identity import PROCESSORS

from peers import growth, in_c, in_numpy, whole
from peers.rounds import BLAS, Process, Team, pin, side_by_side, summary, workers
from peers.workloads import BATCHES, SIZES, TASKS, Case

ROUNDS, QUICK_ROUNDS = 21, 5
WHOLE_ROUNDS, QUICK_WHOLE_ROUNDS = 11, 3
LATENTS, QUICK_LATENTS = 1_000_000, 100_000
AVX2_BLAS = "Haswell"  # OpenBLAS's kernels for AVX2
COLD = {  # who takes part in cold starts, and the module that is loaded
    "edgecl": "in_edgecl",
    "hand-fused C": "in_c",
    "numpy": "in_numpy",
    "torch closed form": "in_torch",
    "Avalanche without its loader": "in_avalanche",
    "scikit-learn partial_fit": "in_sklearn",
    "River SoftmaxRegression": "in_river",
    "ONNX Runtime training": "in_onnxruntime",
}


def main() -> None:
    job: dict[str, Any] = json.loads(sys.argv[1])
    started = time.monotonic()
    scratch, quick, missing = Path(job["scratch"]), job["quick"], dict(job["missing"])
    about = surroundings()
    teams = make_teams(job, scratch, missing)
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with workers(teams) as processes:
        figures: dict[str, Any] = {
            "schema_version": 1,
            "environment": about,
            "missing": missing,
            "rounds": rounds,
            "cases": cases(processes, rounds=rounds, quick=quick),
            "growth": growth.steps(processes, rounds=rounds, quick=quick),
        }
    figures["growth"]["stream"] = growth.stream(teams[0], latents=QUICK_LATENTS if quick else LATENTS)
    figures |= whole_processes(teams, scratch, quick=quick)
    about["load_after"] = load()
    figures["seconds"] = time.monotonic() - started
    Path(sys.argv[2]).write_text(json.dumps(figures))


def make_teams(job: dict[str, Any], scratch: Path, missing: dict[str, str]) -> list[Team]:
    """Ours first; without gcc, without C."""
    reason = in_c.compile_library(scratch, compiled_for())
    if reason:
        missing["hand-fused C"] = missing["the roofline"] = reason
    variables = (*job["variables"].items(), (in_c.LIBRARY, str(scratch / "head.so")))
    own = ("in_edgecl", *(() if reason else ("in_c",)), "in_numpy")
    others = [Team(Path(python), tuple(modules)) for python, modules in job["others"]]
    if in_numpy.blas_kernel() != AVX2_BLAS and compiled_for() == "x86-64-v3":
        limited = (*job["variables"].items(), (BLAS, AVX2_BLAS))
        others.append(Team(Path(job["python"]), ("in_numpy",), limited))
    return [Team(Path(job["python"]), own, variables), *others]


def compiled_for() -> str:
    """The processor that the kernels in use were compiled for; empty where numba compiles them."""
    name = implementation().detail.rpartition(" ")[2]
    return name if name in PROCESSORS else ""


def cases(processes: dict[str, Process], *, rounds: int, quick: bool) -> list[dict[str, Any]]:
    """Every task on every workload; steps in every size of batch."""
    out = []
    for task, about in TASKS.items():
        for workload, (dimension, classes) in SIZES.items():
            for batch in BATCHES if task == "step" and not quick else (32,):
                case = Case(dimension, classes, batch)
                times = side_by_side(processes, task, (dimension, classes, batch), rounds=rounds)
                out.append(
                    {
                        "task": task,
                        "workload": workload,
                        "dimension": dimension,
                        "classes": classes,
                        "batch": batch,
                        "unit": about.unit,
                        "operations": about.operations(case),
                        "traffic": about.traffic(case),
                        "peers": summary(times),
                        "seconds": times,
                    }
                )
    return out


def whole_processes(teams: list[Team], scratch: Path, *, quick: bool) -> dict[str, Any]:
    rounds = QUICK_WHOLE_ROUNDS if quick else WHOLE_ROUNDS
    free = [team for team in teams if BLAS not in dict(team.variables)]
    taking_part = [(name, module, team) for name, module in COLD.items() for team in free if module in team.modules]
    edgecl = [str(teams[0].python), "-m", "edgecl.cli"]
    return {
        "lesson": whole.lesson(edgecl, scratch, variables=dict(teams[0].variables), rounds=rounds),
        "cold": whole.cold_starts(taking_part, rounds=rounds),
    }


def surroundings() -> dict[str, Any]:
    found = implementation()
    return {
        "processor": processor(),
        "python": sys.version.split()[0],
        "core": pin(),
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "load": load(),
        "kernels": found.detail,
        "vector_bits": 32 * PROCESSORS[compiled_for()].lanes if compiled_for() else None,
        "blas": in_numpy.blas_kernel(),
        "flags": " ".join(in_c.flags(compiled_for())),
    }


def processor() -> str:
    """Name and vector instructions, as Linux has them."""
    lines = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    told = {name.strip(): value.strip() for name, value in lines.items()}
    flags = told.get("flags", "").split()
    best = next((one for one in ("avx512f", "avx2", "sse4_2") if one in flags), "")
    return f"{told.get('model name', 'unknown processor')} {best}".strip()


def load() -> str:
    return f"{os.getloadavg()[0]:.2f}"


if __name__ == "__main__":
    main()
