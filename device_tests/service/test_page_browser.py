"""The page in a real browser: headless Chromium, with a sound file as its microphone.

Where EDGECL_SHOTS names a folder, pictures of phone and desktop are written there.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..support.broker import free_port
from ..support.commands import clips, edgecl, noise, voice_extractor, write_clips, write_wav
from ..support.page import Page, served

pytest.importorskip("selenium", reason="needs selenium, and Chromium with its driver")
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from ..support.browser import DESKTOP, browser, complaints, strangers

pytestmark = [pytest.mark.host, pytest.mark.native("drives a browser")]
PATIENCE_S = 180
PHONE = (360, 740)


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    voice_extractor()
    assert edgecl("init", tmp_path / "kitchen", "--extractor", "voice").code == 0
    lesson = write_clips(tmp_path / "clips", clips("teach", ["yes", "stop"], most=8))
    assert edgecl("learn", tmp_path / "kitchen", lesson).code == 0
    return tmp_path / "kitchen"


def spoken(folder: Path, word: str) -> Path:
    """A word said again and again: two seconds, wherever they begin, hold it once."""
    found = [one.signal[:, 0] for one in clips("new", [word])]
    quiet = noise(0.15) * 0.002
    parts = [part for one in found for part in (one, quiet)]
    sound = np.concatenate(parts)
    return write_wav(folder / f"{word}.wav", np.repeat(sound, 3), rate=48_000)


class Visitor:
    """A person at the page."""

    def __init__(self, driver: webdriver.Chrome, page: Page) -> None:
        self.driver, self.page = driver, page

    def one(self, name: str) -> Any:
        return self.driver.find_element(By.ID, name)

    def until(self, is_so: Callable[[], object]) -> None:
        WebDriverWait(self.driver, PATIENCE_S, 0.1).until(lambda _: is_so())

    def says(self, name: str, text: str) -> None:
        try:
            self.until(lambda: text in self.one(name).text)
        except Exception as error:
            raise AssertionError(f"{name} says {self.one(name).text!r}, not {text!r}") from error

    def pair(self, url: str) -> None:
        self.driver.get(url)
        self.until(lambda: self.one("pair").is_displayed())
        self.one("code").send_keys(self.page.code)
        self.one("code").send_keys(Keys.ENTER)
        self.until(lambda: self.one("desk").is_displayed())
        self.says("link", "Connected")

    def name(self, label: str) -> None:
        field = self.one("label")
        field.clear()
        field.send_keys(label)

    def takes(self, label: str, count: int) -> None:
        """Record with the browser's microphone."""
        self.name(label)
        while (kept := len(self.driver.find_elements(By.CSS_SELECTOR, "#takes li"))) < count:
            self.one("phone").click()
            self.until(lambda: self.one("phone").is_enabled() and "Say" not in self.one("verdict").text)
            if "did not work" in self.one("verdict").text:
                continue  # a take that cannot be used is taken again
            self.until(lambda kept=kept: len(self.driver.find_elements(By.CSS_SELECTOR, "#takes li")) > kept)

    def shot(self, name: str, size: tuple[int, int], *, dark: bool = False) -> None:
        """Look at the page in a size; nothing sticks out of it."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        wide = self.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= size[0], f"{name}: {wide} pixels wide"
        if folder := os.environ.get("EDGECL_SHOTS"):
            height = self.driver.execute_script("return document.documentElement.scrollHeight")
            metrics["height"] = max(height, size[1])
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))


def pcm(word: str, split: str = "test") -> bytes:
    said = [part for one in clips(split, [word])[:2] for part in (noise(1.5) * 0.002, one.signal[:, 0])]
    return bytes((np.concatenate([*said, noise(1.5) * 0.002]) * 32767).astype("<i2").tobytes())


def test_a_person_teaches_a_word_and_takes_it_back(kitchen: Path, tmp_path: Path) -> None:
    with (
        served(kitchen, "--listen", "-", state=tmp_path / "state", stdin=subprocess.PIPE) as page,
        browser(spoken(tmp_path, "coffee")) as driver,
    ):
        one = Visitor(driver, page)
        one.driver.get(page.url)
        one.until(lambda: one.one("pair").is_displayed())
        one.shot("page_pair_phone", PHONE)
        one.one("code").send_keys("00000000" if page.code != "00000000" else "11111111")
        one.one("code").send_keys(Keys.ENTER)
        one.says("pair_error", "not the code")
        one.one("code").clear()
        one.one("code").send_keys(page.code + Keys.ENTER)
        one.until(lambda: one.one("desk").is_displayed())
        one.says("link", "Connected")

        one.takes("coffee", 5)
        assert len(driver.find_elements(By.CSS_SELECTOR, "#takes audio")) == 5
        one.one("learn").click()
        one.says("verdict", "ACCEPTED")
        one.says("verdict", "“coffee” was learnt from")  # takes of the looping microphone may be the same
        one.says("classes", "coffee")

        stream = page.process.stdin
        assert stream is not None
        stream.write(pcm("yes"))
        stream.write(pcm("coffee", "new"))
        stream.flush()
        one.says("events", "coffee")
        one.says("events", "yes")
        one.says("inbox", "taken for")
        one.shot("page_desktop", DESKTOP)
        one.shot("page_desktop_dark", DESKTOP, dark=True)
        one.shot("page_phone", PHONE)
        one.shot("page_phone_dark", PHONE, dark=True)
        for language in ("de", "zh", "en"):
            driver.execute_script(
                "const s = document.getElementById('language');"
                "s.value = arguments[0]; s.dispatchEvent(new Event('change'))",
                language,
            )
            one.until(
                lambda language=language: driver.execute_script("return document.documentElement.lang") == language
            )
            one.until(lambda: one.one("teach_title").text)
            one.shot(f"page_phone_{language}", PHONE)
        one.shot("page_desktop", DESKTOP)

        before = len(driver.find_elements(By.CSS_SELECTOR, "#inbox li"))
        field = driver.find_element(By.CSS_SELECTOR, "#inbox form input")
        field.send_keys("yes")
        field.send_keys(Keys.ENTER)
        one.until(
            lambda: len(driver.find_elements(By.CSS_SELECTOR, "#inbox li")) < before or "REJ" in one.one("verdict").text
        )

        one.one("undo").click()
        one.says("verdict", "Back at revision")
        assert complaints(driver) == []
        assert strangers(driver) == set()


def test_the_gate_asks_and_a_person_answers(kitchen: Path, tmp_path: Path) -> None:
    lesson = write_clips(tmp_path / "more", clips("new", ["coffee"], most=8))
    assert edgecl("learn", kitchen, lesson).code == 0
    name, take = "kitchen.local", spoken(tmp_path, "coffee")
    with served(kitchen, "--name", name, state=tmp_path / "state") as page, browser(take) as driver:
        one = Visitor(driver, page)
        one.pair(f"http://{name}:{page.url.rpartition(':')[2]}/")
        one.name("espresso")
        one.one("file").send_keys("\n".join(str(path) for path in sorted(lesson.rglob("*.wav"))))
        one.until(lambda: len(driver.find_elements(By.CSS_SELECTOR, "#takes li")) == 5)
        one.until(lambda: not one.one("file").get_attribute("value"))
        one.one("learn").click()
        one.says("verdict", "Is “espresso” the same thing as “coffee”?")
        one.shot("page_question_phone", PHONE)
        driver.refresh()  # the question waits for whoever opens the page next
        one.until(lambda: driver.find_elements(By.CSS_SELECTOR, "#asked .question"))
        assert "Is “espresso” the same thing as “coffee”?" in one.one("asked").text
        assert "taught as “espresso”, sounds like “coffee”" in one.one("inbox").text
        same = driver.find_element(By.CSS_SELECTOR, "#asked .question button")
        driver.execute_script("arguments[0].click()", same)
        one.until(lambda: "ACCEPTED" in one.one("verdict").text or "Nothing new" in one.one("verdict").text)
        assert "espresso" not in one.one("classes").text
        one.until(lambda: not driver.find_elements(By.CSS_SELECTOR, "#asked .question, #inbox li"))


def test_a_take_that_was_set_aside_is_listened_to_and_named(kitchen: Path, tmp_path: Path) -> None:
    lesson = write_clips(tmp_path / "more", clips("new", ["coffee"], most=8))
    wrong = write_clips(tmp_path / "wrong", clips("teach", ["stop"])[8:9])
    (lesson / "coffee" / "wrong.wav").write_bytes(next(wrong.rglob("*.wav")).read_bytes())
    assert edgecl("learn", kitchen, lesson).code == 0
    with served(kitchen, state=tmp_path / "state") as page, browser(spoken(tmp_path, "coffee")) as driver:
        one = Visitor(driver, page)
        one.pair(page.url)
        one.says("inbox", "taught as “coffee”, sounds like “stop”")
        assert driver.find_elements(By.CSS_SELECTOR, "#inbox audio")
        choices = [found.text for found in driver.find_elements(By.CSS_SELECTOR, "#inbox li > button")]
        assert choices == ["It is “coffee”", "It is “stop”"]
        one.shot("page_set_aside_phone", PHONE)
        stop = driver.find_elements(By.CSS_SELECTOR, "#inbox li > button")[1]
        driver.execute_script("arguments[0].click()", stop)
        one.until(lambda: not driver.find_elements(By.CSS_SELECTOR, "#inbox li"))
        assert complaints(driver) == []


def test_without_encryption_the_phones_own_recorder_is_used(kitchen: Path, tmp_path: Path) -> None:
    take = spoken(tmp_path, "coffee")
    with served(kitchen, "--name", "kitchen.local", state=tmp_path / "state") as page, browser(take) as driver:
        one = Visitor(driver, page)
        one.pair(f"http://kitchen.local:{page.url.rpartition(':')[2]}/")
        assert not one.one("phone").is_displayed()
        assert one.one("file_label").is_displayed()
        one.name("coffee")
        one.one("file").send_keys(str(take))
        one.says("verdict", "Take kept")
        assert len(driver.find_elements(By.CSS_SELECTOR, "#takes li")) == 1
        assert complaints(driver) == []


def test_files_are_kept_without_those_that_are_no_sound_and_wait_for_their_name(kitchen: Path, tmp_path: Path) -> None:
    take = spoken(tmp_path, "coffee")
    notes = tmp_path / "notes.wav"
    notes.write_text("to buy: coffee")
    with served(kitchen, "--name", "kitchen.local", state=tmp_path / "state") as page, browser(take) as driver:
        one = Visitor(driver, page)
        one.pair(f"http://kitchen.local:{page.url.rpartition(':')[2]}/")
        one.one("file").send_keys(f"{take}\n{notes}\n{take}")
        one.says("verdict", "Give it a name first")
        one.name("coffee")
        one.one("label").send_keys(Keys.TAB)
        one.says("verdict", "notes.wav: ")
        one.until(lambda: len(driver.find_elements(By.CSS_SELECTOR, "#takes li")) == 2)
        assert one.one("file").get_property("files") == []


def test_a_page_catches_up_with_a_service_that_was_away(kitchen: Path, tmp_path: Path) -> None:
    def serving(state: str) -> AbstractContextManager[Page]:
        return served(kitchen, "--port", port, state=tmp_path / state)

    take, port = spoken(tmp_path, "coffee"), free_port()
    with browser(take) as driver:
        with serving("state") as page:
            one = Visitor(driver, page)
            one.pair(page.url)
            one.takes("coffee", 1)
        one.says("link", "Connection lost")
        one.one("learn").click()
        one.says("verdict", "did not work")
        assert one.one("learn").is_enabled()
        more = write_clips(tmp_path / "more", clips("teach", ["no"], most=8))
        assert edgecl("learn", kitchen, more).code == 0
        with serving("state"):
            one.says("link", "Connected")
            one.says("classes", "no")
        with serving("another state"):  # which does not know this browser
            one.until(lambda: one.one("pair").is_displayed())
        one.one("code").send_keys("12345678")
        one.one("code").send_keys(Keys.ENTER)
        one.says("pair_error", "did not work")


def test_everything_can_be_reached_by_keyboard_and_has_a_name(kitchen: Path, tmp_path: Path) -> None:
    with served(kitchen, state=tmp_path / "state") as page, browser(spoken(tmp_path, "coffee")) as driver:
        one = Visitor(driver, page)
        one.pair(page.url)
        one.name("coffee")
        reached: list[str] = []
        for _ in range(40):
            active = driver.switch_to.active_element
            reached.append(active.get_attribute("id") or active.text)
            active.send_keys(Keys.TAB)
        assert {"phone", "wrong", "undo", "language"} <= set(reached)
        assert "Forget" in reached
        phone = one.one("phone")
        phone.send_keys(Keys.SPACE)
        one.says("verdict", "Take kept")
        nameless = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        roles = {"button", "textbox", "combobox", "listbox", "meter"}
        found = [
            node["role"]["value"]
            for node in nameless
            if not node.get("ignored")
            and node.get("role", {}).get("value") in roles
            and not node.get("name", {}).get("value")
        ]
        assert found == []
        assert driver.execute_script("return document.querySelectorAll('h1').length") == 1


def test_a_text_unlike_all_that_was_taught_is_answered_as_unknown(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="needs the extra [text]")
    from ..extractors.test_text import write

    store, lesson = tmp_path / "desk", tmp_path / "lesson.jsonl"
    card, money = ("where is my card", "my card is lost"), ("please refund", "refund money please")
    taught = [*((text, "card") for text in card), *((text, "money") for text in money)]
    lesson.write_text("".join(f'{{"text": "{text}", "label": "{label}"}}\n' for text, label in taught))
    assert edgecl("init", store, "--extractor", write(tmp_path / "text.onnx")).code == 0
    assert edgecl("learn", store, lesson).code == 0
    assert edgecl("learn", store, lesson).code == 0  # nothing new
    assert edgecl("set", store, "--unknown-above", "0.3").code == 0
    with served(store, state=tmp_path / "state") as page, browser() as driver:
        one = Visitor(driver, page)
        one.pair(page.url)
        one.one("text").send_keys("where is my card")
        one.one("try").click()
        one.says("answer", "card · ")
        one.one("text").clear()
        one.one("text").send_keys("stolen")
        one.one("try").click()
        one.says("answer", "Unknown (most like ")
        one.one("text").clear()
        one.one("try").click()
        one.says("verdict", "text is missing")
        assert one.one("answer").text == ""  # the answer to what was asked before is gone
        unchanged = [row.text for row in driver.find_elements(By.CSS_SELECTOR, "#history li") if "+2" in row.text]
        assert len(unchanged) == 2
        assert "Nothing new" in unchanged[0]
        assert "accepted" not in unchanged[0]
        one.name("Nan")  # a name that a cell of a table would not have
        one.one("text").send_keys("my money back")
        one.one("teach_text").click()
        one.says("classes", "Nan")
        assert complaints(driver) == []


def test_a_browser_without_a_microphone_offers_its_recorder(kitchen: Path, tmp_path: Path) -> None:
    with served(kitchen, state=tmp_path / "state") as page, browser() as driver:
        one = Visitor(driver, page)
        one.pair(page.url)
        driver.execute_script(
            "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('Denied', 'NotAllowedError'); }"
        )
        one.name("coffee")
        one.one("phone").click()
        one.says("verdict", "Denied")
        assert one.one("file_label").is_displayed()
        assert not one.one("level").is_displayed()


def test_a_store_that_the_page_cannot_teach_says_how_it_is_taught(tmp_path: Path) -> None:
    extractor = tmp_path / "table.onnx"
    (tmp_path / "rows.csv").write_text("a,b,label\n" + "".join(f"{i},{i % 3},{'xy'[i % 2]}\n" for i in range(40)))
    assert edgecl("export", "identity", "--like", tmp_path / "rows.csv", "-o", extractor).code == 0
    assert edgecl("init", tmp_path / "meter", "--extractor", extractor).code == 0
    with served(tmp_path / "meter", state=tmp_path / "state") as page, browser() as driver:
        one = Visitor(driver, page)
        one.pair(page.url)
        one.says("record_note", "edgecl learn")
        assert not one.one("learn").is_displayed()
        assert not one.one("label").is_displayed()
