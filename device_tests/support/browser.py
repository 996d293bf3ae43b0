"""Headless Chromium by its driver."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver

DESKTOP = (1200, 900)


def program(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"needs {names[0]}: apt install chromium chromium-driver")
    return found


@contextmanager
def browser(microphone: Path | None = None, *, size: tuple[int, int] = DESKTOP) -> Iterator[webdriver.Chrome]:
    """A browser, with a sound file as its microphone."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "chromium-browser", "google-chrome")
    for flag in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--lang=en-US"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
        *("--autoplay-policy=no-user-gesture-required", "--host-resolver-rules=MAP kitchen.local 127.0.0.1"),
        *([f"--use-file-for-fake-audio-capture={microphone}"] if microphone else []),
        f"--window-size={size[0]},{size[1]}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(program("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def complaints(driver: webdriver.Chrome) -> list[str]:
    """What the browser finds wrong; a request that is refused is one too, and left out."""
    logged = driver.get_log("browser")  # type: ignore[no-untyped-call]
    return [one["message"] for one in logged if one["level"] == "SEVERE" and " 4" not in one["message"]]


def strangers(driver: webdriver.Chrome) -> set[str]:
    """Whatever was asked for elsewhere than at the page's own origin."""
    logged = [json.loads(one["message"])["message"] for one in driver.get_log("performance")]  # type: ignore[no-untyped-call]
    urls = [one["params"]["request"]["url"] for one in logged if one["method"] == "Network.requestWillBeSent"]
    own = driver.execute_script("return location.protocol + '//' + location.host")
    return {url for url in urls if not url.startswith(("data:", "blob:", "chrome", "about:", own))}
