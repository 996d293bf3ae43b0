"""A contract for a model of pictures of one's own: what its pixels are is put into the graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgecl.errors import ContractError, SettingError
from edgecl.extractors.contract import Contract, picture_contract
from edgecl.extractors.tflite import TFLITE
from edgecl_export._contract import write
from edgecl_export.wrap import (
    content_of,
    declare,
    ends,
    open_session,
    parsed,
    require_answers,
    sizes_of,
)

# what a model takes of a pixel of 0 to 255: factor and offset of red, green and blue
PIXELS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "0..255": ((1.0,) * 3, (0.0,) * 3),
    "0..1": ((1 / 255,) * 3, (0.0,) * 3),
    "-1..1": ((1 / 127.5,) * 3, (-1.0,) * 3),
    # torchvision's models: minus the mean of ImageNet's pixels, over their deviation
    "imagenet": (
        tuple(1 / (255 * one) for one in (0.229, 0.224, 0.225)),
        (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
    ),
}
LARGEST = 2048  # pixels on a side
AXES_ARE_INPUT = 18  # the opset from which ReduceMean takes them so
_PREFIX = "own/"


def export_wrap_image(
    file: Path,
    out: Path,
    *,
    pixels: str,
    size: int | None = None,
    output: str | None = None,
    normalisation: str = "l2",
    shrinkage_floor: float = 0.1,
    source: str | None = None,
    licence: str = "not stated",
) -> Contract:
    """Add a contract to an ONNX model of pictures, after running it to see what it answers.

    Parameters
    ----------
    file
        ONNX: float32 (batch, 3, height, width), as PyTorch exports it, or (batch, height, width, 3) in; (batch, D) or
        the last map, (batch, D, h, w) or (batch, h, w, D), out. A map is averaged over its places.
    out
        The file to write.
    pixels
        What the model takes of red, green and blue: one of PIXELS.
    size
        Pixels on each side; may be left out where the model states it.
    output
        The one with the latents, where the graph has several.
    normalisation, shrinkage_floor
        As in `Contract`.
    source, licence
        Of the weights; by default the file's name.

    Returns
    -------
    Contract
        As read back from the file.

    Raises
    ------
    ContractError
        The model cannot be read, or takes or gives something else.
    SettingError
        `pixels` is unknown, `size` is missing or another than the model's, or `out` cannot be written.
    """
    if pixels not in PIXELS:
        raise SettingError(f"pixels {pixels!r}: wanted one of {', '.join(PIXELS)}", parameter="pixels")
    model = _read(file)
    taken, given = ends(model, file, output=output)
    is_channels_first, side = _layout(sizes_of(taken), size, file)
    model, names = _with_pixels(model, taken.name, given.name, pixels, side=side, channels_first=is_channels_first)
    signal = np.random.default_rng(0).uniform(0, 255, (1, side * side, 3)).astype(np.float32)
    axes = _places(_answer_shape(model, names, signal, side, file), is_channels_first, file)
    model = _with_frames(model, names[1], axes)
    run = open_session(model, file)
    require_answers(lambda one: run.run(["frames"], {"signal": np.abs(one) % 256})[0], signal, file)
    dimension = int(run.run(["frames"], {"signal": signal})[0].shape[-1])
    contract = picture_contract(
        side,
        mean=np.zeros(dimension, np.float32),
        normalisation=normalisation,
        shrinkage_floor=shrinkage_floor,
        source=Path(file).name if source is None else source,
        licence=licence,
    )
    declare(model.graph.output, "frames", (1, 1, dimension))
    return write(model, contract, Path(out))


def _read(file: Path) -> onnx.ModelProto:
    content = content_of(file, "an ONNX file")
    if content[4:8] == TFLITE:
        raise ContractError(f"{file} is TFLite, whose pixels cannot be scaled: convert it to ONNX, as with tf2onnx")
    return parsed(content, file)


def _layout(stated: list[str | int], size: int | None, file: Path) -> tuple[bool, int]:
    """Return whether the channels come first, and the pixels on a side."""
    if len(stated) != 4 or 3 not in (stated[1], stated[3]):
        raise ContractError(f"{file} takes {stated}, wanted (batch, 3, height, width) or (batch, height, width, 3)")
    is_first = stated[1] == 3
    sides = {one for one in (stated[2:] if is_first else stated[1:3]) if isinstance(one, int)}
    if len(sides) > 1:
        raise ContractError(f"{file} takes {stated}: pictures are cut to squares, which it does not take")
    known = sides.pop() if sides else None
    if known is None and size is None:
        raise SettingError(f"{file} takes {stated}, of any size: say which it was trained on", parameter="size")
    if None not in (known, size) and known != size:
        raise SettingError(f"{file} takes {stated}, not {size} pixels: leave the size out", parameter="size")
    side = known or size or 0
    if not 8 <= side <= LARGEST:
        raise SettingError(f"{side} pixels on a side: wanted 8 to {LARGEST}", parameter="size")
    return is_first, side


def _with_pixels(
    model: onnx.ModelProto, taken: str, given: str, pixels: str, *, side: int, channels_first: bool
) -> tuple[onnx.ModelProto, tuple[str, str]]:
    """Return the model with `signal` (1, pixels, 3) in front, and the names of its input and its answer."""
    model = onnx.compose.add_prefix(model, _PREFIX)
    graph, name = model.graph, _PREFIX + taken
    factor, offset = (np.array(one, np.float32) for one in PIXELS[pixels])
    for constant, values in (
        ("pixel_factor", factor),
        ("pixel_offset", offset),
        ("picture_shape", np.array([1, side, side, 3], np.int64)),
    ):
        graph.initializer.append(numpy_helper.from_array(values, constant))
    last = "picture" if channels_first else name
    nodes = [
        helper.make_node("Mul", ["signal", "pixel_factor"], ["scaled"], name="scale_pixels"),
        helper.make_node("Add", ["scaled", "pixel_offset"], ["shifted"], name="shift_pixels"),
        helper.make_node("Reshape", ["shifted", "picture_shape"], [last], name="as_picture"),
    ]
    if channels_first:
        nodes.append(helper.make_node("Transpose", ["picture"], [name], name="channels_first", perm=[0, 3, 1, 2]))
    for index, node in enumerate(nodes):
        graph.node.insert(index, node)
    declare(graph.input, "signal", (1, side * side, 3))
    declare(graph.output, _PREFIX + given, None)
    return model, (name, _PREFIX + given)


def _answer_shape(
    model: onnx.ModelProto, names: tuple[str, str], signal: NDArray[np.float32], side: int, file: Path
) -> tuple[int, ...]:
    try:
        return tuple(open_session(model, file).run([names[1]], {"signal": signal})[0].shape)
    except ContractError:
        raise
    except Exception as error:  # ONNX Runtime's errors have no other base
        raise ContractError(f"{file} does not take a picture of {side} by {side} pixels ({error})") from error


def _places(shape: tuple[int, ...], channels_first: bool, file: Path) -> list[int]:
    """Return the axes of a map that are averaged; none of one vector."""
    if len(shape) in (2, 3) and set(shape[:-1]) == {1}:
        return []
    if len(shape) == 4 and shape[0] == 1:
        return [2, 3] if channels_first else [1, 2]
    raise ContractError(f"{file} answers a picture with shape {shape}, wanted (1, D) or a map of its places")


def _with_frames(model: onnx.ModelProto, answer: str, axes: list[int]) -> onnx.ModelProto:
    """Return the model with `frames` (1, 1, D) at its end."""
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([1, 1, -1], np.int64), "frames_shape"))
    if axes:
        opset = max(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
        node = helper.make_node("ReduceMean", [answer], ["mean of places"], name="mean", keepdims=0)
        if opset >= AXES_ARE_INPUT:
            graph.initializer.append(numpy_helper.from_array(np.array(axes, np.int64), "places"))
            node.input.append("places")
        else:
            node.attribute.append(helper.make_attribute("axes", axes))
        graph.node.append(node)
        answer = "mean of places"
    graph.node.append(helper.make_node("Reshape", [answer, "frames_shape"], ["frames"], name="as_frames"))
    declare(graph.output, "frames", (1, 1, None))
    return model
