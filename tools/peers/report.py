"""The tables of tools/bench_peers, from its figures; standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from report.tables import titled_markdown, titled_plain

Figures = Mapping[str, Any]
Rows = list[list[str]]

OURS, C, PEAKS = "edgecl", "hand-fused C", ("peak arithmetic", "peak traffic")
AVALANCHE = "Avalanche"
LIMIT = "limit of this machine"
TITLES = {
    "fisher": "Fisher diagonal of 1000 rows",
    "herding": "Herding, 20 of 500 rows",
    "scatter": "Scatter of a row, float32, in blocks of 32",
    "scatter-float64": "Scatter of a row, float64, in blocks of 32",
}
ON_DEVICE = ("numpy",)  # peers that need nothing but what a device has

# targets
OVER_AVALANCHE = {"voice": 100, "voice-concat": 14, "text": 14, "fitness": 14}
OVER_NEXT = 1.6  # of all peers
OVER_C, STRETCH_OVER_C = 1.2, 1.1
OVER_NUMPY = 1.3
LESSON_MS, LESSON_MB, IN_PROCESS_MS = 350, 90, 200
FLAT_BYTES = 1 << 20  # that resident memory may move between the first tenth of a stream and its end


def limit(one: Figures) -> float:
    """Seconds that a unit takes at least: its operations at the peak, or its bytes at the peak."""
    arithmetic, traffic = (one["peers"][name]["minimum"] for name in PEAKS)
    return float(max(one["operations"] * arithmetic, one["traffic"] * traffic))


def has_limit(one: Figures) -> bool:
    return all(name in one["peers"] for name in PEAKS)


def microseconds(seconds: float) -> str:
    value = 1e6 * seconds
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def times(cases: list[Figures]) -> Rows:
    """A row for each peer, a column for each workload: median / minimum in µs, and how many times ours."""
    rows = [["µs: median / least, × edgecl", *(one["workload"] for one in cases)]]
    names = dict.fromkeys(name for one in cases for name in one["peers"] if name not in PEAKS)
    rows += [[name, *(cell(one["peers"].get(name), name) for one in cases)] for name in names]
    if all(map(has_limit, cases)):
        rows.append([f"{LIMIT}, × edgecl", *(_limit_cell(one) for one in cases)])
    return rows


def cell(found: Figures | None, name: str) -> str:
    if found is None:
        return "–"
    text = f"{microseconds(found['median'])} / {microseconds(found['minimum'])}"
    return text if name == OURS else f"{text}, {found['ratio']:.3g}×"


def _limit_cell(one: Figures) -> str:
    least = limit(one)
    return f"{microseconds(least)}, {least / one['peers'][OURS]['minimum']:.2f}×"


def peak_rows(figures: Figures) -> Rows:
    """Return the peaks of the machine in the same run."""
    rows = [["measured in the same rounds", *(one["workload"] for one in _steps(figures, 32))]]
    for name, unit in zip(PEAKS, ("GFLOP/s", "GB/s of an update of this head"), strict=True):
        cells = [f"{1e-9 / one['peers'][name]['minimum']:.0f}" for one in _steps(figures, 32) if has_limit(one)]
        rows += [[f"{name}, {unit}", *cells]] if cells else []
    return rows


def cold_rows(figures: Figures) -> Rows:
    rows = [["whole process, one step (D=384, C=150)", "wall ms: median / least", "peak RSS MB"]]
    for name, one in figures["cold"].items():
        rows.append([name, f"{1e3 * one['median']:.0f} / {1e3 * one['minimum']:.0f}", f"{one['peak_bytes'] / 1e6:.0f}"])
    return rows


def growth_rows(figures: Figures, over: str) -> Rows:
    grown = figures["growth"][over]
    rows = [[f"µs a step of 32, by {over}", *(str(one[over]) for one in grown)]]
    names = grown[0]["peers"]
    return rows + [[name, *(microseconds(one["peers"][name]["median"]) for one in grown)] for name in names]


def stream_rows(figures: Figures) -> Rows:
    points = figures["growth"]["stream"]
    chosen = [points[0], *points[len(points) // 4 - 1 :: max(len(points) // 4, 1)]]
    return [
        ["latents taken in", *(f"{one['latents']:,}" for one in chosen)],
        ["resident MB", *(f"{one['resident_bytes'] / 1e6:.1f}" for one in chosen)],
        ["µs a latent", *(microseconds(one["seconds_each"]) for one in chosen)],
    ]


def target_rows(figures: Figures) -> Rows:
    """Return the targets, and whether they are met."""
    rows = [["what", "target", "measured", "met"]]
    for one in _steps(figures, 32):
        rows += list(_step_targets(one))
    for task in TITLES:
        for one in _of(figures, task):
            rows += [_on_device_target(task, one)]
    rows += list(_lesson_targets(figures["lesson"]))
    points = figures["growth"]["stream"]
    moved = points[-1]["resident_bytes"] - points[max(len(points) // 10 - 1, 0)]["resident_bytes"]
    length = f"{points[-1]['latents']:,} latents"
    rows.append(_row(f"memory over {length}", "flat: ≤ 1 MiB more", f"{moved / 2**20:+.2f} MiB", moved <= FLAT_BYTES))
    return rows


def _step_targets(one: Figures) -> Iterable[list[str]]:
    title, peers = f"step of 32, {one['workload']}", one["peers"]
    if AVALANCHE in peers:
        wanted, found = OVER_AVALANCHE[one["workload"]], peers[AVALANCHE]["ratio"]
        yield _row(title, f"≥ {wanted} × Avalanche", f"{found:.1f} ×", found >= wanted)
    others = {name: found["ratio"] for name, found in peers.items() if name not in (OURS, C, *PEAKS)}
    nearest = min(others, key=lambda name: others[name])
    found = others[nearest]
    yield _row(title, f"≥ {OVER_NEXT} × the next peer", f"{found:.2f} × {nearest}", found >= OVER_NEXT)
    if C in peers:
        over = 1 / peers[C]["ratio"]
        yield _row(title, f"≤ {OVER_C} × C (stretch {STRETCH_OVER_C})", f"{over:.2f} ×", over <= OVER_C)


def _on_device_target(task: str, one: Figures) -> list[str]:
    found = min(one["peers"][name]["ratio"] for name in ON_DEVICE)
    return _row(f"{task}, {one['workload']}", f"≥ {OVER_NUMPY} × numpy", f"{found:.2f} ×", found >= OVER_NUMPY)


def _lesson_targets(lesson: Figures) -> Iterable[list[str]]:
    if "missing" in lesson:
        yield ["five clips into 29 words", "", f"not measured: {lesson['missing']}", ""]
        return
    title = f"five clips into {lesson['words']} words"
    for what, wanted, found, unit in (
        ("whole process", LESSON_MS, 1e3 * lesson["median"], "ms"),
        ("in process", IN_PROCESS_MS, 1e3 * lesson["in_process"], "ms"),
        ("peak RSS", LESSON_MB, lesson["peak_bytes"] / 1e6, "MB"),
    ):
        yield _row(f"{title}, {what}", f"≤ {wanted} {unit}", f"{found:.0f} {unit}", found <= wanted)


def _row(what: str, target: str, measured: str, met: bool) -> list[str]:
    return [what, target, measured, "yes" if met else "NO"]


def _of(figures: Figures, task: str) -> list[Figures]:
    return [one for one in figures["cases"] if one["task"] == task]


def _steps(figures: Figures, batch: int) -> list[Figures]:
    return [one for one in _of(figures, "step") if one["batch"] == batch]


def tables(figures: Figures) -> dict[str, Rows]:
    """Return every table by its title."""
    made = {"Numbers to reach": target_rows(figures), "Peaks": peak_rows(figures)}
    for batch in dict.fromkeys(one["batch"] for one in _of(figures, "step")):
        made[f"Update step, B={batch}"] = times(_steps(figures, batch))
    made |= {title: times(_of(figures, task)) for task, title in TITLES.items()}
    made["Cold start"] = cold_rows(figures)
    made["Growth with classes"] = growth_rows(figures, "classes")
    made["Growth with columns"] = growth_rows(figures, "columns")
    made["A long stream"] = stream_rows(figures)
    return made


def notes(figures: Figures) -> str:
    """Return where and with what it was measured, and who is missing."""
    about = figures["environment"]
    width = f", vectors of {about['vector_bits']} bits" if about["vector_bits"] else ""
    text = (
        f"{about['processor']}, one thread, {about['when']}; load before {about['load']}, after {about['load_after']}. "
        f"edgecl: {about['kernels']}{width}. C: gcc {about['flags']}. OpenBLAS of numpy: {about['blas'] or 'none'}."
    )
    return text + "".join(f" Without {name}: {reason}." for name, reason in figures["missing"].items())


def as_text(figures: Figures) -> str:
    """Return all tables for a terminal."""
    return f"{titled_plain(_measured(figures))}\n{notes(figures)}"


def as_markdown(figures: Figures) -> str:
    """Return all tables for the results file."""
    return f"{notes(figures)}\n\n{titled_markdown(_measured(figures))}"


def _measured(figures: Figures) -> dict[str, Rows]:
    """Return the tables that have more than a header."""
    return {title: rows for title, rows in tables(figures).items() if len(rows) > 1}
