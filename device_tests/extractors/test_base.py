"""Extractors: frames and latents, bit for bit. Needs no exporter where the wheel is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.extractors import base, side_by_side
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import builtin_extractor, open_extractor

from ..support.extractors import movement, sound


def test_voice_frames_come_every_eighty_milliseconds(voice: FileExtractor) -> None:
    silence = np.zeros((12_400 + 5 * 1_280 + 100, 1), np.float32)
    assert voice.frames(silence).shape == (6, 96)
    assert voice.frames(silence[:12_399]).shape == (0, 96)


def test_a_window_gives_the_bits_of_its_frame_in_the_whole(voice: FileExtractor, rng: np.random.Generator) -> None:
    signal = sound(rng, 17_600)
    whole = voice.frames(signal)
    windows = [voice.frames(signal[1_280 * index :][:12_400]) for index in range(len(whole))]
    np.testing.assert_array_equal(np.concatenate(windows), whole)


@pytest.mark.parametrize("piece", [1_280, 777, 12_400, 20_000])
def test_a_stream_gives_the_bits_of_the_whole(voice: FileExtractor, rng: np.random.Generator, piece: int) -> None:
    signal = sound(rng, 20_000)
    stream = voice.stream()
    pieces = [stream.push(signal[start : start + piece]) for start in range(0, len(signal), piece)]
    np.testing.assert_array_equal(np.concatenate(pieces), voice.frames(signal))


def test_a_stream_of_whole_hops_gives_the_bits_of_the_whole(voice: FileExtractor, rng: np.random.Generator) -> None:
    signal, stream = sound(rng, 12_400 + 20 * 1_280), voice.stream()
    starts = [0, 12_400, 13_680, 14_960, 16_240, 16_740, 17_520, 18_800, 20_080, *range(21_360, 38_001, 1_280)]
    kept = [stream.push(signal[start:end]) for start, end in zip(starts, [*starts[1:], 38_000], strict=True)]
    np.testing.assert_array_equal(np.concatenate(kept), voice.frames(signal))


def test_a_refused_hop_leaves_the_stream_as_it_was(voice: FileExtractor, rng: np.random.Generator) -> None:
    signal, stream = sound(rng, 12_400 + 3 * 1_280), voice.stream()
    kept = [stream.push(signal[:12_400]), stream.push(signal[12_400:13_680])]
    with pytest.raises(DataError):
        stream.push(np.full((1_280, 1), np.nan, np.float32))
    kept += [stream.push(signal[13_680:14_960]), stream.push(signal[14_960:])]
    np.testing.assert_array_equal(np.concatenate(kept), voice.frames(signal))


@pytest.mark.parametrize("name", ["voice", "imu"])
def test_a_batch_gives_the_bits_of_its_clips(
    name: str, request: pytest.FixtureRequest, rng: np.random.Generator
) -> None:
    extractor: FileExtractor = request.getfixturevalue(name)
    several = [sound(rng, 14_000) for _ in range(5)] if name == "voice" else movement(rng, extractor, 20)
    batch, _ = extractor._run(np.stack(several))
    for clip, frames in zip(several, batch, strict=True):
        np.testing.assert_array_equal(extractor.frames(clip), frames)


def test_a_loud_neighbour_changes_nothing(voice: FileExtractor, rng: np.random.Generator) -> None:
    quiet = sound(rng, 12_400) * np.float32(1e-3)
    loud = sound(rng, 12_400)
    batch, _ = voice._run(np.stack([quiet, loud]))
    np.testing.assert_array_equal(batch[0], voice.frames(quiet))


def test_a_long_signal_is_worked_off_in_pieces_with_the_same_bits(
    voice: FileExtractor, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = sound(rng, 36_000)
    usual = voice.frames(signal)
    monkeypatch.setattr(base, "_FRAMES_AT_ONCE", 1_000)
    np.testing.assert_array_equal(voice.frames(signal), usual)


def test_a_refused_piece_leaves_the_stream_as_it_was(voice: FileExtractor, rng: np.random.Generator) -> None:
    signal = sound(rng, 20_000)
    stream = voice.stream()
    first = stream.push(signal[:15_000])
    with pytest.raises(DataError):
        stream.push(np.full((100, 1), np.nan))
    both = np.concatenate([first, stream.push(signal[15_000:])])
    np.testing.assert_array_equal(both, voice.frames(signal))


def test_movement_streams_give_the_bits_of_their_windows(imu: FileExtractor, rng: np.random.Generator) -> None:
    signal = np.concatenate(movement(rng, imu, 3))
    window, hop = imu.contract.window_samples, imu.contract.hop_samples
    stream = imu.stream()
    streamed = np.concatenate([stream.push(signal[start : start + 7]) for start in range(0, len(signal), 7)])
    windows = [imu.frames(signal[start : start + window]) for start in range(0, len(signal) - window + 1, hop)]
    np.testing.assert_array_equal(streamed, np.concatenate(windows))


def test_a_latent_is_the_pooled_centred_and_normalised_clip(voice: FileExtractor, rng: np.random.Generator) -> None:
    clip = sound(rng, voice.contract.clip_samples)
    centred = voice.frames(clip).astype(np.float64).mean(axis=0) - voice.contract.mean
    (latent,) = voice.latents([clip])
    np.testing.assert_allclose(latent, centred / np.linalg.norm(centred), atol=1e-6)
    assert latent.dtype == np.float32


@pytest.mark.parametrize("name", ["voice", "imu"])
def test_a_latent_has_the_same_bits_in_any_company(
    name: str, request: pytest.FixtureRequest, rng: np.random.Generator
) -> None:
    extractor: FileExtractor = request.getfixturevalue(name)
    if name == "voice":
        signals = [sound(rng, n_samples) for n_samples in (3_000, 16_000, 22_640, 30_000)]
    else:
        signals = movement(rng, extractor, 5)
    together = extractor.latents(signals)
    backwards = extractor.latents(signals[::-1])[::-1]
    alone = np.concatenate([extractor.latents([signal]) for signal in signals])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, backwards)


def test_a_latent_has_the_same_bits_alone_and_among_others(voice: FileExtractor, rng: np.random.Generator) -> None:
    frames = rng.normal(size=(50, voice.contract.pool_frames, voice.contract.dimension)).astype(np.float32)
    frames[0] = voice.contract.mean  # a latent of length zero
    alone = [voice.pool(one[None]) for one in frames]
    np.testing.assert_array_equal(np.concatenate(alone), voice.pool(frames))


def test_a_signal_whose_squares_are_too_large_is_finite(voice: FileExtractor) -> None:
    large = np.full((4, 1), 3e38, np.float32)
    assert voice.checked(large) is large
    with pytest.raises(DataError, match="NaN or infinity"):
        voice.checked(np.full((4, 1), np.inf, np.float32))


def test_pooled_streamed_frames_are_the_latent_of_the_clip(voice: FileExtractor, rng: np.random.Generator) -> None:
    clip = sound(rng, voice.contract.clip_samples)
    stream = voice.stream()
    frames = np.concatenate([stream.push(clip[start : start + 1_280]) for start in range(0, len(clip), 1_280)])
    np.testing.assert_array_equal(voice.pool(frames[None]), voice.latents([clip]))


def test_no_signals_give_no_latents(voice: FileExtractor) -> None:
    assert voice.latents([]).shape == (0, 96)


def test_silence_has_a_finite_latent(voice: FileExtractor) -> None:
    assert np.isfinite(voice.latents([np.zeros((16_000, 1), np.float32)])).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_number_that_is_none_is_refused(voice: FileExtractor, value: float) -> None:
    signal = np.zeros((16_000, 1))
    signal[5] = value
    with pytest.raises(DataError, match="NaN or infinity"):
        voice.latents([signal])


def test_an_overflow_within_the_graph_is_refused(voice: FileExtractor) -> None:
    with pytest.raises(DataError, match="units"):
        voice.latents([np.full((22_640, 1), 1e30, np.float32)])


def test_a_wrong_number_of_channels_is_refused(voice: FileExtractor, imu: FileExtractor) -> None:
    with pytest.raises(DataError, match=r"\(samples, 1\): pcm"):
        voice.frames(np.zeros((16_000, 2), np.float32))
    with pytest.raises(DataError, match=r"shape \(200,\)"):
        imu.frames(np.zeros(200, np.float32))


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Let a second of work be reached at once on four cores; the threads that windows of the extractor went through."""
    seen: set[int] = set()
    run = base.FileExtractor._clip_frames

    def noted(self: FileExtractor, signal: Any) -> Any:
        seen.add(threading.get_ident())
        time.sleep(0.01)  # another thread has its turn
        return run(self, signal)

    monkeypatch.setattr(base.FileExtractor, "_clip_frames", noted)
    monkeypatch.setattr(base, "_LONG_S", 0.0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    monkeypatch.setattr(side_by_side, "LEAST_BYTES", 0)
    return seen


def test_long_work_goes_through_all_cores_with_the_same_bits(threads: set[int], rng: np.random.Generator) -> None:
    extractor = open_extractor(builtin_extractor("voice"))
    signals = [sound(rng, 16_000 + 100 * number) for number in range(9)]
    frames: list[NDArray[np.float32]] = []
    alone = extractor.latents(signals)
    assert threads == {threading.get_ident()}
    threads.clear()
    together = extractor.latents(signals, frames=frames)
    assert len(threads) > 1
    assert threading.get_ident() not in threads
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(extractor.pool(np.array(frames)), alone)


def test_an_error_in_one_of_many_threads_is_that_of_one(threads: set[int], rng: np.random.Generator) -> None:
    extractor = open_extractor(builtin_extractor("voice"))
    extractor.latents([sound(rng, 16_000)] * 2)
    with pytest.raises(DataError, match=r"shape \(16000, 2\)"):
        extractor.latents([sound(rng, 16_000), np.zeros((16_000, 2), np.float32), sound(rng, 16_000)])
    assert len(threads) > 1


def test_a_machine_of_little_memory_stays_in_one_thread(
    threads: set[int], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "LEAST_BYTES", 1 << 60)
    extractor = open_extractor(builtin_extractor("voice"))
    for _ in range(2):
        extractor.latents([sound(rng, 16_000)] * 3)
    assert threads == {threading.get_ident()}


def test_short_work_stays_in_one_thread(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_LONG_S", 0.0)
    extractor = open_extractor(builtin_extractor("imu"))
    contract = extractor.contract
    windows = [rng.normal(size=(contract.clip_samples, len(contract.channels))).astype(np.float32)] * 64
    monkeypatch.setattr(base, "_LONG_RUN_S", 1.0)
    extractor.latents(windows)
    assert extractor._each is map


def test_importing_loads_no_runtime() -> None:
    program = "import sys, edgecl.extractors.opening; sys.exit('onnxruntime' in sys.modules or 'onnx' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.native("embeds hundreds of clips")
@pytest.mark.board
def test_memory_stays_flat_over_many_clips(
    voice: FileExtractor, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "_each", map)  # each thread of long work takes some megabytes
    monkeypatch.setattr(base, "_LONG_S", np.inf)

    def resident_kib() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    clip = sound(rng, 16_000)
    voice.latents([clip] * 3)
    before = resident_kib()
    voice.latents([clip] * 15)
    assert resident_kib() - before < 4096
