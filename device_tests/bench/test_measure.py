"""`edgecl bench`: what it measures, what it leaves alone, what it refuses."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecl.bench import board, results
from edgecl.bench.measure import measure
from edgecl.cli.options import EDGECL
from edgecl.errors import ContractError, EdgeclError
from edgecl.extractors.opening import builtin_extractor
from edgecl.learner import Learner
from edgecl.sources.samples import Sample

from ..support.commands import Result, clips, edgecl, tree, voice_extractor

REFERENCES = Path(__file__).parents[1] / "reference"
WHOLE = "process: learn", "process: predict"
BOARD = "Raspberry Pi Zero 2 W Rev 1.0"


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voice_extractor()
    path = tmp_path_factory.mktemp("bench") / "kitchen"
    Learner.create(path, extractor="voice").learn(clips("teach", ("yes", "no"), most=6))
    return path


@pytest.fixture(scope="module")
def measured(kitchen: Path) -> tuple[Result, dict[str, Any], bool]:
    """What a run on a store printed, its JSON, and whether the store was left as it was."""
    before, file = tree(kitchen), kitchen.parent / "run.json"
    done = edgecl("bench", kitchen, "--rounds", 3, "--out", file)
    is_same = tree(kitchen) == before and sorted(one.name for one in kitchen.parent.iterdir()) == [
        "kitchen",
        "run.json",
    ]
    return done, json.loads(file.read_text()), is_same


# Measuring


@pytest.mark.native("measures what emulation distorts")
def test_a_store_is_left_as_it_was_and_nothing_beside_it(measured: tuple[Result, dict[str, Any], bool]) -> None:
    assert measured[2]


@pytest.mark.native("measures what emulation distorts")
def test_every_phase_has_its_raw_samples_and_their_quantiles(measured: tuple[Result, dict[str, Any], bool]) -> None:
    done, run, _ = measured
    assert done.code == 0
    assert run["schema_version"] == results.SCHEMA_VERSION
    wanted = {"load store", "decode lesson", "extract clip", "extract frame", "predict", "judge", "lesson"}
    assert {*wanted, "lesson: commit", *WHOLE} <= set(run["phases"])
    for name, phase in run["phases"].items():
        assert len(phase["samples_ms"]) >= 3
        assert min(phase["samples_ms"]) <= phase["p50"] <= phase["p99"] <= phase["max"] == max(phase["samples_ms"])
        assert f"  {name}  " in done.out


@pytest.mark.native("measures what emulation distorts")
def test_the_stages_of_a_lesson_add_up_to_it(measured: tuple[Result, dict[str, Any], bool]) -> None:
    phases = measured[1]["phases"]
    stages = [one["samples_ms"] for name, one in phases.items() if name.startswith("lesson: ")]
    np.testing.assert_allclose(np.sum(stages, axis=0), phases["lesson"]["samples_ms"])


@pytest.mark.native("measures what emulation distorts")
def test_memory_and_bytes_written_are_set_beside_what_was_granted(
    measured: tuple[Result, dict[str, Any], bool],
) -> None:
    run = measured[1]
    assert 0 < run["memory"]["learner_bytes"] <= run["memory"]["budget_bytes"] == 1 << 20
    assert run["memory"]["learn_peak_bytes"] > 20 << 20
    assert run["lesson"]["store_grows_bytes"] > 0
    assert run["frame"]["frame_ms"] == 80
    assert run["environment"]["head_digest"]


@pytest.mark.native("measures what emulation distorts")
def test_a_process_of_its_own_is_not_charged_with_the_memory_of_the_one_that_measures(kitchen: Path) -> None:
    from edgecl.bench.phases import _process

    held = np.ones(32 << 20)  # 256 MiB
    assert _process(*EDGECL, "status", str(kitchen))["peak_bytes"] < 128 << 20 < held.nbytes


@pytest.mark.native("measures what emulation distorts")
def test_where_no_process_can_be_started_the_rest_is_measured_and_that_is_said(
    kitchen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")  # as under an emulator of one process
    done = edgecl("bench", kitchen, "--rounds", 3)
    assert done.code == 0
    assert "no process of its own could be started" in done.out
    assert "process: learn" not in done.out


@pytest.mark.native("measures")
def test_windows_of_numbers_are_measured_too(tmp_path: Path) -> None:
    from edgecl.bench.fixture import prepare_bed

    try:
        contract = Learner.create(tmp_path / "wrist", extractor=builtin_extractor("imu")).contract
    except ContractError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(0)
    shape = (contract.clip_samples, len(contract.channels))
    learner = Learner.open(tmp_path / "wrist")
    items = [Sample(str(i), "ab"[i % 2], rng.standard_normal(shape).astype(np.float32), None) for i in range(8)]
    learner.learn(items, force=True)
    (tmp_path / "bed").mkdir()
    bed = prepare_bed(tmp_path / "wrist", tmp_path / "bed", command=EDGECL)
    assert (len(bed.samples), bed.signals, bed.label in bed.model.labels) == (5, "noise", False)


@pytest.mark.native("teaches a store for itself")
def test_a_full_store_is_taught_more_of_what_it_knows(tmp_path: Path) -> None:
    from edgecl.bench.fixture import prepare_bed

    voice_extractor()
    learner = Learner.create(tmp_path / "full", extractor="voice", max_classes=2)
    learner.learn(clips("teach", ("yes", "no"), most=5))
    (tmp_path / "bed").mkdir()
    assert prepare_bed(tmp_path / "full", tmp_path / "bed", command=EDGECL).label == "no"


def test_an_untaught_store_is_refused(tmp_path: Path) -> None:
    voice_extractor()
    Learner.create(tmp_path / "new", extractor="voice")
    done = edgecl("bench", tmp_path / "new")
    assert done.code == 5
    assert "learnt nothing" in done.err


# Marks


def quiet(**more: object) -> dict[str, Any]:
    state = {"throttled_bits": 0, "throttle_count": None, "swap_pages": 7, "load_average": [0, 0, 0]}
    return {**state, "governor": "performance", **more}


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ({}, {}, []),
        ({}, {"throttled_bits": 0x4}, ["throttled: throttled"]),
        ({"throttled_bits": 0x1}, {}, ["throttled: under-voltage"]),
        ({}, {"throttled_bits": 0x40000}, ["throttled: throttled since the board was started"]),
        ({"throttle_count": 3}, {"throttle_count": 4}, ["throttled: throttled by its temperature during the run"]),
        ({}, {"swap_pages": 9}, ["swapping: 2 pages were swapped during the run"]),
        ({"swap_pages": None}, {"swap_pages": 9}, []),
    ],
)
def test_a_disturbed_run_is_marked(before: dict[str, Any], after: dict[str, Any], wanted: list[str]) -> None:
    assert board.marks({"emulated": None}, quiet(**before), quiet(**after)) == wanted


def tree_of(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dash_", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_kernel_of_another_machine_gives_emulation_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    root = tree_of(tmp_path, proc__sys__kernel__arch="x86_64\n", proc__device_dash_tree__model=f"{BOARD}\0")
    assert board.emulated(root) == "the kernel is of x86_64, this process of aarch64"
    assert "no real board" in str(board.why_not_real(root))


def test_a_board_is_known_by_its_device_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.delenv("EDGECL_EMULATED", raising=False)
    root = tree_of(tmp_path, proc__sys__kernel__arch="aarch64", proc__device_dash_tree__model=f"{BOARD}\0")
    assert board.board(root) == BOARD
    assert board.why_not_real(root) is None


def test_emulation_that_cannot_be_seen_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECL_EMULATED", "1")
    assert board.emulated() == "EDGECL_EMULATED is set"


def test_the_firmware_of_a_pi_is_asked_for_throttling(tmp_path: Path) -> None:
    root = tree_of(tmp_path)
    (root / board.FIRMWARE).parent.mkdir(parents=True)
    (root / board.FIRMWARE).write_text("50005\n")
    assert board.state(root)["throttled_bits"] == 0x50005


# Comparing


def made(path: Path, *, times: float = 1.0, board: str = BOARD, marks: tuple[str, ...] = (), **more: object) -> Path:
    phases = {"lesson": {"samples_ms": [times * one for one in (9.0, 10.0, 11.0)]}, "judge": {"samples_ms": [1.0]}}
    run = {"schema_version": results.SCHEMA_VERSION, "environment": {"board": board}, "workload": {"classes": 2}}
    path.write_text(json.dumps({**run, "marks": list(marks), "phases": phases, **more}))
    return path


def made_of_nan() -> str:
    run = {"schema_version": 1, "environment": {"board": "x"}, "workload": {}, "marks": []}
    return json.dumps({**run, "phases": {"lesson": {"samples_ms": [float("nan")]}}})


@pytest.mark.parametrize(("times", "code"), [(1.0, 0), (1.09, 0), (1.12, 1), (0.5, 0)])
def test_a_phase_that_is_worse_than_allowed_ends_with_exit_code_1(tmp_path: Path, times: float, code: int) -> None:
    files = made(tmp_path / "a.json"), made(tmp_path / "b.json", times=times)
    done = edgecl("bench", "--compare", *files, "--fail-above", "p95:10%")
    assert done.code == code
    assert ("EXCEEDED" in done.out) == (code == 1)
    assert f"{times:.2f}" in done.out


def test_a_phase_that_is_gone_is_not_shown_to_be_no_worse(tmp_path: Path) -> None:
    gone = made(tmp_path / "b.json", phases={"lesson": {"samples_ms": [10.0]}})
    done = edgecl("bench", "--compare", made(tmp_path / "a.json"), gone, "--fail-above", "p50:10%")
    assert done.code == 1
    assert "judge (not measured)" in done.out


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"board": "Raspberry Pi 5"}, "different boards"),
        ({"marks": ("throttled: under-voltage",)}, "the second run is marked, throttled"),
        ({"workload": {"classes": 3}}, "different models: classes 2 and 3"),
    ],
)
def test_runs_that_are_no_measure_of_each_other_are_refused_unless_forced(
    tmp_path: Path, other: dict[str, Any], why: str
) -> None:
    files = made(tmp_path / "a.json"), made(tmp_path / "b.json", **other)
    refused = edgecl("bench", "--compare", *files)
    assert refused.code == 2
    assert why in refused.err
    forced = edgecl("bench", "--compare", *files, "--force")
    assert forced.code == 0
    assert "FORCED" in forced.out


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "no JSON"),
        ("[]", "no schema_version"),
        ('{"schema_version": 99}', "schema_version 99"),
        ('{"schema_version": 1}', "environment is missing"),
        (made_of_nan(), "phase 'lesson' has no samples_ms"),
    ],
)
def test_a_file_that_is_no_run_is_bad_data(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    done = edgecl("bench", "--compare", made(tmp_path / "a.json"), tmp_path / "bad.json")
    assert done.code == 4
    assert why in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--compare", "a.json", "b.json", "--fail-above", "p95"),
        ("--compare", "a.json", "b.json", "--fail-above", "p42:10%"),
        ("--compare", "a.json", "b.json", "--rounds", "5"),
        ("--fail-above", "p95:10%"),
        ("--rounds", "0"),
        ("--out", "none/such.json"),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_is_measured(arguments: tuple[str, ...]) -> None:
    assert edgecl("bench", *arguments).code == 2


# References


def run_of(board: str, *, is_real: bool, marks: tuple[str, ...] = ()) -> dict[str, Any]:
    environment = {"board": board, "is_real_board": is_real, "edgecl": "0", "kernels": "compiled"}
    phases = {"lesson": {**results.summary([9.0, 10.0, 11.0]), "samples_ms": [9.0, 10.0, 11.0]}}
    return {"environment": environment, "marks": list(marks), "workload": {"classes": 10}, "phases": phases}


def test_a_reference_holds_the_quantiles_of_a_board_within_a_band(tmp_path: Path) -> None:
    run = run_of(BOARD, is_real=True)
    path = results.write_reference(tmp_path, run)
    assert path.name == "raspberry_pi_zero_2_w_rev_1_0.csv"
    assert results.beyond_reference(path, run) == []
    run["phases"]["lesson"]["p50"] = 13.5
    assert results.beyond_reference(path, run) == ["lesson: 13.50 ms, the reference has 10.00"]


@pytest.mark.parametrize(("is_real", "marks"), [(False, ()), (True, ("throttled: under-voltage",))])
def test_no_reference_is_written_of_no_board_or_of_a_marked_run(
    tmp_path: Path, is_real: bool, marks: tuple[str, ...]
) -> None:
    with pytest.raises(EdgeclError, match="no reference is written"):
        results.write_reference(tmp_path, run_of(BOARD, is_real=is_real, marks=marks))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(platform.machine() in board.ARM, reason="an ARM machine may be a board")
def test_a_machine_that_is_no_board_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    done = edgecl("bench", "--reference", tmp_path)
    assert done.code == 1
    assert "not an ARM board" in done.err


@pytest.mark.board
def test_this_board_is_as_fast_as_its_reference() -> None:
    reason = board.why_not_real()
    if reason:
        pytest.skip(reason)
    path = results.reference_path(REFERENCES, board.board())
    if not path.exists():
        pytest.skip(f"no reference of this board: edgecl bench --reference {REFERENCES} writes one")
    run = measure(command=EDGECL).finish()
    if run["marks"]:
        pytest.skip("; ".join(run["marks"]))
    assert results.beyond_reference(path, run) == []


# Intervals and busy runs


def test_the_interval_of_a_ratio_covers_what_chance_does() -> None:
    draws = np.random.default_rng(1)
    runs = [{"phases": {"lesson": {"samples_ms": list(draws.normal(10, 1, 30).clip(5))}}} for _ in range(2)]
    (change,) = results.changes(*runs)
    low, high = change.interval("p50") or (0, 0)
    assert 0.8 < low < 1 < high < 1.25
    twice = {"phases": {"lesson": {"samples_ms": [2 * one for one in runs[0]["phases"]["lesson"]["samples_ms"]]}}}
    (change,) = results.changes(runs[0], twice)
    assert change.interval("p50") == change.interval("p50")
    assert (change.interval("p50") or (0, 0))[0] > 1.5


def test_a_busy_run_is_no_comparison(tmp_path: Path) -> None:
    busy = {"environment": {"board": BOARD, "cores": 2, "before": {"load_average": [1.8, 1.0, 0.5]}}}
    files = made(tmp_path / "a.json"), made(tmp_path / "b.json", **busy)
    refused = edgecl("bench", "--compare", *files)
    assert refused.code == 2
    assert "of the second run the machine was busy: load average 1.8 on 2 cores" in refused.err
    forced = edgecl("bench", "--compare", *files, "--force", "--json")
    assert forced.value["phases"]["lesson"]["interval"]["p50"][0] <= 1


def test_json_with_a_file_still_writes_it_and_says_what_to_write(tmp_path: Path) -> None:
    files, out = (made(tmp_path / "a.json"), made(tmp_path / "b.json")), tmp_path / "changes.json"
    for given in (["--json", out], [f"--json={out}"]):
        out.unlink(missing_ok=True)
        done = edgecl("bench", "--compare", *files, *given)
        assert done.code == 0
        assert "say --out" in done.err
        assert json.loads(out.read_text())["exceeded"] == []
    assert edgecl("bench", "--compare", *files, "--json", "-").value["exceeded"] == []
