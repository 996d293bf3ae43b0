"""Contracts for models of pictures of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

onnx = pytest.importorskip("onnx", reason="the exporter needs the extra [export]")

from edgecl_export import export_wrap_image  # noqa: E402
from edgecl_export.wrap_image import PIXELS  # noqa: E402

from edgecl.cli.commands import export as command  # noqa: E402
from edgecl.errors import ContractError, SettingError  # noqa: E402
from edgecl.extractors.base import FileExtractor  # noqa: E402
from edgecl.extractors.opening import open_extractor  # noqa: E402
from edgecl.learner import Learner  # noqa: E402

from ..support.commands import edgecl  # noqa: E402
from ..support.pictures import scene  # noqa: E402

pytestmark = pytest.mark.host
SIZE, D = 16, 6
WEIGHTS = np.random.default_rng(3).normal(size=(D, 3, 4, 4)).astype(np.float32)


def model(
    path: Path, *, first: bool = True, pooled: bool = False, side: int | str = SIZE, opset: int = 17, width: int = 3
) -> Path:
    """A convolution of tiles of 4 by 4 pixels, channels first or last, with its map or the mean of it."""
    taken = ("n", width, side, side) if first else ("n", side, side, width)
    nodes, name = [], "x"
    if not first:
        nodes.append(onnx.helper.make_node("Transpose", ["x"], ["turned"], perm=[0, 3, 1, 2]))
        name = "turned"
    nodes.append(onnx.helper.make_node("Conv", [name, "w"], ["map"], strides=[4, 4]))
    last = "map"
    if pooled:
        nodes += [
            onnx.helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
            onnx.helper.make_node("Flatten", ["mean"], ["vector"]),
        ]
        last = "vector"
    elif not first:
        nodes.append(onnx.helper.make_node("Transpose", ["map"], ["back"], perm=[0, 2, 3, 1]))
        last = "back"
    given = ("n", D) if pooled else ("n", D, "h", "w") if first else ("n", "h", "w", D)
    float_ = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "theirs",
        [onnx.helper.make_tensor_value_info("x", float_, taken)],
        [onnx.helper.make_tensor_value_info(last, float_, given)],
        [onnx.numpy_helper.from_array(np.resize(WEIGHTS, (D, width, 4, 4)), "w")],
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(made, path)
    return path


def wrapped(file: Path, **how: Any) -> FileExtractor:
    out = file.with_name("wrapped.onnx")
    export_wrap_image(file, out, **{"pixels": "0..255", "normalisation": "none", **how})
    return open_extractor(out)


def expected(picture: NDArray[np.uint8], pixels: str) -> NDArray[np.float64]:
    """The mean over the tiles, as a loop."""
    factor, offset = PIXELS[pixels]
    scaled = picture.astype(float) * factor + np.array(offset)
    tiles = scaled.reshape(SIZE // 4, 4, SIZE // 4, 4, 3).mean(axis=(0, 2))  # (4, 4, 3)
    return np.einsum("hwc,dchw->d", tiles, WEIGHTS.astype(float))


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("opset", [17, 18])
def test_a_picture_reaches_the_model_as_it_takes_it(
    tmp_path: Path, pixels: str, first: bool, pooled: bool, opset: int
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    extractor = wrapped(model(tmp_path / "own.onnx", first=first, pooled=pooled, opset=opset), pixels=pixels)
    assert (extractor.contract.modality, extractor.contract.dimension) == ("image", D)
    latent = extractor.latents([picture.reshape(-1, 3).astype(np.float32)])[0]
    np.testing.assert_allclose(latent, expected(picture, pixels), rtol=1e-4, atol=1e-3)


def test_imagenet_is_what_torchvision_does_to_a_picture() -> None:
    factor, offset = (np.array(one) for one in PIXELS["imagenet"])
    red = np.array([0, 0.5, 1])
    np.testing.assert_allclose(255 * red * factor[0] + offset[0], (red - 0.485) / 0.229)


def test_a_model_of_any_size_is_given_one(tmp_path: Path) -> None:
    file = model(tmp_path / "own.onnx", side="side", pooled=True)
    with pytest.raises(SettingError, match="which it was trained on") as refused:
        wrapped(file)
    assert refused.value.parameter == "size"
    assert wrapped(file, size=24).contract.picture_size == 24


@pytest.mark.parametrize(
    ("changes", "how", "said"),
    [
        ({}, {"size": 32}, "not 32 pixels"),
        ({"width": 1}, {}, r"wanted \(batch, 3, height, width\)"),
        ({}, {"pixels": "0..2"}, r"wanted one of 0\.\.255, 0\.\.1"),
        ({"side": 4}, {}, "wanted 8 to 2048"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: Any, how: Any, said: str) -> None:
    with pytest.raises((ContractError, SettingError), match=said):
        wrapped(model(tmp_path / "own.onnx", **changes), **how)
    assert not (tmp_path / "wrapped.onnx").exists()


def test_tflite_is_refused_and_told_why(tmp_path: Path) -> None:
    (tmp_path / "own.tflite").write_bytes(b"\0\0\0\0TFL3" + bytes(100))
    with pytest.raises(ContractError, match="pixels cannot be scaled"):
        wrapped(tmp_path / "own.tflite")


def test_the_command_wraps_and_a_store_learns_pictures_through_it(tmp_path: Path) -> None:
    file, out = model(tmp_path / "own.onnx"), tmp_path / "mine.onnx"
    done = edgecl("export", "wrap", file, "--modality", "image", "--pixels", "imagenet", "-o", out, "--json")
    assert (done.code, done.value["modality"]) == (0, "image")
    learner = Learner.create(tmp_path / "porch", extractor=out)
    pictures = {"day": [scene(seed) for seed in range(8)], "night": [scene(seed) // 4 for seed in range(8)]}
    assert learner.learn(pictures).revision == 2
    assert learner.predict(scene(9) // 4)[0].label == "night"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--modality", "image"], "--pixels is needed"),
        (["--modality", "image", "--pixels", "0..1", "--window", "10"], "--window does not go with"),
        (["--modality", "voice", "--rate", "16000", "--window", "10", "--size", "32"], "only pictures have pixels"),
        (["--modality", "voice", "--rate", "16000"], "--window is needed"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = edgecl("export", "wrap", model(tmp_path / "own.onnx"), *arguments, "-o", tmp_path / "out.onnx")
    assert done.code == 2
    assert said in done.err


def test_the_command_names_what_the_exporter_takes() -> None:
    assert tuple(PIXELS) == command.PIXELS
