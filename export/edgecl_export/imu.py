"""The movement extractor: random convolutions of the MiniRocket kind, fixed once, as ONNX nodes.

84 kernels of nine taps, six of them -1 and three of them 2, are laid over a window at several dilations, each
summing a random few of the channels. A feature is the share of moments at which a kernel's output exceeds a bias;
biases are quantiles of its outputs on unlabelled windows. Mean and standard deviation of each channel are added,
since kernels that sum to nothing do not see which way is up.

Channels are first divided by their standard deviation, so that metres per second squared and radians per second
can be summed, and rounded to whole steps. From there on all sums are of whole numbers that float32 holds exactly,
and biases lie between two of them: the shares have the same bits on every processor, whatever the order of
summation.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto

from edgecl.errors import DataError, SettingError
from edgecl.extractors.contract import Contract
from edgecl.extractors.opening import open_extractor
from edgecl_export._contract import write
from edgecl_export._graph import Graph
from edgecl_export._recording import felt_units, read_recording

KERNELS, TAPS = 84, 9
FEATURES_PER_KERNEL = 11
SHARES = KERNELS * FEATURES_PER_KERNEL

_STEPS = 1024  # of a channel's standard deviation
_MOST_CHANNELS = 9  # that one kernel sums
_LARGEST = 2**17  # steps: 108 of them (nine channels, twelve a kernel) are below 2**24
# Weight of means and deviations beside the shares: .1 to 4 tried on training subjects, .25 was best by a little.
_LEVEL_WEIGHT = 0.25
_CALIBRATION_WINDOWS = 256
_GOLDEN = (np.sqrt(5) + 1) / 2
_SIMULATED_S = 20.0


@dataclass(frozen=True)
class Windows:
    """Unlabelled windows that an extractor is calibrated by."""

    values: NDArray[np.float32]
    # (n, time, channels)
    rate_hz: float
    channels: tuple[str, ...]
    units: tuple[str, ...]


@dataclass(frozen=True)
class _Bank:
    """The kernels of one dilation; the first half pads the window with zeros, the second stays inside."""

    dilation: int
    weights: NDArray[np.int8]
    # (KERNELS, channels, TAPS)
    biases: NDArray[np.float32]
    # (KERNELS, features), each half a step above a whole one


def export_imu(
    out: Path,
    like: Path | ArrayLike | None = None,
    *,
    rate_hz: float | None = None,
    channels: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
    hop_samples: int | None = None,
    seed: int = 0,
) -> Contract:
    """Write a movement extractor for windows like the ones given.

    Parameters
    ----------
    out
        The file to write, 40 to 100 KB.
    like
        Unlabelled windows: an `.npz` with `X` (n, time, channels) and, unless given here, `rate_hz` and `channels`; a
        recording, `.csv` or `.jsonl` rows with times, cut into windows of 2 s; or the array itself. None: simulated
        movement of a wrist, six channels at 50 Hz in windows of 2 s. On three sets of real movement the latter
        calibration cost 1 to 3 points.
    rate_hz, channels, units
        In place of what the file says; the unit of an acceleration is seen from its gravity where it is not given.
    hop_samples
        Between the windows of a stream; by default half a window.
    seed
        Of the choice of channels and windows for each kernel.

    Returns
    -------
    Contract
        As read back from the file.

    Raises
    ------
    DataError
        The windows cannot be read or used.
    SettingError
        No rate is known, or `out` cannot be written.

    Notes
    -----
    Dempster, Schmidt & Webb, "MiniRocket: a very fast (almost) deterministic transform for time series
    classification", KDD 2021, and its multivariate variant.
    """
    windows = _checked(_windows(like, rate_hz=rate_hz, channels=channels, units=units))
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(windows.values))[:_CALIBRATION_WINDOWS]
    values = windows.values[np.sort(chosen)]
    length, n_channels = values.shape[1:]
    dimension = SHARES + 2 * n_channels
    contract = Contract(
        modality="imu",
        sample_rate_hz=windows.rate_hz,
        channels=windows.channels,
        units=windows.units,
        window_samples=length,
        hop_samples=length // 2 if hop_samples is None else hop_samples,
        pool_frames=1,
        dimension=dimension,
        mean=np.zeros(dimension, np.float32),
        normalisation="l2",
        shrinkage_floor=0.1,
        source="random convolutions, calibrated by " + ("simulated movement" if like is None else "own windows"),
        licence="Apache-2.0",
    )
    model = _model(values, rng)
    with tempfile.TemporaryDirectory() as folder:  # `out` is written once, whole
        begun = Path(folder, "begun.onnx")
        write(model, contract, begun)
        extractor = open_extractor(begun)
    mean = np.mean([extractor.frames(window)[0] for window in values], axis=0, dtype=np.float64)
    return write(model, replace(contract, mean=np.round(mean, 4).astype(np.float32)), Path(out))


def _model(windows: NDArray[np.float32], rng: np.random.Generator) -> onnx.ModelProto:
    _, length, n_channels = windows.shape
    offset = windows.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    scale = (_STEPS / windows.std(axis=(0, 1), dtype=np.float64)).astype(np.float32)
    steps = np.clip(np.rint((windows - offset) * scale), -_LARGEST, _LARGEST)

    graph = Graph()
    centred = graph.add("Sub", "signal", graph.constant("offset", offset), name="centred")
    scaled = graph.add("Mul", centred, graph.constant("scale", scale), name="scaled")
    rounded = graph.add("Round", scaled, name="rounded")
    limits = graph.number(-_LARGEST), graph.number(_LARGEST)
    clipped = graph.add("Clip", rounded, *limits, name="steps")
    signal = graph.add("Transpose", clipped, name="by_channel", perm=[0, 2, 1])
    features = [*_shares(graph, signal, list(_banks(steps, rng)), length), *_levels(graph, signal)]
    flat = graph.add("Concat", *features, name="features", axis=1)
    graph.add("Unsqueeze", flat, graph.integers(1), name="frames")
    return graph.model(
        inputs={"signal": ("batch", length, n_channels)},
        outputs={"frames": ("batch", 1, SHARES + 2 * n_channels)},
        name="imu",
    )


def _shares(graph: Graph, signal: str, banks: list[_Bank], length: int) -> Iterator[str]:
    """Shares of moments above each bias, (batch, features) for each half of a bank."""
    for bank in banks:
        name, reach = f"dilation_{bank.dilation}", bank.dilation * (TAPS // 2)
        kernels = graph.constant(f"{name}_kernels", bank.weights)
        weights = graph.add("Cast", kernels, name=f"{name}_weights", to=TensorProto.FLOAT)
        outputs = graph.add(
            "Conv",
            signal,
            weights,
            name=f"{name}_outputs",
            kernel_shape=[TAPS],
            dilations=[bank.dilation],
            pads=[reach, reach],
        )
        padded, inner = graph.split(outputs, [KERNELS // 2] * 2, axis=1, name=f"{name}_half")
        inner = graph.slice(inner, reach, length - reach, axis=2, name=f"{name}_inside")
        for part, biases in zip((padded, inner), np.split(bank.biases, 2), strict=True):
            yield _share(graph, part, biases[:, :, None])


def _share(graph: Graph, outputs: str, biases: NDArray[np.float32]) -> str:
    each = graph.add("Unsqueeze", outputs, graph.integers(2), name=f"{outputs}_each")
    bounds = graph.constant(f"{outputs}_biases", biases)
    above = graph.add("Greater", each, bounds, name=f"{outputs}_above")
    ones = graph.add("Cast", above, name=f"{outputs}_ones", to=TensorProto.FLOAT)
    share = graph.add("ReduceMean", ones, name=f"{outputs}_share", axes=[3], keepdims=0)
    return graph.add("Reshape", share, graph.integers(0, -1), name=f"{outputs}_shares")


def _levels(graph: Graph, signal: str) -> Iterator[str]:
    """Mean and standard deviation of each channel, (batch, channels) each.

    Summed along the last axis: along the middle one, ONNX Runtime sums a batch in another order than a window.
    """
    mean = graph.add("ReduceMean", signal, name="mean", axes=[2], keepdims=1)
    deviation = graph.add("Sub", signal, mean, name="deviation")
    squares = graph.add("Mul", deviation, deviation, name="squares")
    variance = graph.add("ReduceMean", squares, name="variance", axes=[2], keepdims=1)
    spread = graph.add("Sqrt", variance, name="spread")
    for level in (mean, spread):
        weighted = graph.add("Mul", level, graph.number(_LEVEL_WEIGHT / _STEPS), name=f"{level}_weighted")
        yield graph.add("Squeeze", weighted, graph.integers(2), name=f"{level}_level")


def _banks(steps: NDArray[np.float32], rng: np.random.Generator) -> Iterator[_Bank]:
    """Kernels, channels and biases for every dilation.

    As in MiniRocket, every second kernel pads; which ones changes from one dilation to the next. The quantiles run on
    through all kernels as multiples of the golden ratio. Biases from one random window each were 1 point better on
    training subjects than from all windows together.
    """
    _, length, n_channels = steps.shape
    shapes = np.full((KERNELS, TAPS), -1, np.int8)
    for kernel, taps in enumerate(combinations(range(TAPS), 3)):
        shapes[kernel, list(taps)] = 2
    done = 0
    for index, (dilation, features) in enumerate(_dilations(length)):
        order = np.argsort((np.arange(KERNELS) + index) % 2, kind="stable")
        weights = np.zeros((KERNELS, n_channels, TAPS), np.int8)
        biases = np.empty((KERNELS, features), np.float32)
        for kernel in range(KERNELS):
            weights[kernel, _some_channels(n_channels, rng)] = shapes[order[kernel]]
            window = steps[rng.integers(len(steps))]
            output = _output(window, weights[kernel], dilation, is_padded=kernel < KERNELS // 2)
            quantiles = (np.arange(done + 1, done + features + 1) * _GOLDEN) % 1
            biases[kernel] = np.floor(np.quantile(output, quantiles)) + 0.5
            done += features
        yield _Bank(dilation, weights, biases)


def _dilations(length: int) -> list[tuple[int, int]]:
    """(dilation, features per kernel), from 1 to where a kernel spans the window, evenly in the logarithm."""
    exponents = np.linspace(0, np.log2((length - 1) / (TAPS - 1)), FEATURES_PER_KERNEL)
    dilations, features = np.unique((2**exponents).astype(int), return_counts=True)
    return list(zip(dilations.tolist(), features.tolist(), strict=True))


def _some_channels(n_channels: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random few channels, few being likelier than many."""
    most = min(n_channels, _MOST_CHANNELS)
    return rng.choice(n_channels, int(2 ** rng.uniform(0, np.log2(most + 1))), replace=False)


