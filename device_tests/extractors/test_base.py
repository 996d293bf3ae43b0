"""Extractors: contracts, bit equality, and files that are refused. Needs no exporter where the wheel is installed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import ContractError, DataError
from edgecl.extractors import base
from edgecl.extractors.base import FileExtractor, fit
from edgecl.extractors.contract import Contract
from edgecl.extractors.onnx import graph_digest
from edgecl.extractors.opening import builtin_extractor, open_extractor

VOICE = Contract(
    modality="voice",
    sample_rate_hz=16_000.0,
    channels=("pcm",),
    units=("full scale",),
    window_samples=12_400,
    hop_samples=1_280,
    pool_frames=9,
    dimension=3,
    mean=np.array([0.1, -2.5, 1e-7], np.float32),
    normalisation="l2",
    shrinkage_floor=0.03,
    source="a test, “quoted”",
    licence="Apache-2.0",
    graph_digest="00",
)


@pytest.fixture(scope="session")
def voice_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _extractor_file("voice", tmp_path_factory)


@pytest.fixture(scope="session")
def imu_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _extractor_file("imu", tmp_path_factory)


@pytest.fixture(scope="module")
def voice(voice_file: Path) -> FileExtractor:
    return open_extractor(voice_file)


@pytest.fixture(scope="module")
def imu(imu_file: Path) -> FileExtractor:
    return open_extractor(imu_file)


def _extractor_file(name: str, factory: pytest.TempPathFactory) -> Path:
    """Made by this checkout's exporter where there is one, else the one that was installed."""
    try:
        import edgecl_export
    except ImportError:
        try:
            return builtin_extractor(name)
        except ContractError as error:
            pytest.skip(f"no exporter and no {name}.onnx here: {error}")
    path = factory.mktemp("extractors") / f"{name}.onnx"
    {"voice": edgecl_export.export_voice, "imu": edgecl_export.export_imu}[name](path)
    return path


def sound(rng: np.random.Generator, n_samples: int) -> NDArray[np.float32]:
    """A tone that wanders through noise, (n_samples, 1)."""
    pitch = 200 + 1500 * np.abs(np.cumsum(rng.normal(size=n_samples)) / 300)
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / 16_000) * rng.uniform(0.05, 0.5)
    return (tone + rng.normal(size=n_samples) * 1e-3)[:, None].astype(np.float32)


def movement(rng: np.random.Generator, extractor: FileExtractor, count: int) -> list[NDArray[np.float32]]:
    shape = (extractor.contract.window_samples, len(extractor.contract.channels))
    return [(np.cumsum(rng.normal(size=shape), axis=0) * 0.3).astype(np.float32) for _ in range(count)]


# contracts


def test_a_contract_survives_being_written_as_texts() -> None:
    again = Contract.from_metadata(VOICE.metadata(), file="x.onnx")
    assert again.metadata() == VOICE.metadata()
    np.testing.assert_array_equal(again.mean, VOICE.mean)
    assert again.channels == VOICE.channels
    assert again.sample_rate_hz == VOICE.sample_rate_hz


