"""WAV files: as libsndfile reads them, and what is wrong with damaged ones."""

from __future__ import annotations

import io
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecl.sources.samples import UnusableError
from edgecl.sources.sound import read_wav

from ..support.recordings import RATE, put, reason_of, samples_of, tone, wav


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
    reason = reason_of(wav(tone(), codec=0x161), tmp_path)
    assert "unknown codec: 0x161" in reason
    assert "convert it: ffmpeg" in reason


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


def test_a_chunk_of_odd_size_without_its_pad_is_passed_over() -> None:
    sound = read_wav(wav(tone(), before=b"LIST\x03\x00\x00\x00abc"))
    np.testing.assert_allclose(sound.samples[:, 0], tone(), atol=1e-4)


@pytest.mark.parametrize("kind", [b"RF64", b"BW64"])
def test_files_with_sizes_of_64_bits_are_read(kind: bytes) -> None:
    sizes = (2**33).to_bytes(8, "little") + (len(tone()) * 2).to_bytes(8, "little") + bytes(12)
    content = wav(tone(), before=b"", data_size=0xFFFFFFFF)
    content = kind + b"\xff\xff\xff\xffWAVE" + b"ds64" + len(sizes).to_bytes(4, "little") + sizes + content[12:]
    sound = read_wav(content + b"junkjunk")
    np.testing.assert_allclose(sound.samples[:, 0], tone(), atol=1e-4)


@pytest.mark.parametrize("shift", [0, 8])
def test_24_bits_in_4_bytes_are_read_wherever_they_are(shift: int) -> None:
    words = (tone() * (2**23 - 1)).astype("<i4")
    content = wav(tone(), bits=32)
    layout = bytearray(content[:44])
    layout[34:36] = (24).to_bytes(2, "little")  # bits; the frame stays at 4 bytes
    sound = read_wav(bytes(layout) + (words << shift).astype("<i4").tobytes())
    assert sound.bits == 24
    np.testing.assert_allclose(sound.samples[:, 0], tone(), atol=1e-6)


@pytest.mark.parametrize(("subtype", "form"), [("ULAW", "WAV"), ("IMA_ADPCM", "WAV"), ("PCM_16", "W64")])
def test_other_codecs_are_read_by_libsndfile_where_it_is_there(tmp_path: Path, subtype: str, form: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "clip.wav"
    soundfile.write(str(path), tone(), RATE, subtype=subtype, format=form)
    [sample] = samples_of(path, label="go")
    assert np.median(np.abs(sample.signal[: len(tone()), 0] - tone())) < 0.05


def test_another_codec_without_libsndfile_names_what_to_do(tmp_path: Path) -> None:
    content = wav(tone(), codec=7)
    with mock.patch.dict("sys.modules", {"soundfile": None}):
        assert "pip install edgecl[audio]; or convert it: ffmpeg" in reason_of(content, tmp_path)


def test_a_codec_that_libsndfile_cannot_read_as_a_whole_costs_at_most_its_clip(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(str(tmp_path / "gsm.wav"), tone(), RATE, subtype="GSM610", format="WAV")
    put(tmp_path / "pcm.wav", wav(tone()))
    found = [*samples_of(tmp_path, label="go")]
    assert any(one.source.endswith("pcm.wav") for one in found)