def _output(
    window: NDArray[np.float32], weights: NDArray[np.int8], dilation: int, *, is_padded: bool
) -> NDArray[np.float64]:
    """One kernel's output on one window (time, channels): whole numbers, as the graph computes them."""
    reach = dilation * (TAPS // 2)
    long = np.pad(window.astype(np.float64), ((reach, reach), (0, 0)))
    taps = [long[tap * dilation : tap * dilation + len(window)] @ weights[:, tap] for tap in range(TAPS)]
    output: NDArray[np.float64] = np.sum(taps, axis=0)
    return output if is_padded else output[reach : len(window) - reach]


def _windows(
    like: Path | ArrayLike | None,
    *,
    rate_hz: float | None,
    channels: Sequence[str] | None,
    units: Sequence[str] | None,
) -> Windows:
    if like is None:
        return _simulated()
    if isinstance(like, (str, Path)):
        reading = _read if Path(like).suffix.lower() == ".npz" else read_recording
        values, stated_rate, stated_channels = reading(Path(like), rate_hz, channels)
        rate_hz, channels = rate_hz or stated_rate, channels or stated_channels
    else:
        values = np.asarray(like)
    if rate_hz is None:
        raise SettingError("the windows say no rate_hz: give their rate, for example --rate 50")
    count = values.shape[-1] if values.ndim else 0
    channels = tuple(channels or (f"channel_{index + 1}" for index in range(count)))
    units = tuple(units or felt_units(values, channels))
    return Windows(values, float(rate_hz), channels, units)


def _simulated() -> Windows:
    from edgecl.demo import movement

    samples = movement.windows(movement.EXERCISES, movement.TEACHING_SUBJECTS, seconds=_SIMULATED_S)
    values = np.stack([sample.signal for sample in samples])
    return Windows(values, movement.RATE_HZ, movement.CHANNELS, movement.UNITS)


def _read(
    path: Path, _rate_hz: float | None, _channels: Sequence[str] | None
) -> tuple[NDArray[np.float32], float | None, tuple[str, ...] | None]:
    """`X`, `rate_hz` and `channels` of an `.npz`."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            values = archive["X"]
            rate = float(archive["rate_hz"]) if "rate_hz" in archive else None
            names = tuple(map(str, archive["channels"])) if "channels" in archive else None
    except KeyError as error:
        raise DataError(f"{path} has no array X of windows (n, time, channels)") from error
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not an .npz that can be read, wanted one with an array X of windows") from error
    return values, rate, names


def _checked(windows: Windows) -> Windows:
    values = windows.values
    if values.ndim != 3 or not len(values) or not np.issubdtype(values.dtype, np.number):
        raise DataError(f"windows of shape {values.shape} and {values.dtype}, wanted numbers (n, time, channels)")
    if values.shape[1] < TAPS:
        raise DataError(f"windows of {values.shape[1]} samples, wanted {TAPS} or more")
    if values.shape[2] != len(windows.channels):
        raise DataError(f"{values.shape[2]} channels in the windows, but {len(windows.channels)} names for them")
    if not np.isfinite(values).all():
        raise DataError("the windows hold NaN or infinity: leave those out")
    if not windows.rate_hz > 0:
        raise SettingError(f"a rate of {windows.rate_hz} Hz, wanted more than 0")
    still = np.ptp(values, axis=(0, 1)) == 0
    if still.any():
        names = [name for name, is_still in zip(windows.channels, still, strict=True) if is_still]
        raise DataError(f"nothing ever changes in {', '.join(names)}: leave out what the sensor does not measure")
    return replace(windows, values=np.ascontiguousarray(values, np.float32))
