"""Frozen feature extractors: the contract that a file carries, and what runs it.

An extractor is one file: an ONNX graph (or a TFLite one, see `edgecl._tflite`) from a signal (batch, samples,
channels) to frames (batch, n, D), and a contract that says what goes in and what comes out. In ONNX the contract
is `metadata_props` under `edgecl.*`, one text each: `edgecl.modality`, `edgecl.sample_rate_hz`, and so on through
the fields of `Contract`; tuples and `mean` are JSON lists.

A graph may slide: given `window_samples + n * hop_samples` it answers n + 1 frames. It may also have a second
input `state` (1, rows, S) with a default, and a second output `next_state`: fed back, these let a stream go on
from where it was, with `hop_samples` in and one frame out.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.errors import ContractError, DataError

FORMAT = "1"
PREFIX = "edgecl."
MODALITIES = ("voice", "imu", "text", "table", "custom")
NORMALISATIONS = ("l2", "none")
LARGEST_DIMENSION = 65_536
LARGEST_CLIP = 1 << 24  # numbers
LARGEST_METADATA = 1 << 21  # bytes, at the end of the file: more than a tokenizer takes
# Sound is placed by its loudest stretch: speech between silences of unknown length.
_LOUD_S, _LOUD_STEP_S = 0.5, 0.01
_LOWEST_SOUND_HZ = 4_000
# One run holds at most so much, whatever is asked for at once: memory stays where it is.
_FRAMES_AT_ONCE = 16
_METADATA_PROPS = 14  # the field of ModelProto in onnx.proto


@dataclass(frozen=True, eq=False)
class Contract:
    """What an extractor takes and gives.

    Raises
    ------
    ContractError
        A field is out of its range, or does not fit another.
    """

    modality: str
    # "voice", "imu", "text", "table" or "custom"
    sample_rate_hz: float
    # 0 where there is no time axis
    channels: tuple[str, ...]
    units: tuple[str, ...]
    # one for each channel
    window_samples: int
    # that one frame sees
    hop_samples: int
    # from one frame to the next
    pool_frames: int
    # whose mean is a latent
    dimension: int
    # numbers in a frame, D
    mean: NDArray[np.float32]
    # (D,), subtracted before normalising
    normalisation: str
    # "l2" or "none"
    shrinkage_floor: float
    # least share of the identity in the head's covariance, 0 to 1
    source: str
    licence: str
    graph_digest: str = ""
    # sha256 of the file without its metadata

    def __post_init__(self) -> None:
        for is_wrong, complaint in self._faults():
            if is_wrong:
                raise ContractError(f"the contract is wrong: {complaint}")

    def _faults(self) -> list[tuple[bool, str]]:
        counts = {name: getattr(self, name) for name in ("window_samples", "hop_samples", "pool_frames")}
        mean = np.asarray(self.mean)
        return [
            (self.modality not in MODALITIES, f"modality {self.modality!r}, wanted one of {_listed(MODALITIES)}"),
            (
                self.normalisation not in NORMALISATIONS,
                f"normalisation {self.normalisation!r}, wanted one of {_listed(NORMALISATIONS)}",
            ),
            (
                not (math.isfinite(self.sample_rate_hz) and self.sample_rate_hz >= 0),
                f"sample_rate_hz {self.sample_rate_hz}, wanted 0 or more",
            ),
            (not self.channels, "no channels, wanted the name of each"),
            (
                len(self.units) != len(self.channels),
                f"{len(self.units)} units for {len(self.channels)} channels, wanted one for each",
            ),
            (min(counts.values()) < 1, f"{counts}, wanted 1 or more of each"),
            (
                self.clip_samples * len(self.channels) > LARGEST_CLIP,
                f"a clip of {self.clip_samples} samples in {len(self.channels)} channels, at most {LARGEST_CLIP:,} fit",
            ),
            (
                self.hop_samples > self.window_samples,
                f"hop_samples {self.hop_samples} leaves gaps between windows of {self.window_samples}",
            ),
            (
                not 1 <= self.dimension <= LARGEST_DIMENSION,
                f"dimension {self.dimension}, wanted 1 to {LARGEST_DIMENSION}",
            ),
            (
                mean.shape != (self.dimension,) or not np.isfinite(mean).all(),
                f"a mean of shape {mean.shape}, wanted {self.dimension} finite numbers",
            ),
            (
                not 0 <= self.shrinkage_floor <= 1,
                f"shrinkage_floor {self.shrinkage_floor}, wanted 0 to 1",
            ),
        ]

    @property
    def clip_samples(self) -> int:
        """Samples that one latent sees."""
        return self.window_samples + (self.pool_frames - 1) * self.hop_samples

    @property
    def is_sound(self) -> bool:
        """Whether it hears: voice, or one channel of its own kind at the rate of sound."""
        is_fast = len(self.channels) == 1 and self.sample_rate_hz >= _LOWEST_SOUND_HZ
        return self.modality == "voice" or (self.modality == "custom" and is_fast)

    def metadata(self) -> dict[str, str]:
        """The contract as texts, by the keys that files use."""
        texts = {PREFIX + one.name: _text(one.type, getattr(self, one.name)) for one in fields(self)}
        return {PREFIX + "format": FORMAT, **texts}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], *, file: str | Path) -> Contract:
        """Read `metadata()` back.

        Parameters
        ----------
        file
            Where the texts come from, for messages.

        Raises
        ------
        ContractError
            There is no contract, it is of another format, or a field is missing or wrong.
        """
        stated = metadata.get(PREFIX + "format")
        if stated is None:
            raise ContractError(
                f"{file} has no contract, so nobody knows what it takes: "
                f"add one with `edgecl export wrap {file} --modality imu|voice|table|custom ... -o OUT`"
            )
        if stated != FORMAT:
            raise ContractError(f"{file} has a contract of format {stated}, wanted {FORMAT}: update edgecl")
        try:
            return cls(**{one.name: _value(one.type, metadata[PREFIX + one.name]) for one in fields(cls)})
        except KeyError as error:
            raise ContractError(f"{file}: its contract lacks {error}: export it again") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise ContractError(f"{file}: its contract cannot be read ({error}): export it again") from error
        except ContractError as error:
            raise ContractError(f"{file}: {error}") from error


class Extractor(Protocol):
    """What the rest of edgecl needs of an extractor."""

    contract: Contract
    digest: str
    # sha256 of the file

    def frames(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Frames (n, D) of a signal (samples, channels), neither pooled nor normalised."""

    def latents(self, signals: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """One latent for each signal (samples, channels), (len(signals), D)."""


class FileExtractor(ABC):
    """An extractor read from a file: all but how its runtime is called.

    Attributes
    ----------
    contract
    digest
        sha256 of the file.
    """

    contract: Contract
    digest: str
    _slides: bool
    # whether one run gives all frames of a longer signal

    @abstractmethod
    def _run(
        self, batch: NDArray[np.float32], state: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Frames (batch, n, D) of a batch (batch, samples, channels), and the next state if there is such a thing."""

    def frames(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Every frame that fits into a signal.

        Parameters
        ----------
        signal
            (samples, channels) float32, as the contract says; a signal of one channel may be (samples,).

        Returns
        -------
        NDArray[np.float32]
            (n, D), neither pooled nor normalised; n is 0 below `window_samples`. Frame i has the same bits as
            the only one of `signal[i * hop_samples :][:window_samples]`.

        Raises
        ------
        DataError
            Wrong number of channels; NaN or infinity.
        """
        return self.stream().push(signal)

    def stream(self) -> FrameStream:
        """Frames of a signal that comes in pieces."""
        return FrameStream(self)

    def latents(self, signals: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """One latent for each signal.

        What is taken of a longer or shorter signal, `fit` says.

        Parameters
        ----------
        signals
            Each (samples, channels) float32, as the contract says.

        Returns
        -------
        NDArray[np.float32]
            (len(signals), D). A signal has the same bits in any company.

        Raises
        ------
        DataError
            Wrong number of channels; NaN or infinity; other than sound: fewer samples than `clip_samples`.
        """
        rows = [np.empty((0, self.contract.dimension), np.float32)]
        rows += [self.pool(self._clip_frames(signal)) for signal in signals]
        return np.concatenate(rows)

    def hop_latents(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """What a listener sees of a signal (samples, channels): a latent (n, D) for each hop, n is 0 below a clip.

        Raises
        ------
        DataError
            Wrong number of channels; NaN or infinity.
        """
        frames, pool = self.frames(signal), self.contract.pool_frames
        if len(frames) < pool:
            return np.empty((0, self.contract.dimension), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(frames, pool, axis=0)  # (n, D, pool)
        return self.pool(windows.transpose(0, 2, 1))

    def pool(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Latents of the frames they are the mean of.

        Parameters
        ----------
        frames
            (n, pool_frames, D).

        Returns
        -------
        NDArray[np.float32]
            (n, D), less `contract.mean`, normalised as the contract says.
        """
        total: NDArray[np.float32] = np.add.reduce(frames, axis=1)  # frame after frame, however many rows there are
        latents = total / np.float32(self.contract.pool_frames) - self.contract.mean
        if self.contract.normalisation == "l2":
            length = np.sqrt(np.square(latents, dtype=np.float64).sum(axis=1, keepdims=True))
            latents /= np.maximum(length, 1e-12).astype(np.float32)
        return latents

    def checked(self, signal: ArrayLike) -> NDArray[np.float32]:
        """A signal as (samples, channels) float32.

        Raises
        ------
        DataError
            Wrong number of channels; NaN or infinity.
        """
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinity, and is refused as such
            array = np.asarray(signal, np.float32)
        channels = self.contract.channels
        if array.ndim == 1 and len(channels) == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] != len(channels):
            raise DataError(
                f"the signal has shape {array.shape}, the extractor takes (samples, {len(channels)}): "
                f"{_listed(channels)}"
            )
        if not np.isfinite(array).all():
            raise DataError("the signal holds NaN or infinity: mend or leave out those samples")
        return array

    def _clip_frames(self, signal: ArrayLike) -> NDArray[np.float32]:
        """(1, pool_frames, D), by a run of its own.

        Sixteen windows of movement in one run take .09 ms each instead of .14, but in a graph of somebody else's the
        company might change the bits.
        """
        clip = fit(self.checked(signal), self.contract)
        return self._run_checked(clip[None])[0] if self._slides else self.frames(clip)[None]

    def _run_checked(
        self, batch: NDArray[np.float32], state: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        frames, state = self._run(batch, state)
        if not np.isfinite(frames).all():
            raise DataError("the extractor answers NaN or infinity: is the signal in the contract's units?")
        return frames, state


class FrameStream:
    """Frames of a signal that comes in pieces of any length, with the bits of the whole.

    A graph with a `state` does the work of one hop for each frame; another sees its whole window again.
    """

    def __init__(self, extractor: FileExtractor) -> None:
        self._extractor = extractor
        self._contract = extractor.contract
        self._waiting = np.empty((0, len(self._contract.channels)), np.float32)
        self._state: NDArray[np.float32] | None = None

    def push(self, signal: ArrayLike) -> NDArray[np.float32]:
        """The frames (n, D) that a piece (samples, channels) completes.

        Raises
        ------
        DataError
            Wrong number of channels; NaN or infinity. The stream is as it was.
        """
        signal = self._extractor.checked(signal)
        waiting = np.concatenate([self._waiting, signal]) if len(self._waiting) else signal
        most = _FRAMES_AT_ONCE if self._extractor._slides else 1
        frames = []
        while (count := min(self._ready(waiting), most)) > 0:
            piece, waiting = self._take(waiting, count)
            frames.append(piece)
        self._waiting = waiting.copy()  # the caller's array may be used again
        if len(frames) == 1:
            return frames[0]
        return np.concatenate([np.empty((0, self._contract.dimension), np.float32), *frames])

    def _lead(self) -> int:
        """Samples that must be seen again, or for the first time, before a hop gives a frame."""
        return self._contract.window_samples - self._contract.hop_samples if self._state is None else 0

    def _ready(self, waiting: NDArray[np.float32]) -> int:
        return (len(waiting) - self._lead()) // self._contract.hop_samples

    def _take(self, waiting: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """So many frames (count, D), and the samples that are left."""
        hops = count * self._contract.hop_samples
        seen = self._lead() + hops
        frames, self._state = self._extractor._run_checked(waiting[None, :seen], self._state)
        return frames[0], waiting[hops if self._state is None else seen :]


class OnnxExtractor(FileExtractor):
    """An extractor run by ONNX Runtime, in one thread that sleeps between runs.

    Parameters
    ----------
    path
        An ONNX file with a contract.

    Raises
    ------
    ContractError
        There is no such file, it is not ONNX, it has no contract or not the one it was given, or the graph
        takes or gives something else than the contract says.
    """

    def __init__(self, path: str | Path) -> None:
        content = read_file(path)
        self.digest = hashlib.sha256(content).hexdigest()
        self._session = onnx_session(content, path)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.contract = Contract.from_metadata(metadata, file=path)
        if self.contract.graph_digest != graph_digest(content):
            raise ContractError(f"{path}: its graph is not the one that the contract was made for: export it again")
        signal, frames = self._check(path)
        self._names = signal.name, frames.name
        defaults = [one.name for one in self._session.get_overridable_initializers()]
        self._answers = [frames.name, *(["next_state"] if "state" in defaults else [])]
        self._slides = not isinstance(signal.shape[1], int) and frames.shape[1] != 1

    def _check(self, path: str | Path) -> tuple[Any, Any]:
        """The signal and the frames, as the graph declares them."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or not outputs:
            names = [one.name for one in inputs]
            raise ContractError(f"{path}: the graph wants {names or 'nothing'}, an extractor takes one signal")
        signal, frames = inputs[0], outputs[0]
        self._require(path, "signal", signal, len(self.contract.channels))
        self._require(path, "frames", frames, self.contract.dimension)
        return signal, frames

    def _require(self, path: str | Path, what: str, declared: Any, last: int) -> None:
        given = f"{declared.type} {declared.shape}"
        if declared.type != "tensor(float)" or len(declared.shape) != 3 or declared.shape[2] != last:
            raise ContractError(
                f"{path}: the graph's {what} are {given}, the contract says float (batch, n, {last}): "
                "wrap the graph again with `edgecl export wrap`"
            )

    def _run(
        self, batch: NDArray[np.float32], state: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        feeds = {self._names[0]: batch}
        if state is not None:
            feeds["state"] = state
        try:
            frames, *rest = self._session.run(self._answers, feeds)
        except Exception as error:  # ONNX Runtime's errors have no other base
            raise DataError(f"the extractor cannot take a signal of shape {batch.shape}: {error}") from error
        return frames, (rest[0] if rest else None)


def open_extractor(path: str | Path) -> FileExtractor:
    """Open an extractor by what the file holds: ONNX, TFLite (extra `[tflite]`), ONNX with a tokenizer (`[text]`).

    Raises
    ------
    ContractError
        There is no such file, it is neither, or its contract is missing or wrong.
    """
    if read_file(path, limit=8)[4:] == b"TFL3":
        from edgecl._tflite import TfliteExtractor

        return TfliteExtractor(path)
    if (PREFIX + "tokenizer").encode() in read_file(path)[-LARGEST_METADATA:]:
        from edgecl._texts import TextExtractor

        return TextExtractor(path)
    return OnnxExtractor(path)


def builtin_extractor(name: str) -> Path:
    """The file of the extractor that ships with edgecl under this name.

    Raises
    ------
    ContractError
        None does, or this is a checkout in which it has not been built.
    """
    path = Path(str(files("edgecl").joinpath("data", f"{name}.onnx")))
    if not path.is_file():
        like = "" if name == "voice" else " --like windows.npz"
        raise ContractError(
            f"no {name} extractor ships with this installation: make one with "
            f"`edgecl export {name}{like} -o {name}.onnx` and give that file"
        )
    return path


def graph_digest(model: bytes) -> str:
    """sha256 of a serialised ONNX model without its metadata.

    Read by hand, because a device has no `onnx`: of the top-level fields of ModelProto, in their order, all but
    `metadata_props`.

    Raises
    ------
    ValueError
        It is not a serialised message, or cut short.
    """
    digest, at, whole = hashlib.sha256(), 0, memoryview(model)
    while at < len(model):
        start = at
        tag, at = _varint(model, at)
        match tag & 7:
            case 0:
                _, at = _varint(model, at)
            case 1:
                at += 8
            case 2:
                length, at = _varint(model, at)
                at += length
            case 5:
                at += 4
            case kind:
                raise ValueError(f"no field of kind {kind}")
        if at > len(model):
            raise ValueError("cut short")
        if tag >> 3 != _METADATA_PROPS:
            digest.update(whole[start:at])
    return digest.hexdigest()


def fit(signal: NDArray[np.float32], contract: Contract) -> NDArray[np.float32]:
    """The stretch of a signal that its latent is made of.

    Of sound, `clip_samples` with the loudest half second in the middle, and zeros beyond its ends, unless it is
    just as long; of others, the last `clip_samples`. On unseen speakers, placing one-second clips by their own
    middle lost 2 points, and 4 at five shots; moving the stretch so as to keep all that was recorded lost 30 to 80
    where a second of silence followed the word. Noise in place of the zeros gained nothing.

    Raises
    ------
    DataError
        Other than sound, and shorter than `clip_samples`.
    """
    wanted = contract.clip_samples
    if not contract.is_sound:
        if len(signal) < wanted:
            raise DataError(f"the signal has {len(signal)} samples, a latent needs {wanted}")
        return signal[len(signal) - wanted :]
    if len(signal) == wanted:  # somebody cut it for this extractor
        return signal
    start = _loudest(signal, contract.sample_rate_hz) - wanted // 2
    clip = np.zeros((wanted, signal.shape[1]), np.float32)
    kept = signal[max(start, 0) : start + wanted]
    clip[max(-start, 0) :][: len(kept)] = kept
    return clip


def _loudest(signal: NDArray[np.float32], rate_hz: float) -> int:
    """The middle of the loudest half second, in samples; any offset of the microphone is left out."""
    step, steps = round(_LOUD_STEP_S * rate_hz), round(_LOUD_S / _LOUD_STEP_S)
    if len(signal) <= step * steps:
        return len(signal) // 2
    power = np.square(signal - signal.mean(axis=0), dtype=np.float64).sum(axis=1)
    total = np.concatenate([[0.0], np.cumsum(power)])[::step]
    return int(np.argmax(total[steps:] - total[:-steps])) * step + step * steps // 2


def onnx_session(content: bytes, path: str | Path) -> Any:
    """ONNX Runtime on a model, in one thread that sleeps between runs; raises ContractError."""
    # ONNX Runtime 1.32 reports its use to its maker from the moment it is imported: a device keeps to itself
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no other base
        raise ContractError(f"{path} is not an ONNX file that this ONNX Runtime can load: {error}") from error


def read_file(path: str | Path, *, limit: int = -1) -> bytes:
    """The content of an extractor's file, or its first `limit` bytes; raises ContractError."""
    try:
        with Path(path).open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise ContractError(f"{path} cannot be read ({error.strerror}): give the file of an extractor") from error


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("cut short")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("no such number")


def _text(kind: object, value: Any) -> str:
    match kind:
        case "str":
            return str(value)
        case "int" | "float":
            return repr(int(value) if kind == "int" else float(value))
        case "tuple[str, ...]":
            return json.dumps(value, ensure_ascii=False)
    # the shortest decimals that give the same float32 again
    return "[" + ", ".join(str(number) for number in np.asarray(value, np.float32)) + "]"


def _value(kind: object, text: str) -> Any:
    match kind:
        case "str":
            return text
        case "int" | "float":
            return int(text) if kind == "int" else float(text)
        case "tuple[str, ...]":
            return tuple(str(name) for name in json.loads(text))
    return np.array(json.loads(text), np.float32)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
