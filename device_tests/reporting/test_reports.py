"""Reports: one file each, small, escaped, with a table beside each picture; looked at in a browser."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from edgecl.learner import Learner
from edgecl.reporting import charts, facts
from edgecl.reporting.page import LARGEST, table
from edgecl.reporting.store_report import store_report
from edgecl.svg import Svg

from ..support.commands import clips, edgecl, voice_extractor, write_clips

pytestmark = pytest.mark.native("reports of stores that are taught for them")

WORDS = ("yes", "stop", "left", "right")


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three lessons, one of them refused."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("report")
    store = folder / "kitchen <b>"
    assert edgecl("init", store, "--extractor", "voice").code == 0
    for number, words in enumerate((WORDS[:2], WORDS[2:])):
        assert edgecl("learn", store, write_clips(folder / f"lesson{number}", clips("teach", words, most=8))).code == 0
    wrong = [replace(one, label="stop") for one in clips("teach", ["yes"], most=8)]
    assert edgecl("learn", store, write_clips(folder / "wrong", wrong)).code == 3
    write_clips(folder / "heldout", clips("test", WORDS, most=6))
    return store


class Tags(HTMLParser):
    """The elements of a page, and those that were not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def check(text: str) -> Tags:
    """What holds of every report."""
    assert len(text.encode()) <= LARGEST
    tags = Tags(text)
    assert "script" not in tags.names
    assert not {"link", "img", "iframe", "object"} & set(tags.names)
    assert not any(name in ("src", "href", "style") or name.startswith("on") for name, _ in tags.attributes)
    assert "default-src 'none'" in text
    assert not re.search(r"https?://", text)
    return tags


def test_a_report_tells_decisions_accuracy_and_cost(kitchen: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    told = edgecl("report", kitchen, "-o", out, "--test", kitchen.parent / "heldout", "--json").value
    text = out.read_text()
    assert told == {"file": str(out), "bytes": len(text.encode())}
    tags = check(text)
    assert tags.names.count("svg") >= 7
    assert "kitchen &lt;b&gt;" in text
    for title in (
        "Decisions",
        "Accuracy over revisions",
        "Map of exemplars",
        "Detection",
        "Memory and disk",
        "Latency",
    ):
        assert f"<h2>{title}" in text
    assert "rejected" in text
    assert "forgetting" in text


def test_its_accuracies_are_those_of_eval(kitchen: Path) -> None:
    from edgecl.reporting.store_report import embedded_test
    from edgecl.sources.reading import read_samples

    learner = Learner.open(kitchen)
    heldout = kitchen.parent / "heldout"
    test, _ = embedded_test(learner.opened, read_samples(heldout, learner.contract), name="heldout")
    confusion, matrix = facts.tested(learner.opened, test.latents, test.truth)
    evaluation = learner.evaluate(read_samples(heldout, learner.contract))
    assert np.nanmean(np.diag(confusion.shares)) == pytest.approx(evaluation.balanced_accuracy)
    assert matrix.lessons == (("stop", "yes"), ("left", "right"))
    assert np.isnan(matrix.accuracy[0, 1])
    last = evaluation.as_dict()["per_class"]
    assert matrix.accuracy[-1, 1] == pytest.approx((last["left"]["accuracy"] + last["right"]["accuracy"]) / 2)
    assert matrix.bwt == pytest.approx(matrix.accuracy[1, 0] - matrix.accuracy[0, 0])


def test_a_pruned_revision_is_a_gap(kitchen: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(kitchen, tmp_path / "kitchen"))
    (store / "revisions" / "000002.json").unlink(missing_ok=True)
    for path in store.glob("revisions/*2*"):
        path.unlink()
    text = store_report(Learner.open(store).opened)
    check(text)


def test_labels_are_data_and_no_markup(tmp_path: Path) -> None:
    voice_extractor()
    store = tmp_path / "kitchen"
    assert edgecl("init", store, "--extractor", "voice").code == 0
    names = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>')
    for name, word in zip(names, WORDS, strict=False):
        folder = write_clips(tmp_path / word, [replace(one, label=word) for one in clips("teach", [word], most=5)])
        assert edgecl("learn", store, folder / word, "--label", name).code == 0
    text = store_report(Learner.open(store).opened)
    check(text)
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize("classes", [0, 1])
def test_hardly_anything_is_enough_for_a_report(tmp_path: Path, classes: int) -> None:
    voice_extractor()
    store = tmp_path / "kitchen"
    assert edgecl("init", store, "--extractor", "voice").code == 0
    if classes:
        assert edgecl("learn", store, write_clips(tmp_path / "clips", clips("teach", ["yes"], most=3))).code == 0
    check(store_report(Learner.open(store).opened))
    (tmp_path / "nothing").mkdir()
    assert edgecl("report", store, "-o", tmp_path / "r.html", "--test", tmp_path / "nothing").code == 4


def test_151_classes_have_small_cells_without_figures(rng: np.random.Generator) -> None:
    shares = np.eye(151) * 0.9 + 0.1 * np.eye(151)[rng.permutation(151)]
    names = [f"intent {number}" for number in range(151)]
    picture = str(charts.matrix(shares, names, names, "confusion"))
    assert len(picture) < 20_000
    assert "<text" not in picture
    confusion = facts.Confusion(tuple(names), np.round(shares * 20))
    rows = [[*map(str, one)] for one in confusion.mistakes()]
    assert "more</p>" in table(("class", "answered as", "times", "of"), rows, most=20)


def test_a_long_history_is_cut_to_fit(kitchen: Path) -> None:
    opened = Learner.open(kitchen).opened
    journal = opened.store.journal()
    long = [{**journal[-1], "time": f"2026-01-01T00:00:{at % 60:02d}"} for at in range(3000)]
    opened.store.journal = lambda: [*journal, *long]  # type: ignore[method-assign]
    text = store_report(opened)
    check(text)
    assert "The latest" in text


def test_a_damaged_store_is_told_to_be_one(kitchen: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(kitchen, tmp_path / "kitchen"))
    newest = sorted((store / "revisions").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-20])
    text = store_report(Learner.open(store).opened)
    check(text)
    assert "<h2>Damage" in text


