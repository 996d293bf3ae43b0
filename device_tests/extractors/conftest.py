"""The extractors that edgecl makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import open_extractor

from ..support.extractors import extractor_file


@pytest.fixture(scope="session")
def voice_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extractor_file("voice", tmp_path_factory)


@pytest.fixture(scope="session")
def imu_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extractor_file("imu", tmp_path_factory)


@pytest.fixture(scope="module")
def voice(voice_file: Path) -> FileExtractor:
    return open_extractor(voice_file)


@pytest.fixture(scope="module")
def imu(imu_file: Path) -> FileExtractor:
    return open_extractor(imu_file)
