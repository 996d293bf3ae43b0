"""Arrays, mappings, texts and latents to samples, with the checks that files get."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.extractors.contract import Contract
from edgecl.operations.data import Latent, checked_label, samples_of
from edgecl.sources.samples import Sample, Skip

from ..support.recordings import VOICE

MOVEMENT = Contract(
    modality="imu",
    sample_rate_hz=50.0,
    channels=("x", "y", "z"),
    units=("m/s^2",) * 3,
    window_samples=4,
    hop_samples=2,
    pool_frames=1,
    dimension=3,
    mean=np.zeros(3, np.float32),
    normalisation="none",
    shrinkage_floor=0.1,
    source="a test",
    licence="none",
)
SOUND = replace(
    MOVEMENT, modality="voice", sample_rate_hz=16000.0, channels=("pcm",), units=("full scale",), window_samples=1600,
    hop_samples=800,
)  # fmt: skip
TABLE = replace(MOVEMENT, modality="table", sample_rate_hz=0.0, window_samples=1, hop_samples=1)
TEXT = replace(SOUND, modality="text", sample_rate_hz=0.0, window_samples=1, hop_samples=1, units=("UTF-8",))
NOISE = np.random.default_rng(0).normal(scale=0.1, size=(3, 3200)).astype(np.float32)


def read(data: Any, labels: Any = None, *, contract: Contract = SOUND, latents: bool = False) -> list[Sample | Skip]:
    return list(samples_of(data, labels, contract=contract, latents=latents))


def shapes(data: Any, contract: Contract, **more: Any) -> list[tuple[int, ...]]:
    return [one.signal.shape for one in read(data, contract=contract, **more) if isinstance(one, Sample)]


@pytest.mark.parametrize(
    ("data", "contract", "wanted"),
    [
        (NOISE, SOUND, [(3200, 1)] * 3),
        (NOISE[:, :, None], SOUND, [(3200, 1)] * 3),
        (NOISE[0], SOUND, [(3200, 1)]),
        (NOISE[0][:, None], SOUND, [(3200, 1)]),
        ([NOISE[0], NOISE[1][:2000]], SOUND, [(3200, 1), (2000, 1)]),
        (NOISE[0].tolist(), SOUND, [(3200, 1)]),
        (np.ones((2, 6, 3)), MOVEMENT, [(6, 3)] * 2),
        (np.ones((6, 3)), MOVEMENT, [(6, 3)]),
        ([np.ones((6, 3)), np.ones((4, 3))], MOVEMENT, [(6, 3), (4, 3)]),
        (np.ones((5, 3)), TABLE, [(1, 3)] * 5),
        (np.ones(3), TABLE, [(1, 3)]),
        ([[1, 2, 3], [4, 5, 6]], TABLE, [(1, 3)] * 2),
    ],
)
def test_arrays_are_one_signal_or_many(data: Any, contract: Contract, wanted: list[tuple[int, ...]]) -> None:
    assert shapes(data, contract) == wanted


def test_the_numbers_of_a_signal_stay_as_they_are_and_16_bit_sound_is_scaled() -> None:
    (one,) = read(NOISE[0])
    assert isinstance(one, Sample)
    np.testing.assert_array_equal(one.signal[:, 0], NOISE[0])
    (scaled,) = read(np.full(3200, 16384, np.int16) * np.tile([1, -1], 1600).astype(np.int16))
    assert isinstance(scaled, Sample)
    assert scaled.signal[:2, 0].tolist() == [0.5, -0.5]


@pytest.mark.parametrize("given", ["clips/yes", b"RIFF", Path("clips/yes/1.wav"), ["1.wav", "2.wav"]])
def test_a_path_in_place_of_a_signal_says_what_reads_files(given: Any) -> None:
    with pytest.raises(
        DataError, match=r"not a signal: .*: `edgecl\.read_samples\(path, learner\.contract\)` reads files"
    ):
        read(given)


def test_texts_are_signals_of_their_bytes() -> None:
    assert [one.signal.shape for one in read(["on", "off"], contract=TEXT) if isinstance(one, Sample)] == [
        (2, 1),
        (3, 1),
    ]
    assert shapes("lights", TEXT) == [(6, 1)]
    assert shapes(np.array(["on", "off"]), TEXT) == [(2, 1), (3, 1)]


def test_latents_pass_the_extractor_by() -> None:
    found = read(np.eye(3), contract=MOVEMENT, latents=True)
    assert [type(one) for one in found] == [Latent] * 3
    assert shapes(np.ones(3), MOVEMENT, latents=True) == [(3,)]
    with pytest.raises(DataError, match=r"wrong shape: \(4,\), a latent has \(3,\)"):
        read(np.ones((2, 4)), contract=MOVEMENT, latents=True)


def test_labels_come_from_a_mapping_or_beside_the_signals() -> None:
    mapped = read({"yes": NOISE[:2], "no": [NOISE[2]]})
    beside = read(NOISE, np.array(["yes", "yes", "no"]))
    for found in (mapped, beside):
        assert [one.label for one in found if isinstance(one, Sample)] == ["yes", "yes", "no"]
    assert [one.source for one in mapped] == ["yes[0]", "yes[1]", "no[0]"]
    with pytest.raises(DataError, match="3 signals and 2 labels"):
        read(NOISE, ["yes", "no"])
    with pytest.raises(DataError, match="given twice"):
        read({"yes": NOISE}, ["yes"] * 3)


def test_a_text_that_numpy_writes_for_a_missing_label_is_none() -> None:
    given = np.array(["yes", "nan", "no"])
    assert [one.label for one in read(NOISE, given) if isinstance(one, Sample)] == ["yes", None, "no"]
    assert [one.label for one in read(NOISE, ["null", "none", "na"]) if isinstance(one, Sample)] == [
        "null",
        "none",
        "na",
    ]
    with pytest.raises(DataError, match="no label, or one such as nan that stands for none"):
        checked_label(None, "[1]")
    assert [one.label for one in read({"none": NOISE[:1]}) if isinstance(one, Sample)] == ["none"]


def test_samples_and_skips_pass_as_they_are_and_one_by_one() -> None:
    given = [Sample("a", "yes", NOISE[0][:, None], None), Skip("b", "silent: all samples are zero")]
    assert [*samples_of(iter(given), contract=SOUND)] == given
    taken = []
    for one in samples_of((taken.append(one) or one for one in given), contract=SOUND):  # type: ignore[func-returns-value]
        assert taken[-1] is one


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.zeros(3200), "silent"),
        (np.full(3200, np.nan), "not finite"),
        (NOISE[0] * 100, "bad scale"),
        (NOISE[0][:100], "too short"),
        (np.ones((3200, 2)), "wrong channel count"),
        (np.array(["a"] * 3200), "not numbers"),
    ],
)
def test_what_a_file_would_be_skipped_for_an_array_is_skipped_for_too(bad: Any, reason: str) -> None:
    found = read([NOISE[0], bad])
    assert isinstance(found[0], Sample)
    assert isinstance(found[1], Skip)
    assert found[1].source == "[1]"
    assert found[1].reason.startswith(reason)
    with pytest.raises(DataError, match=f"nothing of the data can be used: 1 {reason}"):
        read([bad])


def test_movement_that_is_not_finite_or_all_zero_is_skipped() -> None:
    good, bad = np.ones((6, 3)), np.ones((6, 3))
    bad[2, 1] = np.inf
    found = read([good, bad, np.zeros((6, 3))], contract=MOVEMENT)
    assert [getattr(one, "reason", "").partition(":")[0] for one in found] == ["", "not finite", "silent"]


def test_no_data_is_no_sample() -> None:
    assert read([]) == []
    assert read({}) == []


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, "clip has no label"),
        (3, r"the label 3 is of type int, and labels are strings: convert them with str\(\)"),
        (True, "of type bool"),
        (b"yes", "of type bytes"),
        ("", "the label '' can't be used: no label"),
        (" \t", "can't be used: no label"),
        ("a\x1b[2J", r"the label 'a\\x1b\[2J' can't be used: .*control characters"),
        ("x" * 65, "65 characters, at most 64"),
        (".hidden", "begins with a dot"),
    ],
)
def test_a_label_that_cannot_be_stored_is_refused_by_name(label: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked_label(label, "clip")


def test_a_label_is_stored_in_one_form() -> None:
    assert checked_label(np.str_("yes"), "clip") == "yes"
    assert type(checked_label(np.str_("yes"), "clip")) is str
    assert checked_label(" cafe\u0301 ", "clip") == "caf\u00e9"


def with_word(seed: int) -> NDArray[np.float32]:
    """A fifth of a second of sound that rises and falls, over noise."""
    sound = 1e-3 * np.random.default_rng(seed).normal(size=16000)
    sound[6000:10000] += 0.3 * np.hanning(4000) * np.sin(np.arange(4000) * (0.1 + 0.01 * seed))
    return sound.astype(np.float32)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.full(16000, 0.3), "constant"),
        (1e-3 * np.random.default_rng(0).normal(size=16000), "nothing to hear"),
        (np.where(np.arange(16000) // 40 == 200, 0.8, 2e-3 * (-1.0) ** np.arange(16000)), "transient"),
    ],
)
def test_sound_in_arrays_is_listened_to_as_sound_in_files_is(bad: NDArray[np.float64], reason: str) -> None:
    given = [with_word(0), bad.astype(np.float32), with_word(1)]
    good, skip, other = read({"yes": given}, contract=VOICE)
    assert isinstance(good, Sample)
    assert isinstance(other, Sample)
    assert isinstance(skip, Skip)
    assert (skip.source, skip.reason.partition(":")[0]) == ("yes[1]", reason)
    assert all(isinstance(one, Sample) for one in read(given, contract=VOICE))  # a prediction warns
    with pytest.raises(DataError, match=f"nothing of the data can be used: 1 {reason}"):
        read([given[1]], ["yes"], contract=VOICE)


def test_arrays_of_acceleration_in_another_unit_are_refused_unless_they_were_scaled() -> None:
    moved = np.random.default_rng(0).normal(size=(5, 8, 3)).astype(np.float32)
    felt = moved + np.array([0, 0, 9.81], np.float32)
    wrist = replace(MOVEMENT, channels=("acc_x", "acc_y", "acc_z"))
    assert len(read(felt, ["walk"] * 5, contract=wrist)) == 5
    in_g = felt / np.float32(9.81)
    with pytest.raises(DataError, match="it looks like g"):
        read(in_g, ["walk"] * 5, contract=wrist)
    settled = [Sample(f"{index}", "walk", one, None, is_scaled=True) for index, one in enumerate(in_g)]
    assert len(read(settled, contract=wrist)) == 5
