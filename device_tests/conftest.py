"""What every test shares: proof of which edgecl is tested."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path

import numpy as np
import pytest

PACKAGES = ("edgecl", "edgecl_kernels", "edgecl_export")


def locate(package: str) -> Path:
    """Return the folder that `package` would be imported from, without importing its modules."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise pytest.UsageError(f"{package} can't be imported: run tools/test")
    return Path(spec.origin).parent


def pytest_configure() -> None:
    """Refuse to test the checkout where the installed wheel was asked for; let Ctrl-C reach the commands of tests."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it puts into the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("EDGECL_TEST_EMULATED") == "1":
        from edgecl.operations import references

        references.MOST_CLIPS = 2  # windows of the extractor take most of a lesson in emulation
    if os.environ.get("EDGECL_TEST_INSTALLED") != "1":
        return
    for package in PACKAGES:
        if locate(package).parent.name != "site-packages":
            raise pytest.UsageError(
                f"EDGECL_TEST_INSTALLED=1, but {package} would come from {locate(package)}: "
                "set PYTHONSAFEPATH=1, unset PYTHONPATH, and install the wheel (tools/test does all three)"
            )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In emulation, skip what is marked `native`, with the reason that the mark gives."""
    if os.environ.get("EDGECL_TEST_EMULATED") != "1":
        return
    for item in items:
        if mark := item.get_closest_marker("native"):
            item.add_marker(pytest.mark.skip(reason=f"not in emulation: it {mark.args[0]}"))


def pytest_report_header() -> str:
    """Say in every log what was tested."""
    return f"edgecl: {locate('edgecl')}"


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(0)