def test_a_latent_sees_the_window_of_its_first_frame_and_a_hop_for_each_further_one() -> None:
    assert VOICE.clip_samples == 12_400 + 8 * 1_280


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("modality", "smell", "wanted one of voice"),
        ("normalisation", "l1", "wanted one of l2"),
        ("sample_rate_hz", -1.0, "sample_rate_hz"),
        ("sample_rate_hz", float("nan"), "sample_rate_hz"),
        ("channels", (), "no channels"),
        ("units", ("a", "b"), "2 units for 1 channels"),
        ("pool_frames", 0, "1 or more"),
        ("hop_samples", 20_000, "leaves gaps"),
        ("dimension", 4, "wanted 4 finite numbers"),
        ("dimension", 0, "dimension 0"),
        ("mean", np.array([1, 2, np.inf], np.float32), "3 finite numbers"),
        ("shrinkage_floor", 1.5, "shrinkage_floor"),
    ],
)
def test_a_contract_out_of_range_is_refused(field: str, value: object, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        replace(VOICE, **{field: value})


@pytest.mark.parametrize(
    ("key", "text", "complaint"),
    [
        ("format", None, "x.onnx has no contract"),
        ("format", "2", "update edgecl"),
        ("window_samples", None, "lacks"),
        ("window_samples", "many", "cannot be read"),
        ("mean", "[1, 2", "cannot be read"),
        ("mean", "[1, 2]", "3 finite numbers"),
        ("channels", "{", "cannot be read"),
        ("channels", "7", "cannot be read"),
    ],
)
def test_damaged_metadata_is_refused(key: str, text: str | None, complaint: str) -> None:
    metadata = VOICE.metadata()
    del metadata["edgecl." + key]
    if text is not None:
        metadata["edgecl." + key] = text
    with pytest.raises(ContractError, match=complaint):
        Contract.from_metadata(metadata, file="x.onnx")


def test_the_voice_contract_says_what_the_file_holds(voice: FileExtractor) -> None:
    contract = voice.contract
    assert (contract.modality, contract.channels, contract.sample_rate_hz) == ("voice", ("pcm",), 16_000)
    assert (contract.window_samples, contract.hop_samples) == (12_400, 1_280)
    assert (contract.pool_frames, contract.dimension) == (9, 96)
    assert contract.licence == "Apache-2.0"
    assert np.linalg.norm(contract.mean) > 1


# frames


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


# latents


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


def test_pooled_streamed_frames_are_the_latent_of_the_clip(voice: FileExtractor, rng: np.random.Generator) -> None:
    clip = sound(rng, voice.contract.clip_samples)
    stream = voice.stream()
    frames = np.concatenate([stream.push(clip[start : start + 1_280]) for start in range(0, len(clip), 1_280)])
    np.testing.assert_array_equal(voice.pool(frames[None]), voice.latents([clip]))


def test_no_signals_give_no_latents(voice: FileExtractor) -> None:
    assert voice.latents([]).shape == (0, 96)


def test_silence_has_a_finite_latent(voice: FileExtractor) -> None:
    assert np.isfinite(voice.latents([np.zeros((16_000, 1), np.float32)])).all()


def test_where_a_word_lies_between_silences_does_not_matter(voice: FileExtractor, rng: np.random.Generator) -> None:
    word = sound(rng, 8_000)
    early, late = (np.pad(word, ((lead, 32_000 - lead), (0, 0))) for lead in (0, 32_000))
    alone, first, last = voice.latents([word, early, late])
    np.testing.assert_array_equal(first, alone)
    np.testing.assert_array_equal(last, alone)


def test_sound_is_placed_with_its_loudest_part_in_the_middle() -> None:
    signal = np.zeros((40_000, 1), np.float32)
    signal[30_000:38_000] = 1
    clip = fit(signal, VOICE)[:, 0]
    assert len(clip) == VOICE.clip_samples
    assert np.count_nonzero(clip) == 8_000
    assert abs(np.flatnonzero(clip).mean() - len(clip) / 2) <= 160


def test_a_sound_as_long_as_a_clip_is_taken_as_it_is(rng: np.random.Generator) -> None:
    signal = sound(rng, VOICE.clip_samples) * np.linspace(0, 1, VOICE.clip_samples, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(fit(signal, VOICE), signal)


def test_a_short_sound_is_kept_whole_between_zeros(rng: np.random.Generator) -> None:
    signal = sound(rng, 7_000)
    clip = fit(signal, VOICE)
    start = int(np.argmax(clip[:, 0] != 0))
    np.testing.assert_array_equal(clip[start : start + 7_000], signal)
    assert not clip[:start].any()
    assert not clip[start + 7_000 :].any()


def test_of_a_long_movement_the_end_counts(imu: FileExtractor, rng: np.random.Generator) -> None:
    first, last = movement(rng, imu, 2)
    np.testing.assert_array_equal(imu.latents([np.concatenate([first, last])]), imu.latents([last]))


def test_a_short_movement_is_refused(imu: FileExtractor) -> None:
    short = np.zeros((imu.contract.clip_samples - 1, len(imu.contract.channels)), np.float32)
    with pytest.raises(DataError, match=f"a latent needs {imu.contract.clip_samples}"):
        imu.latents([short])


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


# files


def test_a_flipped_bit_in_the_graph_is_noticed(voice_file: Path, tmp_path: Path) -> None:
    content = bytearray(voice_file.read_bytes())
    content[len(content) // 2] ^= 1  # within the weights: it loads all the same
    path = tmp_path / "voice.onnx"
    path.write_bytes(content)
    with pytest.raises(ContractError, match="export it again"):
        open_extractor(path)


@pytest.mark.parametrize("kept", [0, 1, 7, 1_000, 1_000_000])
def test_a_truncated_file_is_refused(voice_file: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "voice.onnx"
    path.write_bytes(voice_file.read_bytes()[:kept])
    with pytest.raises(ContractError):
        open_extractor(path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_text("a list of things to do, and not a graph")
    with pytest.raises(ContractError, match="not an ONNX file"):
        open_extractor(path)


@pytest.mark.parametrize("name", ["nothing.onnx", "."])
def test_a_path_without_a_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ContractError, match="cannot be read"):
        open_extractor(tmp_path / name)


def test_the_file_digest_is_that_of_the_file(voice: FileExtractor, voice_file: Path) -> None:
    from hashlib import sha256

    assert voice.digest == sha256(voice_file.read_bytes()).hexdigest()


def test_the_graph_digest_leaves_the_metadata_out() -> None:
    version, metadata, graph = b"\x08\x0a", b"\x72\x03abc", b"\x3a\x04wxyz"
    assert graph_digest(version + metadata + graph) == graph_digest(version + graph + b"\x72\x01d")
    assert graph_digest(version + graph) != graph_digest(version + b"\x3a\x04wxyy")


@pytest.mark.parametrize("damaged", [b"\x3a\x05wxyz", b"\x3a", b"\xff" * 20, b"\x0f"])
def test_the_graph_digest_of_no_message_is_an_error(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|no such number|no field"):
        graph_digest(damaged)


def test_an_extractor_that_does_not_ship_says_how_to_make_it() -> None:
    with pytest.raises(ContractError, match="no smell extractor ships") as raised:
        builtin_extractor("smell")
    assert raised.value.remedy == "export"


def test_tflite_without_a_runtime_or_contract_says_so(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    with pytest.raises(ContractError, match="no contract") as raised:
        open_extractor(path)
    assert raised.value.remedy == "wrap"


def test_importing_loads_no_runtime() -> None:
    program = "import sys, edgecl.extractors.opening; sys.exit('onnxruntime' in sys.modules or 'onnx' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.native("embeds hundreds of clips")
@pytest.mark.board
def test_memory_stays_flat_over_many_clips(voice: FileExtractor, rng: np.random.Generator) -> None:
    def resident_kib() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    clip = sound(rng, 16_000)
    voice.latents([clip] * 3)
    before = resident_kib()
    voice.latents([clip] * 15)
    assert resident_kib() - before < 4096
