"""The network of the second stage: what goes in, and how it is found."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.extractors.opening import NETWORK, NETWORK_BYTES, VERIFIER, verifier_file
from edgecl.extractors.verifier import Verifier, log_mel
from edgecl.spotting.reference import WINDOW_SAMPLES


def _window(seed: int = 0) -> NDArray[np.float32]:
    window = np.random.default_rng(seed).standard_normal(WINDOW_SAMPLES).astype(np.float32) / 10
    window[:4000] = 0
    return window


def test_log_energies_are_those_of_the_formula_written_out() -> None:
    window, found = _window(), log_mel(_window())
    assert found.shape == (149, 64)
    corners = [
        int(513 * 700 * (10 ** (one / 2595) - 1) / 16_000)
        for one in np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 66)
    ]
    for frame in (0, 30, 100, 148):
        piece = np.append(window.astype(float), np.zeros(80))[160 * frame :][:400]
        power = np.abs(np.fft.rfft(piece, 512)) ** 2 / 512
        for band in range(64):
            low, peak, high = corners[band : band + 3]
            energy = sum(power[at] * (at - low) / (peak - low) for at in range(low, peak))
            energy += sum(power[at] * (high - at) / (high - peak) for at in range(peak, high))
            assert found[frame, band] == pytest.approx(np.log(max(energy, np.finfo(float).eps)), abs=1e-4)


def _of_the_package(name: str) -> ModuleType:
    found = importlib.util.find_spec(VERIFIER)
    if found is None or not found.submodule_search_locations:
        pytest.skip("efficientword-net is not installed")
    spec = importlib.util.spec_from_file_location(name, Path(found.submodule_search_locations[0], f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.host
def test_log_energies_are_those_of_the_package() -> None:
    window = _window()
    theirs = _of_the_package("audio_utils").logfbank(window.astype(float), nfilt=64, nfft=512, preemph=0.0)
    np.testing.assert_allclose(log_mel(window), theirs, atol=1e-4)


@pytest.mark.host
def test_a_vector_has_length_one_and_is_the_same_every_time() -> None:
    file = verifier_file()
    if file is None:
        pytest.skip("efficientword-net is not installed")
    verifier = Verifier(file)
    vector = verifier(_window())
    assert vector.shape == (2048,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(vector, verifier(_window()))
    assert verifier.window_ms(WINDOW_SAMPLES, times=1) > 0


def _installed(folder: Path, size: int) -> None:
    """A package that fails when it is imported, with a network of so many bytes."""
    (folder / VERIFIER / NETWORK).parent.mkdir(parents=True)
    (folder / VERIFIER / "__init__.py").write_text("raise RuntimeError('it was imported')\n")
    with (folder / VERIFIER / NETWORK).open("wb") as file:
        file.truncate(size)


def test_the_network_is_found_without_importing_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(tmp_path, NETWORK_BYTES)
    monkeypatch.syspath_prepend(tmp_path)
    assert verifier_file() == tmp_path / VERIFIER / NETWORK
    assert VERIFIER not in sys.modules


def test_the_network_of_another_version_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(tmp_path, NETWORK_BYTES - 1)
    monkeypatch.syspath_prepend(tmp_path)
    assert verifier_file() is None
