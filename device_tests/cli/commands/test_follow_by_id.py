"""`edgecl follow --labels`: labels that come later and by id, from a second file or pipe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from ...support.commands import command_line, edgecl

pytestmark = pytest.mark.host  # `edgecl export` makes the extractor
ROWS = 600


def amounts() -> list[tuple[float, str]]:
    return [(float(at * 37 % 200), "fraud" if at * 37 % 200 > 120 else "fair") for at in range(ROWS)]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    like = tmp_path / "all.csv"
    like.write_text("amount,y\n" + "".join(f"{amount},{label}\n" for amount, label in amounts()))
    made = edgecl("export", "identity", "--like", like, "--label-column", "y", "-o", tmp_path / "t.onnx")
    assert made.code == 0
    assert edgecl("init", tmp_path / "shop", "--extractor", tmp_path / "t.onnx", "--max-classes", "2").code == 0
    (tmp_path / "rows.csv").write_text(
        "id,amount\n" + "".join(f"r{at},{one}\n" for at, (one, _) in enumerate(amounts()))
    )
    labels = [f"r{at},{label}\n" for at, (_, label) in enumerate(amounts())]
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(labels))
    return tmp_path / "shop"


def by_id(store: Path, labels: Path, *more: object):
    return edgecl("follow", store, store.parent / "rows.csv", "--id-column", "id", "--labels", labels, "--json", *more)


def test_labels_at_once_give_what_a_column_of_labels_gives(store: Path) -> None:
    *lines, report = by_id(store, store.parent / "labels.csv", "--dry-run").lines
    usual = edgecl("follow", store, store.parent / "all.csv", "--label-column", "y", "--json", "--dry-run").value
    assert usual["accuracy"] > 0.9
    assert report["accuracy"] == pytest.approx(usual["accuracy"], abs=0.005)  # the closed form is solved at other rows
    assert report["late"] == {"rows_waiting": 0, "rows_dropped": 0, "labels_without_row": 0}
    predicted = [one["label"] for one in lines if "confidence" in one]
    assert len(predicted) == ROWS
    assert [one["answered"] for one in lines if "learnt" in one] == predicted


def test_labels_in_another_order_are_judged_by_what_was_answered_to_their_row(store: Path) -> None:
    head, *labels = (store.parent / "labels.csv").read_text().splitlines()
    turned = [one for at in range(0, ROWS, 50) for one in reversed(labels[at : at + 50])]
    shuffled = store.parent / "shuffled.csv"
    shuffled.write_text("\n".join([head, *turned]) + "\n")
    *lines, report = by_id(store, shuffled).lines
    assert report["labelled"] == ROWS
    answered = {one["id"]: one["label"] for one in lines if "confidence" in one}
    learnt = {one["id"]: one for one in lines if "learnt" in one}
    assert {name: one["answered"] for name, one in learnt.items()} == answered
    assert report["accuracy"] == sum(one["right"] for one in learnt.values()) / ROWS
    assert edgecl("predict", store, store.parent / "rows.csv", "--json").code == 0


def test_what_waits_is_bounded_and_what_does_not_meet_is_counted(store: Path) -> None:
    labels = store.parent / "few.csv"
    labels.write_text("id,label\nnobody,fair\nr599,fair\nr0,fair\nr1,\n")
    report = by_id(store, labels, "--waiting", 100, "--dry-run").lines[-1]
    assert report["labelled"] == 2
    assert report["late"] == {"rows_waiting": 100, "rows_dropped": ROWS - 102, "labels_without_row": 1}
    assert [one["source"] for one in report["skipped"]] == ["label of row r1"]


def test_predictions_come_out_at_once_and_an_interrupt_commits(store: Path) -> None:
    pipe = store.parent / "pipe"
    os.mkfifo(pipe)
    command = command_line("follow", store, "-", "--id-column", "id", "--labels", pipe, "--json")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdin is not None
        assert one.stdout is not None
        labels = os.open(pipe, os.O_RDWR)  # does not wait for a reader
        try:
            one.stdin.write("id,amount\na,10\nb,190\n")
            one.stdin.flush()
            assert [json.loads(one.stdout.readline())["id"] for _ in range(2)] == ["a", "b"]
            os.write(labels, b"id,label\nb,fraud\na,fair\n")
            learnt = [json.loads(one.stdout.readline()) for _ in range(2)]
            assert [(line["id"], line["learnt"]) for line in learnt] == [("b", "fraud"), ("a", "fair")]
            one.stdin.write("c,15\n")
            one.stdin.flush()
            assert json.loads(one.stdout.readline())["label"] in ("fair", "fraud")
            one.send_signal(signal.SIGINT)
            report = json.loads(one.stdout.readline())
            assert one.wait(10) == 0
        finally:
            one.kill()
            os.close(labels)
    assert report["labelled"] == 2
    assert edgecl("status", store, "--json").value["classes"].keys() == {"fair", "fraud"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--id-column", "id"), "--id-column and --labels go together"),
        (("--id-column", "number", "--labels", "labels.csv"), "no column 'number'"),
        (("--id-column", "id", "--labels", "rows.csv"), "no column 'label'"),
        (("--id-column", "id", "--labels", "labels.csv", "--label-delay", "5"), "choose one"),
        (("--id-column", "id", "--labels", "labels.csv", "--waiting", "10000000"), "memory"),
    ],
)
def test_what_cannot_work_is_refused(
    store: Path, options: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent)
    done = edgecl("follow", store, "rows.csv", *options)
    assert done.code not in (0, 3)
    assert message in done.err


def test_a_stray_quotation_mark_in_labels_costs_one_of_them(store: Path) -> None:
    head, *labels = (store.parent / "labels.csv").read_text().splitlines()
    labels[10] = 'r10,"fair'
    odd = store.parent / "odd.csv"
    odd.write_text("\n".join([head, *labels]) + "\n")
    done = by_id(store, odd, "--dry-run")
    assert done.code in (0, 3)
    assert done.lines[-1]["labelled"] >= ROWS - 1
    assert len(done.err) < 5000
