"""What is read, what is skipped and why, and what is refused as a whole."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import sys
import tracemalloc
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecl.errors import DataError, SettingError
from edgecl.extractors.contract import Contract
from edgecl.sources import csv_windows
from edgecl.sources.labels import clean_label
from edgecl.sources.reading import count_samples, read_samples
from edgecl.sources.samples import Sample, Skip, UnusableError
from edgecl.sources.sound import read_wav

RATE = 16_000


def contract_of(
    modality: str, rate_hz: float, channels: tuple[str, ...], window: int, hop: int, pool_frames: int = 1
) -> Contract:
    return Contract(
        modality=modality,
        sample_rate_hz=rate_hz,
        channels=channels,
        units=("unit",) * len(channels),
        window_samples=window,
        hop_samples=hop,
        pool_frames=pool_frames,
        dimension=1,
        mean=np.zeros(1, np.float32),
        normalisation="l2",
        shrinkage_floor=0.1,
        source="a test",
        licence="Apache-2.0",
    )


VOICE = contract_of("voice", 16_000.0, ("pcm",), 12_400, 1280, 9)
WRIST = contract_of("imu", 50.0, ("ax", "ay", "az"), 20, 10)
TABLE = contract_of("table", 0.0, ("price", "demand"), 1, 1)


def tone(seconds: float = 0.5, *, hertz: float = 440, rate: int = RATE, level: float = 0.5) -> NDArray[np.float64]:
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def wav(
    signal: NDArray[Any],
    *,
    rate: int = RATE,
    bits: int = 16,
    codec: int = 1,
    before: bytes = b"",
    data_size: int | None = None,
    extensible: bool = False,
) -> bytes:
    """A WAV file of `signal` (n,) or (n, channels)."""
    channels = 1 if signal.ndim == 1 else signal.shape[1]
    if codec == 3:
        data = signal.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        data = (signal * 127 + 128).astype("u1").tobytes()
    elif bits == 24:
        data = (signal * (2**31 - 1)).astype("<i4").reshape(-1, 1).view("u1").reshape(-1, 4)[:, 1:].tobytes()
    else:
        data = (signal * (2 ** (bits - 1) - 1)).astype(f"<i{bits // 8}").tobytes()
    frame = channels * bits // 8
    layout = struct.pack("<HHIIHH", 0xFFFE if extensible else codec, channels, rate, rate * frame, frame, bits)
    if extensible:
        guid = codec.to_bytes(2, "little") + bytes.fromhex("000000001000800000aa00389b71")
        layout += struct.pack("<HHI", 22, bits, 0) + guid
    size = len(data) if data_size is None else data_size
    body = b"WAVEfmt " + len(layout).to_bytes(4, "little") + layout + before
    body += b"data" + size.to_bytes(4, "little") + data
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def flac(signal: NDArray[Any], rate: int = RATE) -> bytes:
    soundfile = pytest.importorskip("soundfile")
    stream = io.BytesIO()
    soundfile.write(stream, signal, rate, format="FLAC")
    return stream.getvalue()


def samples_of(path: Path, contract: Any = VOICE, **options: Any) -> list[Sample]:
    return [item for item in read_samples(path, contract, **options) if isinstance(item, Sample)]


def skips_of(path: Path, contract: Any = VOICE, **options: Any) -> list[Skip]:
    """All skips, also where nothing else is there."""
    items = read_samples(path, contract, **options)
    skips: list[Skip] = []
    with contextlib.suppress(DataError):
        skips.extend(item for item in items if isinstance(item, Skip))
    return skips


def reason_of(content: bytes, tmp_path: Path) -> str:
    """Why a clip with this content is skipped."""
    (skip,) = skips_of(put(tmp_path / "clip.wav", content), label="go")
    return skip.reason


def movement(n: int, *, seed: int = 0, channels: int = 3) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, channels))


def csv_of(times: Any, values: NDArray[Any], extra: dict[str, list[Any]] | None = None) -> str:
    """A CSV with the columns of WRIST."""
    extra = extra or {}
    rows = [",".join(("timestamp", "ax", "ay", "az", *extra))]
    for i, time in enumerate(times):
        cells = [
            str(time),
            *(repr(float(value)) for value in values[i]),
            *(str(extra[name][i]) for name in extra),
        ]
        rows.append(",".join(cells))
    return "\n".join(rows) + "\n"


# WAV files


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
def test_wav_is_read_as_libsndfile_reads_it(subtype: str, kind: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    stream = io.BytesIO()
    signal = np.random.default_rng(0).uniform(-0.9, 0.9, (1001, 3))
    soundfile.write(stream, signal, 22_050, subtype=subtype, format=kind)
    expected, rate = soundfile.read(io.BytesIO(stream.getvalue()), dtype="float32")
    sound = read_wav(stream.getvalue())
    assert (sound.rate_hz, rate) == (22_050, 22_050)
    np.testing.assert_allclose(sound.samples, expected, atol=1e-7)


@pytest.mark.parametrize(("bits", "codec"), [(8, 1), (16, 1), (24, 1), (32, 1), (32, 3), (64, 3)])
@pytest.mark.parametrize("extensible", [False, True])
def test_wav_is_read_without_any_library(bits: int, codec: int, extensible: bool) -> None:
    sound = read_wav(wav(tone(), bits=bits, codec=codec, extensible=extensible))
    np.testing.assert_allclose(sound.samples[:, 0], tone(), atol=2.0 ** (2 - min(bits, 16)))


def test_chunks_of_odd_size_before_the_sound_are_passed_over() -> None:
    sound = read_wav(wav(tone(), before=b"LIST\x03\x00\x00\x00abc\x00junk\x00\x00\x00\x00"))
    assert sound.samples.shape == (8000, 1)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_size_field_that_was_never_filled_in_means_up_to_the_end(size: int) -> None:
    content = bytearray(wav(tone(), data_size=size))
    content[4:8] = b"\xff\xff\xff\xff"
    assert read_wav(bytes(content)).samples.shape == (8000, 1)


def test_half_a_frame_at_the_end_is_dropped() -> None:
    assert read_wav(wav(np.stack((tone(), tone()), axis=1))[:-3]).samples.shape == (7999, 2)


def test_wav_that_lost_half_of_its_sound_is_skipped_with_both_lengths(tmp_path: Path) -> None:
    content = wav(tone(1.0))
    assert reason_of(content[: len(content) // 2], tmp_path) == "truncated: holds 0.50 s of 1.00 s"


@pytest.mark.parametrize("length", [5, 12, 20, 30, 40])
def test_truncated_header_is_skipped(tmp_path: Path, length: int) -> None:
    assert reason_of(wav(tone())[:length], tmp_path).startswith("truncated header")


def test_unknown_codec_is_named(tmp_path: Path) -> None:
    assert "mu-law" in reason_of(wav(tone(), codec=7, bits=16), tmp_path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_wav_is_read_or_skipped_but_never_crashes(data: st.DataObject) -> None:
    content = bytearray(wav(tone(0.02), before=b"LIST\x04\x00\x00\x00abcd"))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 70))] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(content)))
    try:
        sound = read_wav(bytes(content[:length]))
    except UnusableError:
        return
    assert sound.samples.dtype == np.float32
    assert sound.samples.ndim == 2


# Clips


def test_sound_at_the_extractors_rate_is_passed_on_unchanged(tmp_path: Path) -> None:
    (sample,) = samples_of(put(tmp_path / "anna_3.wav", wav(tone())), label="go")
    assert (sample.label, sample.group, sample.source) == ("go", "anna", str(tmp_path / "anna_3.wav"))
    assert sample.signal.shape == (8000, 1)
    assert sample.signal.dtype == np.float32
    np.testing.assert_allclose(sample.signal[:, 0], tone(), atol=1e-4)


def test_sixteen_kilohertz_wav_needs_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert len(samples_of(put(tmp_path / "clip.wav", wav(tone())), label="go")) == 1


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    pytest.importorskip("soxr")
    (sample,) = samples_of(put(tmp_path / "clip.wav", wav(tone(rate=rate), rate=rate)), label="go")
    assert abs(len(sample.signal) - 8000) <= 1
    middle = slice(2000, 6000)
    assert np.abs(sample.signal[middle, 0] - tone()[middle]).max() < 0.01


def test_stereo_is_averaged(tmp_path: Path) -> None:
    stereo = np.stack((tone(), np.zeros(8000)), axis=1)
    (sample,) = samples_of(put(tmp_path / "clip.wav", wav(stereo)), label="go")
    np.testing.assert_allclose(sample.signal[:, 0], tone() / 2, atol=1e-4)


def test_flac_is_read(tmp_path: Path) -> None:
    (sample,) = samples_of(put(tmp_path / "clip.flac", flac(tone())), label="go")
    np.testing.assert_allclose(sample.signal[:, 0], tone(), atol=1e-4)


def test_kind_of_sound_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    assert len(samples_of(put(tmp_path / "clip.wav", flac(tone())), label="go")) == 1


def test_damaged_flac_is_skipped(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    assert reason_of(b"fLaC" + bytes(100), tmp_path).startswith("not audio: damaged FLAC")
    assert reason_of(flac(tone())[:4000], tmp_path).partition(":")[0] in ("not audio", "truncated")


@pytest.mark.parametrize(
    ("module", "content"), [("soxr", wav(tone(rate=8000), rate=8000)), ("soundfile", b"fLaC" + bytes(50))]
)
def test_missing_extra_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, content: bytes
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=r"pip install edgecl\[audio\]"):
        samples_of(put(tmp_path / "clip.wav", content), label="go")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"ID3\x04" + bytes(100), "not audio: begins with 'ID3"),
        (wav(tone(0.05)), "too short: 0.050 s of sound"),
        (wav(tone(0)), "too short: 0.000 s"),
        (
            wav(np.concatenate((np.zeros(4000), tone(0.02), np.zeros(4000)))),
            "too short: 0.020 s of sound above",
        ),
        (wav(np.zeros(8000)), "silent: all samples are zero"),
        (wav(tone(level=2e-4), bits=24), "silent: peak -74.0 dBFS"),
        (wav(np.clip(tone(level=3), -1, 1)), "clipped: "),
        (wav(tone() * np.nan, codec=3, bits=32), "not finite"),
        (wav(np.where(tone() > 0, np.inf, 0.1), codec=3, bits=32), "not finite"),
        (wav(tone() * 32768, codec=3, bits=32), "bad scale: samples reach 1.64e+04"),
        (wav(tone(), rate=0), "unknown rate: the header states 0 Hz"),
        (wav(tone(), rate=100), "unknown rate: 100 Hz is not a rate for speech"),
        (wav(tone(31)), "too long: 31.0 s"),
    ],
)
def test_clip_that_teaches_nothing_is_skipped_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    assert reason_of(content, tmp_path).startswith(reason)


def test_clipping_is_reported_with_its_share(tmp_path: Path) -> None:
    signal = tone()
    signal[:200] = 1
    assert reason_of(wav(signal), tmp_path) == "clipped: 2.5 % of samples at full scale, allowed are 1 %"


def test_loud_clip_that_only_touches_full_scale_is_read(tmp_path: Path) -> None:
    assert len(samples_of(put(tmp_path / "clip.wav", wav(tone(level=1.0))), label="go")) == 1


# Labels


def test_label_is_stripped_and_normalised() -> None:
    assert clean_label(" cafe\u0301 ") == "caf\u00e9"


@pytest.mark.parametrize("label", ["Licht aus", "灯を消す", "می‌خواهم", "👩‍🍳", "_silence_", "a/b", "x" * 64])
def test_labels_of_any_script_are_allowed(label: str) -> None:
    assert clean_label(label) == label


@pytest.mark.parametrize("label", ["", "  ", "x" * 65, "a\nb", "a\x00b", ".hidden", "on\u202efdp", "\udc80"])
def test_label_that_can_do_harm_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(SettingError, match=r"the label .* can't be used"):
        read_samples(put(tmp_path / "clip.wav", wav(tone())), VOICE, label=label)


# Folders


def test_labels_and_speakers_come_from_folders_and_names(tmp_path: Path) -> None:
    put(tmp_path / "go" / "anna_1.wav", wav(tone(hertz=300)))
    put(tmp_path / "go" / "ben" / "take.wav", wav(tone(hertz=310)))
    put(tmp_path / "stop" / "plain.WAV", wav(tone(hertz=320)))
    found = [(sample.label, sample.group) for sample in samples_of(tmp_path)]
    assert found == [("go", "anna"), ("go", "ben"), ("stop", None)]


def test_order_is_that_of_the_names(tmp_path: Path) -> None:
    for i, name in enumerate(["b/2.wav", "a/z.wav", "b/10.wav", "a/b.wav"]):
        put(tmp_path / name, wav(tone(hertz=300 + i)))
    names = [Path(sample.source).relative_to(tmp_path).as_posix() for sample in samples_of(tmp_path)]
    assert names == ["a/b.wav", "a/z.wav", "b/10.wav", "b/2.wav"]


def test_flat_folder_takes_its_label_from_the_option(tmp_path: Path) -> None:
    put(tmp_path / "1.wav", wav(tone()))
    assert [sample.label for sample in samples_of(tmp_path, label="go")] == ["go"]


def test_flat_folder_without_a_label_is_refused_with_the_option_to_use(tmp_path: Path) -> None:
    put(tmp_path / "1.wav", wav(tone()))
    with pytest.raises(DataError, match=r"give (the|their) label"):
        read_samples(tmp_path, VOICE)


def test_bare_file_without_a_label_is_refused_unless_none_is_needed(tmp_path: Path) -> None:
    path = put(tmp_path / "1.wav", wav(tone()))
    with pytest.raises(DataError, match=r"give (the|their) label"):
        read_samples(path, VOICE)
    assert [sample.label for sample in samples_of(path, labelled=False)] == [None]


def test_label_for_a_folder_of_labels_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    with pytest.raises(DataError, match=r"\(go\).*give no label"):
        read_samples(tmp_path, VOICE, label="stop")


def test_file_beside_the_label_folders_is_skipped(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    put(tmp_path / "2.wav", wav(tone(hertz=300)))
    assert [skip.reason.partition(":")[0] for skip in skips_of(tmp_path)] == ["no label"]


def test_other_files_are_skipped_and_hidden_ones_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    put(tmp_path / "go" / "notes.txt", "hello")
    put(tmp_path / "go" / ".DS_Store", "x")
    put(tmp_path / ".git" / "1.wav", wav(tone()))
    (skip,) = skips_of(tmp_path)
    assert skip == Skip(str(tmp_path / "go" / "notes.txt"), "other file: not a .wav or .flac file")


def test_same_bytes_twice_are_a_duplicate_of_the_first(tmp_path: Path) -> None:
    first = put(tmp_path / "go" / "1.wav", wav(tone()))
    put(tmp_path / "stop" / "1.wav", wav(tone()))
    (skip,) = skips_of(tmp_path)
    assert skip.reason == f"duplicate: the same as {first}"


def test_symlinks_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    (tmp_path / "go" / "up").symlink_to(tmp_path)
    (tmp_path / "go" / "self").symlink_to(tmp_path / "go" / "self")
    (tmp_path / "go" / "gone.wav").symlink_to(tmp_path / "nowhere")
    reasons = {skip.reason.partition(":")[0] for skip in skips_of(tmp_path)}
    assert len(samples_of(tmp_path)) == 1
    assert reasons == {"symlink loop", "unreadable"}


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    os.mkfifo(tmp_path / "go" / "2.wav")
    assert [skip.reason.partition(":")[0] for skip in skips_of(tmp_path)] == ["not a regular file"]


def test_unreadable_file_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert [skip.reason for skip in skips_of(tmp_path)] == ["unreadable: Permission denied"]


def test_bad_folder_name_is_skipped_file_by_file(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    put(tmp_path / ("x" * 65) / "1.wav", wav(tone(hertz=300)))
    assert [skip.reason.partition(":")[0] for skip in skips_of(tmp_path)] == ["bad label"]


def test_long_background_recording_is_cut_into_clips(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 40 * RATE)
    put(tmp_path / "_background_noise_" / "kitchen.wav", wav(noise))
    put(tmp_path / "go" / "kitchen.wav", wav(noise[::-1]))
    samples = samples_of(tmp_path)
    assert len(samples) == 40 * RATE // VOICE.clip_samples
    assert {sample.label for sample in samples} == {"_background_noise_"}
    assert {len(sample.signal) for sample in samples} == {VOICE.clip_samples}
    assert [skip.reason for skip in skips_of(tmp_path)] == ["too long: 40.0 s, a clip has at most 30 s: cut it"]


def test_reading_is_lazy(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    second = put(tmp_path / "go" / "2.wav", wav(tone(hertz=300)))
    items = read_samples(tmp_path, VOICE)
    next(items)
    second.unlink()
    assert isinstance(next(items), Skip)


def test_recordings_in_label_folders_are_read_for_movement(tmp_path: Path) -> None:
    put(tmp_path / "curl" / "anna_1.csv", csv_of(np.arange(50) / 50, movement(50)))
    put(tmp_path / "curl" / "2.csv", "nonsense")
    samples = samples_of(tmp_path, WRIST)
    assert {(sample.label, sample.group) for sample in samples} == {("curl", "anna")}
    assert skips_of(tmp_path, WRIST)[0].source.endswith("2.csv")


# Whole paths


@pytest.mark.parametrize("make", ["missing", "empty folder", "hidden only", "other kind", "no sound"])
def test_useless_path_is_refused_before_the_first_sample(tmp_path: Path, make: str) -> None:
    path = tmp_path / "data"
    if make in ("empty folder", "hidden only", "no sound"):
        path.mkdir()
    if make == "hidden only":
        put(path / ".DS_Store", "x")
    if make == "no sound":
        put(path / "windows.npz", "x")
    if make == "other kind":
        path = put(tmp_path / "data.mp3", "x")
    message = {
        "missing": "does not exist",
        "empty folder": "empty folder",
        "hidden only": "empty folder",
        "other kind": "no known kind",
        "no sound": "to read windows.npz, give its own path",
    }
    with pytest.raises(DataError, match=message[make]):
        read_samples(path, VOICE, label="go")


def test_nothing_usable_is_refused_with_counted_reasons(tmp_path: Path) -> None:
    for i in range(3):
        put(tmp_path / "go" / f"{i}.wav", wav(tone(0.01 * (i + 1))))
    put(tmp_path / "go" / "zero.wav", wav(np.zeros(8000)))
    with pytest.raises(DataError, match=r"3 too short, 1 silent \(first: .*0.wav: too short"):
        list(read_samples(tmp_path, VOICE))


def test_sound_for_an_extractor_of_movement_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"3 channels \(ax, ay, az\)"):
        read_samples(put(tmp_path / "clip.wav", wav(tone())), WRIST, label="go")
    with pytest.raises(DataError, match="takes sound"):
        read_samples(put(tmp_path / "run.csv", csv_of([0], movement(1))), VOICE, label="go")


# Archives of windows


def npz(path: Path, **arrays: Any) -> Path:
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


def windows(count: int = 4, *, time: int = 20, channels: int = 3) -> NDArray[np.float32]:
    return movement(count * time, channels=channels).reshape(count, time, channels).astype(np.float32)


def test_windows_are_read_with_labels_and_subjects(tmp_path: Path) -> None:
    names = np.array(["curl", "raise"])
    path = npz(
        tmp_path / "w.npz",
        X=windows(),
        y=np.array([0, 1, 1, 0]),
        label_names=names,
        subject=[7, 7, 8, 8],
        rate_hz=50,
    )
    samples = samples_of(path, WRIST)
    assert [(sample.label, sample.group) for sample in samples] == [
        ("curl", "7"),
        ("raise", "7"),
        ("raise", "8"),
        ("curl", "8"),
    ]
    assert samples[2].source == f"{path}[2]"
    np.testing.assert_array_equal(samples[2].signal, windows()[2])


@pytest.mark.parametrize("labels", [np.array(["a", "b", "a", "b"]), np.array([b"a", b"b", b"a", b"b"])])
def test_labels_can_be_text(tmp_path: Path, labels: NDArray[Any]) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=labels, rate_hz=50)
    assert [sample.label for sample in samples_of(path, WRIST)] == ["a", "b", "a", "b"]


def test_numbers_without_names_are_labels_as_they_are(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=np.array([0.0, 1.0, 5.0, 0.0]), rate_hz=50)
    assert [sample.label for sample in samples_of(path, WRIST)] == ["0", "1", "5", "0"]


def test_compressed_archives_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "w.npz", X=windows(), y=np.zeros(4, int))
    assert len(samples_of(tmp_path / "w.npz", WRIST)) == 4


def test_windows_without_labels_take_the_option(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), rate_hz=50)
    assert {sample.label for sample in samples_of(path, WRIST, label="curl")} == {"curl"}
    with pytest.raises(DataError, match=r"give (the|their) label"):
        read_samples(path, WRIST)


def test_label_for_labelled_windows_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=np.zeros(4, int), rate_hz=50)
    with pytest.raises(DataError, match="give no other"):
        read_samples(path, WRIST, label="curl")


def test_channels_are_sorted_into_the_contracts_order(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=np.zeros(4, int), channels=["az", "ax", "ay"])
    np.testing.assert_array_equal(samples_of(path, WRIST)[0].signal, windows()[0][:, [1, 2, 0]])


def test_channels_of_other_names_are_taken_in_order_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=np.zeros(4, int), channels=["x", "y", "z"])
    np.testing.assert_array_equal(samples_of(path, WRIST)[0].signal, windows()[0])
    assert "x, y, z are taken as ax, ay, az" in caplog.text


def test_bad_windows_are_skipped_one_by_one(tmp_path: Path) -> None:
    X = windows(6)
    X[1, 3, 0] = np.nan
    X[2] = 0
    X[3] = X[0]
    path = npz(tmp_path / "w.npz", X=X, y=np.array([0, 0, 0, 0, 9, -1]), label_names=["curl"], rate_hz=50)
    reasons = [skip.reason.partition(":")[0] for skip in skips_of(path, WRIST)]
    assert reasons == ["not finite", "silent", "duplicate", "bad label", "bad label"]
    assert len(samples_of(path, WRIST)) == 1


@pytest.mark.parametrize(("rate", "length"), [(25, 10), (100, 40), (62.5, 25), (200, 80)])
def test_windows_of_another_rate_are_interpolated(tmp_path: Path, rate: float, length: int) -> None:
    time = np.arange(length) / rate
    X = np.repeat(np.sin(2 * np.pi * 2 * time)[None, :, None], 3, axis=2)
    (sample,) = samples_of(npz(tmp_path / "w.npz", X=X, y=[0], rate_hz=rate), WRIST)
    assert sample.signal.shape == (20, 3)
    expected = np.sin(2 * np.pi * 2 * np.arange(20) / 50)
    assert np.abs(sample.signal[1:-1, 0] - expected[1:-1]).max() < 0.06


def test_what_a_lower_rate_cannot_hold_does_not_fold_back(tmp_path: Path) -> None:
    time = np.arange(400) / 200
    X = np.repeat(np.sin(2 * np.pi * 52 * time)[None, :, None], 3, axis=2)  # would be seen at 2 Hz
    (sample,) = samples_of(npz(tmp_path / "w.npz", X=X, y=[0], rate_hz=200), WRIST)
    assert np.abs(sample.signal[1:-1]).max() < 0.25


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.zeros(4)}, "no array X"),
        ({"X": np.zeros((4, 20, 3)), "y": np.zeros(3)}, "y has the shape"),
        (
            {"X": np.zeros((4, 20, 6)), "y": np.zeros(4)},
            r"wrong channel count: 6, the extractor takes 3 \(ax, ay, az\)",
        ),
        ({"X": np.zeros((4, 20)), "y": np.zeros(4)}, "wrong shape"),
        ({"X": np.zeros((0, 20, 3)), "y": np.zeros(0)}, "shape"),
        ({"X": np.array([["a"]]), "y": np.zeros(1)}, "wanted numbers"),
        (
            {"X": np.zeros((4, 20, 3)), "y": np.zeros(4), "rate_hz": 10},
            "wrong rate: 10 Hz, the extractor takes 50 Hz",
        ),
        ({"X": np.zeros((4, 20, 3)), "y": np.zeros(4), "rate_hz": np.nan}, "unknown rate"),
        ({"X": np.zeros((4, 33, 3)), "y": np.zeros(4)}, "unknown rate: no rate_hz"),
        ({"X": np.array([{}, {}]), "y": np.zeros(2)}, "Python objects"),
    ],
)
def test_archive_that_does_not_fit_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_samples(npz(tmp_path / "w.npz", **arrays), WRIST)


def test_a_table_without_line_ends_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("timestamp,x,y,z\n" + "1," * (1 << 20))
    with pytest.raises(DataError, match="a line is longer than 1 MiB"):
        read_samples(tmp_path / "t.csv", WRIST)


def test_a_zip_bomb_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "w.npz", X=np.zeros((1 << 19, 6, 6), np.int8))
    with pytest.raises(DataError, match="would inflate to 18 MiB, more than data does"):
        read_samples(tmp_path / "w.npz", WRIST)


def test_absurd_shape_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**4, 3)})
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("X.npy", header.getvalue())
    with pytest.raises(DataError, match="GiB"):
        read_samples(tmp_path / "w.npz", WRIST)


def test_header_that_asks_for_more_than_there_is_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1000, 20, 3)})
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("X.npy", header.getvalue())
    with pytest.raises(DataError, match="damaged"):
        read_samples(tmp_path / "w.npz", WRIST)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_archive_is_read_or_refused_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, save: Any, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("npz") / "w.npz"
    save(path, X=windows(2), y=np.zeros(2, int), rate_hz=50.0)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2, 10, 0]))])
    with contextlib.suppress(DataError):
        list(read_samples(path, WRIST))


def test_rows_of_a_table_are_samples(tmp_path: Path) -> None:
    path = npz(tmp_path / "t.npz", X=np.array([[1.0, 2.0], [0.0, 0.0]]), y=np.array(["up", "down"]))
    samples = samples_of(path, TABLE)
    assert [sample.signal.tolist() for sample in samples] == [[[1, 2]], [[0, 0]]]


def test_windows_of_sound_are_scaled_and_judged_like_files(tmp_path: Path) -> None:
    X = np.stack(((tone() * 32767).astype(np.int16), np.zeros(8000, np.int16)))
    path = npz(tmp_path / "w.npz", X=X, y=np.zeros(2, int), rate_hz=RATE)
    (sample,) = samples_of(path)
    np.testing.assert_allclose(sample.signal[:, 0], tone(), atol=1e-4)
    assert skips_of(path)[0].reason.startswith("silent: all samples are zero")


# CSV recordings


def test_recording_is_cut_into_windows_by_length_and_hop(tmp_path: Path) -> None:
    values = movement(100)
    path = put(tmp_path / "run.csv", csv_of([round(i * 0.02, 2) for i in range(100)], values))
    samples = samples_of(path, WRIST, label="curl")
    assert [sample.source for sample in samples][:2] == [f"{path}:2", f"{path}:12"]
    assert len(samples) == 9
    for i, sample in enumerate(samples):
        np.testing.assert_allclose(sample.signal, values[10 * i : 10 * i + 20], atol=1e-6)


@pytest.mark.parametrize(
    "stamp",
    [
        lambda i: f"{i / 50:.2f}",
        lambda i: 20 * i,
        lambda i: f"{1.7e9 + i / 50:.2f}",
        lambda i: 1_700_000_000_000 + 20 * i,
        lambda i: (1_700_000_000_000 + 20 * i) * 1000,
        lambda i: (1_700_000_000_000 + 20 * i) * 1_000_000,
        lambda i: (datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC) + i * timedelta(milliseconds=20)).isoformat(),
        lambda i: f"2024-02-29 12:00:{i // 50:02d}.{20 * (i % 50):03d}",
    ],
    ids=["s", "ms", "epoch s", "epoch ms", "epoch us", "epoch ns", "ISO with zone", "ISO without"],
)
def test_kind_of_timestamp_is_detected(tmp_path: Path, stamp: Any) -> None:
    values = movement(100)
    samples = samples_of(put(tmp_path / "run.csv", csv_of(map(stamp, range(100)), values)), WRIST, label="curl")
    assert len(samples) == 9
    np.testing.assert_allclose(samples[1].signal, values[10:30], atol=1e-4)


def test_kind_of_timestamp_and_rate_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="edgecl")
    samples_of(put(tmp_path / "run.csv", csv_of(range(0, 2000, 20), movement(100))), WRIST, label="curl")
    assert "read as milliseconds, 50 Hz" in caplog.text


def test_jitter_is_interpolated_away(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.sort(np.arange(300) / 60 + rng.uniform(-0.004, 0.004, 300))
    values = np.sin(2 * np.pi * times)[:, None].repeat(3, axis=1)
    samples = samples_of(put(tmp_path / "run.csv", csv_of(times, values)), WRIST, label="curl")
    for i, sample in enumerate(samples):
        expected = np.sin(2 * np.pi * (times[0] + (10 * i + np.arange(20)) / 50))
        np.testing.assert_allclose(sample.signal[:, 1], expected, atol=0.01)


def test_lost_row_is_bridged_and_a_long_gap_is_not(tmp_path: Path) -> None:
    times = np.arange(100) / 50
    keep = np.ones(100, bool)
    keep[[15, 16]] = False
    times[60:] += 1
    ramp = times[:, None].repeat(3, axis=1)
    path = put(tmp_path / "run.csv", csv_of(times[keep], ramp[keep]))
    samples = samples_of(path, WRIST, label="curl")
    assert len(samples) == 5 + 3
    for sample in samples:
        np.testing.assert_allclose(np.diff(sample.signal[:, 0]), 0.02, atol=1e-4)


def test_windows_hold_one_label_and_one_subject(tmp_path: Path) -> None:
    extra = {"label": ["curl"] * 50 + ["raise"] * 50, "subject": ["anna"] * 75 + ["ben"] * 25}
    path = put(tmp_path / "run.csv", csv_of(np.arange(100) / 50, movement(100), extra))
    found = [(sample.label, sample.group) for sample in samples_of(path, WRIST)]
    assert found == [("curl", "anna")] * 4 + [("raise", "anna")] + [("raise", "ben")]


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    rows = ["AZ,comment,ax,timestamp,ay"] + [f"3,x,1,{i / 50},2" for i in range(40)]
    samples = samples_of(put(tmp_path / "run.csv", "\n".join(rows)), WRIST, label="curl")
    assert samples[0].signal[0].tolist() == [1, 2, 3]


def test_columns_of_other_names_are_taken_in_order_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ["timestamp,x,y,z"] + [f"{i / 50},1,2,3" for i in range(40)]
    samples = samples_of(put(tmp_path / "run.csv", "\n".join(rows)), WRIST, label="curl")
    assert samples[0].signal[0].tolist() == [1, 2, 3]
    assert "x, y, z are taken as ax, ay, az" in caplog.text


def test_header_that_is_no_utf8_can_be_printed(tmp_path: Path) -> None:
    path = put(tmp_path / "run.csv", "timestamp,Höhe\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"1 columns of measurements \(h.he\)"):
        read_samples(path, WRIST, label="curl")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_decimal_commas_are_read(tmp_path: Path, delimiter: str) -> None:
    rows = [delimiter.join(("timestamp", "ax", "ay", "az"))]
    rows += [delimiter.join((f"{i / 50}".replace(".", ","), "1,5", "2", "3")) for i in range(40)]
    samples = samples_of(put(tmp_path / "run.csv", "\ufeff" + "\r\n".join(rows)), WRIST, label="curl")
    assert samples[0].signal[0].tolist() == [1.5, 2, 3]


def test_bad_rows_are_skipped_with_their_line(tmp_path: Path) -> None:
    lines = csv_of(np.arange(60) / 50, movement(60)).splitlines()
    lines[10] = "0.18,1,2"
    lines[20] = "0.38,1,2,x"
    lines[30] = "0.58,1,nan,3"
    lines[40] = "soon,1,2,3"
    lines[50] = "0.5,1,2,3"
    path = put(tmp_path / "run.csv", "\n".join(lines))
    skips = [(skip.source, skip.reason.partition(":")[0]) for skip in skips_of(path, WRIST, label="curl")]
    assert skips == [
        (f"{path}:11", "ragged row"),
        (f"{path}:21", "not a number"),
        (f"{path}:31", "not finite"),
        (f"{path}:41", "bad timestamp"),
        (f"{path}:51", "unsorted time"),
    ]
    assert len(samples_of(path, WRIST, label="curl")) == 5


def test_many_bad_rows_are_listed_twenty_times_and_counted(tmp_path: Path) -> None:
    text = csv_of(np.arange(60) / 50, movement(60)) + "1.2,1\n" * 1000
    skips = skips_of(put(tmp_path / "run.csv", text), WRIST, label="curl")
    assert len(skips) == 21
    assert skips[-1].reason == "ragged row: 980 more like the 20 listed"


def test_clock_that_was_set_back_begins_a_new_recording(tmp_path: Path) -> None:
    times = [*np.arange(40) / 50, *np.arange(43) / 50]
    path = put(tmp_path / "run.csv", csv_of(times, movement(83)))
    assert len(samples_of(path, WRIST, label="curl")) == 6
    assert [skip.reason.partition(":")[0] for skip in skips_of(path, WRIST, label="curl")] == ["unsorted time"] * 2


def test_stretch_under_one_window_is_skipped_with_its_lines(tmp_path: Path) -> None:
    path = put(tmp_path / "run.csv", csv_of([*np.arange(15) / 50, *(5 + np.arange(30) / 50)], movement(45)))
    (skip,) = skips_of(path, WRIST, label="curl")
    assert skip.reason == "too short: 15 samples (0.30 s), a window has 20 in lines 2 to 16"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("time,ax,ay,az\n0,1,2,3\n", "no column timestamp, only time, ax, ay, az"),
        ("timestamp,ax,ay\n0,1,2\n.02,1,2\n", r"2 columns of measurements \(ax, ay\), the extractor takes 3"),
        ("timestamp,ax,ax,az\n", "two columns of the same name"),
        ("timestamp,ax,ay,az\n", "holds 0 rows"),
        ("timestamp,ax,ay,az\nx,1,2,3\ny,1,2,3\n", "neither as a number"),
        (csv_of(np.arange(30), movement(30)), r"wrong rate: 1 Hz \(timestamps read as seconds\)"),
    ],
)
def test_csv_that_cannot_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_samples(put(tmp_path / "run.csv", text), WRIST, label="curl")


def test_rows_without_a_label_are_skipped_only_if_labels_are_needed(tmp_path: Path) -> None:
    extra = {"label": [""] * 30 + ["curl"] * 30}
    path = put(tmp_path / "run.csv", csv_of(np.arange(60) / 50, movement(60), extra))
    assert {sample.label for sample in samples_of(path, WRIST)} == {"curl"}
    assert {sample.label for sample in samples_of(path, WRIST, labelled=False)} == {None, "curl"}


@pytest.mark.parametrize("rate", [40, 50, 120])
def test_windows_do_not_depend_on_how_many_rows_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int
) -> None:
    rng = np.random.default_rng(1)
    times = np.sort(np.arange(400) / rate + rng.uniform(-0.002, 0.002, 400))
    path = put(tmp_path / "run.csv", csv_of(times, movement(400)))
    whole = samples_of(path, WRIST, label="curl")
    monkeypatch.setattr(csv_windows, "CHUNK_ROWS", 7)
    pieces = samples_of(path, WRIST, label="curl")
    assert [sample.source for sample in pieces] == [sample.source for sample in whole]
    for piece, one in zip(pieces, whole, strict=True):
        np.testing.assert_allclose(piece.signal, one.signal, atol=1e-6)


@pytest.mark.native("measures the process, QEMU's memory included")
def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        path = put(tmp_path / f"{rows}.csv", csv_of([round(i / 50, 2) for i in range(rows)], movement(rows)))
        tracemalloc.start()
        for _ in read_samples(path, WRIST, label="curl"):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(30_000) < 1.2 * peak(10_000)


def test_rows_of_a_csv_table_are_samples(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "price,demand,label\n1,2,up\n3,,down\n0,0,down\n")
    samples = samples_of(path, TABLE)
    assert [(sample.label, sample.signal.tolist()) for sample in samples] == [
        ("up", [[1, 2]]),
        ("down", [[0, 0]]),
    ]


# JSON Lines


def lines_of(*entries: Any) -> str:
    return "".join((entry if isinstance(entry, str) else json.dumps(entry)) + "\n" for entry in entries)


def test_window_a_line_is_read(tmp_path: Path) -> None:
    signal = movement(20).tolist()
    path = put(tmp_path / "w.jsonl", lines_of({"signal": signal, "label": "curl", "subject": 3, "rate_hz": 50}))
    (sample,) = samples_of(path, WRIST)
    assert (sample.label, sample.group, sample.source) == ("curl", "3", f"{path}:1")
    np.testing.assert_allclose(sample.signal, movement(20), atol=1e-6)


def test_lines_that_cannot_be_used_are_skipped_with_their_number(tmp_path: Path) -> None:
    good = movement(20).tolist()
    path = put(
        tmp_path / "w.jsonl",
        lines_of(
            {"signal": good, "label": "curl"},
            "{",
            [1, 2],
            {"label": "curl"},
            {"signal": [[1, 2, 3], [1, 2]], "label": "curl"},
            {"signal": [["1", "2", "3"]], "label": "curl"},
            {"signal": movement(20, channels=2).tolist(), "label": "curl"},
            {"signal": movement(33).tolist(), "label": "curl"},
            {"signal": movement(20, seed=1).tolist()},
            {"signal": movement(20, seed=2).tolist(), "label": ["curl"]},
            {"signal": movement(5).tolist(), "label": "curl", "rate_hz": 50},
            {"signal": movement(20, seed=3).tolist(), "label": "curl", "rate_hz": "fast"},
            {"signal": good, "label": "curl"},
            {"signal": [[float("nan")] * 3] * 20, "label": "curl"},
            "[" * 100_000,
        ),
    )
    skips = skips_of(path, WRIST)
    assert [skip.source for skip in skips] == [f"{path}:{line}" for line in range(2, 16)]
    assert [skip.reason.partition(":")[0] for skip in skips] == [
        "not JSON",
        "not an object",
        "no signal",
        "ragged",
        "not numbers",
        "wrong channel count",
        "unknown rate",
        "no label",
        "bad label",
        "too short",
        "unknown rate",
        "duplicate",
        "not finite",
        "not JSON",
    ]


def test_text_says_that_it_needs_a_text_extractor(tmp_path: Path) -> None:
    path = put(tmp_path / "t.jsonl", lines_of({"text": "turn it off", "label": "off"}))
    with pytest.raises(DataError, match="text extractor"):
        list(read_samples(path, WRIST))


def test_option_for_labelled_lines_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "w.jsonl", lines_of({"signal": movement(20).tolist(), "label": "curl"}))
    with pytest.raises(DataError, match="give no other"):
        list(read_samples(path, WRIST, label="raise"))


def test_empty_lines_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is empty"):
        list(read_samples(put(tmp_path / "w.jsonl", "\n"), WRIST))


# Counting


def test_counts_are_those_of_clean_data(tmp_path: Path) -> None:
    for i in range(3):
        put(tmp_path / "voice" / "go" / f"{i}.wav", wav(tone(hertz=300 + i)))
    archive = npz(tmp_path / "w.npz", X=windows(), y=np.zeros(4, int))
    run = put(tmp_path / "run.csv", csv_of(np.arange(1000) / 50, movement(1000)))
    lines = put(tmp_path / "w.jsonl", lines_of(*({"signal": movement(20, seed=i).tolist()} for i in range(5))))
    assert count_samples(tmp_path / "voice", VOICE) == 3
    assert count_samples(tmp_path / "voice" / "go" / "0.wav", VOICE) == 1
    assert count_samples(archive, WRIST) == 4
    assert count_samples(run, WRIST) == len(samples_of(run, WRIST, label="curl"))
    assert count_samples(lines, WRIST) == 5


def test_counting_what_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        count_samples(tmp_path / "nowhere", VOICE)


# Real recordings


def shared_data(name: str) -> Path:
    root = Path(os.environ.get("EDGECL_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (root / name).exists():
        pytest.skip(f"{name} is not there: set EDGECL_DATA to the folder that holds it")
    return root / name


@pytest.mark.parametrize(
    ("name", "rate", "shape", "count", "labels", "groups"),
    [
        ("geotec_watch", 50.0, (64, 6), 2236, 5, 23),
        ("spar_watch", 50.0, (200, 6), 2229, 7, 10),
        ("physio_exercises", 25.0, (100, 12), 5400, 8, 5),
        ("hapt_uci_har", 50.0, (128, 6), 10969, 12, 30),
    ],
)
def test_real_windows_are_all_read(
    name: str, rate: float, shape: tuple[int, int], count: int, labels: int, groups: int
) -> None:
    contract = contract_of("imu", rate, tuple(f"c{i}" for i in range(shape[1])), shape[0], shape[0] // 2)
    samples = samples_of(shared_data(name) / "windows.npz", contract)
    assert len(samples) == count
    assert {sample.signal.shape for sample in samples} == {shape}
    assert len({sample.label for sample in samples}) == labels
    assert len({sample.group for sample in samples}) == groups


@pytest.mark.native("reads thousands of clips")
@pytest.mark.parametrize(
    ("name", "count", "labels", "skips"), [("fsdd", 3000, 10, 1), ("speech_commands", 2676, 36, 5)]
)
def test_real_speech_is_read_and_resampled(name: str, count: int, labels: int, skips: int) -> None:
    pytest.importorskip("soxr")
    pytest.importorskip("soundfile")
    items = list(read_samples(shared_data(name), VOICE))
    samples = [item for item in items if isinstance(item, Sample)]
    assert (len(samples), len(items) - len(samples)) == (count, skips)
    assert len({sample.label for sample in samples}) == labels
