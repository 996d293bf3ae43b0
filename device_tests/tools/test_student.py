"""The student of the second stage's network: how it is taught, and the tables of tools/student_table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecl.spotting.student import Net, units

from ..support.tools import tool


def test_gradients_are_those_of_the_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    student = tool("measure.student", monkeypatch)
    monkeypatch.setattr(student, "DROPPED", 0.0)
    rng = np.random.default_rng(0)
    held = [rng.standard_normal(shape) for shape in ((6, 8), (8,), (8, 5), (5,))]
    x, wanted = rng.standard_normal((7, 6)), units(rng.standard_normal((7, 5)))

    def lost() -> float:
        return -float((Net(*held)(x) * wanted).sum(axis=1).mean())

    found = student.gradients(held, x, wanted, rng)
    for layer, gradient in zip(held, found, strict=True):
        for at in list(np.ndindex(layer.shape))[::7]:
            kept, by = layer[at], 1e-5
            layer[at] = kept + by
            above = lost()
            layer[at] = kept - by
            below = lost()
            layer[at] = kept
            assert gradient[at] == pytest.approx((above - below) / (2 * by), abs=1e-5)


def test_a_student_learns_what_its_teacher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    student = tool("measure.student", monkeypatch)
    rng = np.random.default_rng(1)
    z = units(rng.standard_normal((1500, 12)).astype(np.float32))
    teacher = Net(*(rng.standard_normal(s).astype(np.float32) for s in ((12, 16), (16,), (16, 6), (6,))))
    found = student.taught(z[:1200], teacher(z[:1200]), epochs=30, hidden=64)
    cosines = (found(z[1200:]) * teacher(z[1200:])).sum(axis=1)
    assert cosines.mean() > 0.9
    assert np.linalg.norm(found(z[1200:]), axis=1) == pytest.approx(np.ones(300), abs=1e-5)


def test_sound_is_taken_without_the_silence_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soxr")
    sound = tool("measure.student_sound", monkeypatch)
    word = np.sin(np.arange(3200, dtype=np.float32))
    signal = np.concatenate([np.zeros(6400, np.float32), word, np.zeros(9600, np.float32)])
    kept = sound.sounding(signal)
    assert len(word) <= len(kept) <= len(word) + 2 * 320
    assert np.square(kept).sum() == pytest.approx(np.square(word).sum())
    assert len(sound.sounding(np.zeros(3200, np.float32))) == 3200


def _case(word: str, beta: int, misses: float, **other: Any) -> dict[str, Any]:
    about = {"snr_db": 20, "mean": "clips", "reference": "clips", "draw": 0, "hours": 1.4}
    return {"word": word, "beta": beta, "misses": [misses, misses / 2], "asked": [0.02, 0.01], **about, **other}


def test_the_table_compares_each_word_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    report = tool("report.student_table", monkeypatch)
    cases = [
        _case(word, beta, before - gained * bool(beta), snr_db=level, mean=mean, reference=reference)
        for word, before, gained in (("a", 0.5, 0.1), ("b", 0.3, 0.2), ("a-b", 0.2, 0.0), ("b-a", 0.4, 0.0))
        for beta in (0, 50)
        for level in (20, 10)
        for mean in ("clips", "in noise")
        for reference in ("clips", "in noise")
    ]
    students = [{"windows": 1234, "kept_back": 0.5, "unheard": 0.4, "hop_us": 21.0, "bytes": 360_000}]
    stream = [
        _case(
            word,
            beta,
            0.4 - 0.1 * bool(beta),
            snr_db=level,
            is_short=is_short,
            reference="in noise" if beta else "clips",
        )
        for word, is_short in (("a", True), ("b", True), ("c", False), ("d", False))
        for beta in (0, 50)
        for level in (20, 10)
    ]
    figures = {"rates": [1.0, 2.0], "betas": [50], "students": students, "cases": cases, "stream": stream}
    table = report.as_markdown(figures)
    assert "| ten short words, 10 dB | 50 | 30.0 (+10.0 ± 0.0) | 15.0 (+5.0 ± 0.0) | 2.0% |" in table
    assert "| 1,234 | 0.50 | 0.40 | 360 | 21 |" in table
    assert "| one word, 20 dB | 0 |  | clips | 40.0 | 20.0 |  |" in table
    assert "| one word, 20 dB | 50 | clips | clips | 25.0 (+15.0 ± 63.5) | 12.5 (+7.5 ± 31.8) | 2.0% |" in table
    assert "| two words as one, 10 dB | 50 | in noise | in noise | 30.0 | 15.0 | 2.0% |" in table
