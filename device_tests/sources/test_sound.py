"""Clips: formats, rates, channels, and what teaches nothing."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.demo.clips import voice_clips
from edgecl.errors import DataError

from ..support.recordings import RATE, put, reason_of, samples_of, skips_of, tone, wav


def flac(signal: NDArray[Any], rate: int = RATE) -> bytes:
    soundfile = pytest.importorskip("soundfile")
    stream = io.BytesIO()
    soundfile.write(stream, signal, rate, format="FLAC")
    return stream.getvalue()


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


@pytest.mark.parametrize("kind", ["NIST", "AU", "CAF", "W64"])
def test_sound_of_another_kind_that_is_called_wav_is_read(tmp_path: Path, kind: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    stream = io.BytesIO()
    soundfile.write(stream, tone(), RATE, format=kind, subtype="PCM_16")
    (sample,) = samples_of(put(tmp_path / "clip.wav", stream.getvalue()), label="go")
    assert len(sample.signal) == RATE // 2


def test_damaged_flac_and_mp3_are_skipped(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    assert reason_of(b"ID3\x04" + bytes(100), tmp_path).startswith("not audio: damaged MP3")
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
        (b"GIF89a" + bytes(100), "not audio: begins with 'GIF8"),
        (bytes(4) + b"ftypM4A " + bytes(90), "other codec: M4A, AAC or WebM: convert it: ffmpeg -i "),
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


@pytest.mark.parametrize("level", [0.03, 0.3, 0.9])
def test_a_clip_that_was_turned_down_after_it_was_clipped_is_skipped(tmp_path: Path, level: float) -> None:
    clip = np.clip(5 * next(iter(voice_clips("teach"))).signal[:, 0], -0.4, 0.4) * level / 0.4
    assert reason_of(wav(clip), tmp_path).startswith("clipped: ")
    assert f"at one level, {20 * np.log10(level):.0f} dBFS, allowed are 2 %" in reason_of(wav(clip), tmp_path)


@pytest.mark.parametrize("factor", [1.0, 0.1, 0.02])
def test_clips_of_any_level_are_not_called_clipped(tmp_path: Path, factor: float) -> None:
    for number, one in enumerate(voice_clips("teach")[:20]):
        put(tmp_path / "yes" / f"{number}.wav", wav(one.signal[:, 0] * factor))
    assert [one.reason for one in skips_of(tmp_path) if one.reason.startswith("clipped")] == []


def test_loud_clip_that_only_touches_full_scale_is_read(tmp_path: Path) -> None:
    assert len(samples_of(put(tmp_path / "clip.wav", wav(tone(level=1.0))), label="go")) == 1


def test_what_is_damaged_is_named_by_its_file_and_not_by_a_buffer(tmp_path: Path) -> None:
    pytest.importorskip("soundfile")
    assert "BytesIO" not in reason_of(b"fLaC" + bytes(100), tmp_path)