def test_an_evaluation_can_be_a_file(kitchen: Path, tmp_path: Path) -> None:
    out = tmp_path / "eval.html"
    assert edgecl("eval", kitchen, kitchen.parent / "heldout", "--report", out).code == 0
    check(out.read_text())
    assert "balanced accuracy" in out.read_text()


def test_a_comparison_can_be_a_file(tmp_path: Path) -> None:
    voice_extractor()
    data = write_clips(tmp_path / "clips", clips("teach", WORDS, most=16))
    out = tmp_path / "compare.html"
    options = ("--seeds", "2", "--experiences", "2", "--strategies", "closed-form,auto", "--budgets", "10%")
    assert edgecl("compare", data, "--extractor", "voice", *options, "--report", out).code == 0
    check(out.read_text())
    assert "What it says" in out.read_text()


def test_text_and_titles_of_pictures_are_escaped() -> None:
    picture = Svg(10, 10, 'a "quoted" <label>')
    picture.text(1, 2, "<&>")
    picture.rect(0, 0, 1, 1, fill='red" onload="x', title="<b>")
    text = str(picture)
    assert "&lt;&amp;&gt;" in text
    assert "<title>&lt;b&gt;</title>" in text
    assert 'fill="red" onload' not in text


@pytest.mark.host
@pytest.mark.native("drives a browser")
def test_a_browser_shows_it_without_a_complaint_or_a_request(kitchen: Path, tmp_path: Path) -> None:
    pytest.importorskip("selenium", reason="needs selenium, and Chromium with its driver")
    from ..support.browser import browser, complaints, strangers

    out = tmp_path / "report.html"
    assert edgecl("report", kitchen, "-o", out, "--test", kitchen.parent / "heldout").code == 0
    with browser() as driver:
        for name, size, scheme in (("desktop", (1150, 900), "light"), ("phone_dark", (360, 740), "dark")):
            driver.execute_cdp_cmd(
                "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            )
            metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            driver.get(out.as_uri())
            assert driver.execute_script("return document.documentElement.scrollWidth") <= size[0]
            if folder := os.environ.get("EDGECL_SHOTS"):
                metrics["height"] = driver.execute_script("return document.documentElement.scrollHeight")
                driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
                driver.save_screenshot(str(Path(folder) / f"report_{name}.png"))
        assert complaints(driver) == []
        assert strangers(driver) == set()
