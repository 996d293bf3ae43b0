"""`edgecl follow --labels` and `--live`: rows as they come, with labels that come later and by id, or in a column."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from edgecl.operations.late_labels import Meeting

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
    assert set(report["late"].values()) == {0}
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
    late = {name: count for name, count in report["late"].items() if count}
    assert late == {"rows_waiting": 100, "rows_dropped": ROWS - 102, "labels_without_row": 1}
    assert [one["source"] for one in report["skipped"]] == ["label of row r1"]


def as_in_a_terminal() -> None:
    """Take a terminal that is closed as one does: the tests may run under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("end", ["SIGINT", "SIGHUP", "nobody reads"])
def test_predictions_come_out_at_once_and_whatever_ends_it_commits(store: Path, end: str) -> None:
    pipe = store.parent / "pipe"
    os.mkfifo(pipe)
    command = command_line("follow", store, "-", "--id-column", "id", "--labels", pipe, "--json")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=as_in_a_terminal
    ) as one:
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
            if end == "nobody reads":
                one.stdout.close()
                one.stdin.write("d,20\n")
                one.stdin.flush()
            else:
                one.send_signal(signal.Signals[end])
                assert json.loads(one.stdout.readline())["labelled"] == 2
            assert one.wait(10) == (end == "nobody reads")
        finally:
            one.kill()
            os.close(labels)
    assert edgecl("status", store, "--json").value["classes"].keys() == {"fair", "fraud"}


def test_live_rows_are_answered_at_once_and_their_labels_learnt(store: Path) -> None:
    command = command_line("follow", store, "-", "--label-column", "y", "--label-delay", "1", "--live", "--json")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdin is not None
        assert one.stdout is not None
        try:
            one.stdin.write("amount,y\n10,fair\n190,\n20,fair\n")
            one.stdin.flush()
            lines = [json.loads(one.stdout.readline()) for _ in range(4)]
            assert [(line["id"], line.get("learnt")) for line in lines] == [
                ("1", None), ("2", None), ("1", "fair"), ("3", None),
            ]  # fmt: skip
            one.send_signal(signal.SIGINT)
            report = json.loads(one.stdout.readline())
            assert (report["rows"], report["labelled"]) == (3, 1)
            assert one.wait(10) == 0
        finally:
            one.kill()
    assert edgecl("status", store, "--json").value["classes"].keys() == {"fair"}


@pytest.mark.parametrize("delay", [0, 40])
def test_live_rows_of_a_file_are_answered_as_those_of_a_table(store: Path, delay: int) -> None:
    table = ("follow", store, store.parent / "all.csv", "--label-column", "y", "--label-delay", delay, "--dry-run")
    *lines, report = edgecl(*table, "--live", "--json").lines
    assert len(lines) == 2 * ROWS
    usual = edgecl(*table, "--json").value["accuracy"]
    assert report["accuracy"] == pytest.approx(usual, abs=0.02)  # which counts on labels that are late by as much


def test_live_rows_find_their_columns_as_those_of_a_table_do(store: Path) -> None:
    folder, two = store.parent, store.parent / "two"
    cells = [f"{amount},{at % 24},{label}" for at, (amount, label) in enumerate(amounts())]
    (folder / "two.csv").write_text("\n".join(["amount,hour_of_day,y", *cells]) + "\n")
    turned = [",".join([hour, amount, label]) for amount, hour, label in (one.split(",") for one in cells)]
    (folder / "other.csv").write_text("\n".join(["data.Hour of day,data.amount,y", *turned]) + "\n")
    like = ("--like", folder / "two.csv", "--label-column", "y")
    assert edgecl("export", "identity", *like, "-o", folder / "two.onnx").code == 0
    assert edgecl("init", two, "--extractor", folder / "two.onnx", "--max-classes", 2).code == 0
    followed = ("follow", two, folder / "other.csv", "--label-column", "y", "--dry-run", "--json")
    table, live = edgecl(*followed), edgecl(*followed, "--live")
    assert (live.lines[-1]["labelled"], live.lines[-1]["skipped"]) == (ROWS, [])
    assert live.lines[-1]["accuracy"] == pytest.approx(table.value["accuracy"], abs=0.02)
    for done in (table, live):
        assert "data.amount, data.hour of day are taken as amount, hour_of_day" in done.err


def test_live_rows_need_no_memory_for_rows_that_do_not_wait(store: Path) -> None:
    small, table = store.parent / "small", store.parent / "all.csv"
    made = edgecl("init", small, "--extractor", store.parent / "t.onnx", "--max-classes", 2, "--memory", "500 KiB")
    assert made.code == 0
    for how in ((), ("--live",)):
        done = edgecl("follow", small, table, "--label-column", "y", "--dry-run", *how)
        assert (done.code, done.err) == (0, "")


def test_a_label_that_is_cut_where_a_live_pipe_ends_is_no_class(store: Path) -> None:
    rows = "amount,y\n" + "".join(f"{amount},{label}\n" for amount, label in amounts()[:20]) + "180,fra"
    done = subprocess.run(
        command_line("follow", store, "-", "--label-column", "y", "--live", "--json"),
        input=rows, capture_output=True, text=True, check=True,
    )  # fmt: skip
    *lines, report = map(json.loads, done.stdout.splitlines())
    assert report["skipped"][0]["source"] == "stdin:22"
    assert {line["learnt"] for line in lines if "learnt" in line} == {"fair", "fraud"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--live",), "no column 'label'"),
        (("--live", "--id-column", "id", "--labels", "labels.csv"), "choose one"),
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


def of_labels(store: Path, *lines: str, rows: str = "", encoding: str = "utf-8"):
    """Follow with labels, and rows where they are given, written as they are."""
    labels = store.parent / "odd.csv"
    labels.write_text("\n".join(lines) + "\n", encoding=encoding)
    if rows:
        (store.parent / "rows.csv").write_text(rows, encoding=encoding)
    return by_id(store, labels, "--dry-run")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("before", ["sep=;\n", "# of the bank\n", ""])
def test_rows_and_labels_are_read_as_tables_are(store: Path, encoding: str, before: str) -> None:
    rows = f"{before}id;amount\nr0;10,5\nid;amount\nr1;190,25\n"
    done = of_labels(store, f"{before}id;label", "r0;fair", "id;label", "r1;fraud", rows=rows, encoding=encoding)
    assert done.lines[-1]["labelled"] == 2
    assert done.lines[-1]["skipped"] == []


@pytest.mark.parametrize("missing", ["nan", "None", "#N/A", ""])
def test_a_missing_label_or_id_teaches_nothing(store: Path, missing: str) -> None:
    rows = f"id,amount\nr0,10\nr1,20\n{missing},190\n"
    report = of_labels(store, "id,label", "r0,fair", f"r1,{missing}", f"{missing},fraud", rows=rows).lines[-1]
    assert (report["rows"], report["labelled"], list(report["per_class"])) == (3, 1, ["fair"])
    assert [one["reason"].partition(":")[0] for one in report["skipped"]].count("no id") == 2
    assert [one["reason"].partition(":")[0] for one in report["skipped"]].count("no label") == 1


def test_ragged_rows_and_labels_are_skipped_and_not_shifted(store: Path) -> None:
    rows = "id,city,amount\nr0,Oslo,10\nr1,Oslo, Norway,190\nr2,Oslo\nr3,Rome,20,\n"
    report = of_labels(store, "id,label", "r0,fair", "r1,fair", "r3,fair, no", rows=rows).lines[-1]
    assert (report["rows"], report["labelled"]) == (2, 1)
    assert [one["reason"] for one in report["skipped"]] == [
        "ragged row: 3 cells, the header has 2",
        "ragged row: 4 cells, the header has 3",
        "ragged row: 2 cells, the header has 3",
    ]


@pytest.mark.parametrize(
    ("head", "message"), [("id,label,label", "two columns of the same name, label"), ("\x1f\x08\x00", "is no text")]
)
def test_columns_that_cannot_be_told_apart_are_refused(store: Path, head: str, message: str) -> None:
    done = of_labels(store, head, "r0,fair,fraud")
    assert (done.code, message in done.err) == (4, True)


def test_labels_that_contradict_each_other_are_counted_and_one_is_learnt(store: Path) -> None:
    done = of_labels(store, "id,label", "r0,fair", "r0,fraud", "r0,fair", "r1,fair", "r1,fair")
    late = done.lines[-1]["late"]
    assert (late["labels_contradicting"], late["labels_repeated"], late["labels_without_row"]) == (1, 2, 0)
    assert done.lines[-1]["labelled"] == 2
    assert "1 labels contradict another one of their row" in done.err


def test_labels_that_came_after_their_row_had_gone_are_named_with_what_has_to_wait(store: Path) -> None:
    labels = store.parent / "long.csv"  # from before the rows began, as of a whole year
    head, *own = (store.parent / "labels.csv").read_text().splitlines()
    labels.write_text("\n".join([head, *(f"old{at},fair" for at in range(160)), *own]) + "\n")
    done = by_id(store, labels, "--waiting", 100, "--dry-run")
    late = done.lines[-1]["late"]
    assert late["labels_too_late"] == late["rows_dropped"] > 0
    assert f"{late['labels_too_late']} labels came after their row had gone" in done.err
    enough = int(done.err.partition("let ")[2].split()[0].replace(",", ""))
    done = by_id(store, labels, "--waiting", enough, "--dry-run")
    assert (done.lines[-1]["labelled"], done.err) == (ROWS, "")


def test_labels_that_had_gone_before_their_row_came_are_named_with_what_has_to_wait() -> None:
    for waiting, kept in ((100, 100), (300, 300)):
        meeting = Meeting(waiting)
        for at in range(300):  # as a file that is poured into a pipe
            meeting.label(f"r{at}", "fair")
        met = [meeting.row(f"r{at}", object()) for at in range(300)]  # type: ignore[arg-type]
        assert met.count("fair") == kept
        counts = meeting.counts()
        assert counts["labels_too_early"] == min(300 - kept, waiting)  # of the latest that had gone
        assert counts["labels_without_row"] == 300 - kept
    assert not list(meeting.notes())
    few = Meeting(200)
    for at in range(300):
        few.label(f"r{at}", "fair")
    few.row("r7", object())  # type: ignore[arg-type]
    assert list(few.notes()) == [
        "1 labels had gone before their row came, and were not learnt: let 293 rows wait in place of 200"
    ]


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_labels_without_a_header_line_are_named_as_empty(store: Path, content: str) -> None:
    labels = store.parent / "none.csv"
    labels.write_text(content)
    done = by_id(store, labels)
    assert (done.code, "is empty, wanted a header line with id and label" in done.err) == (4, True)


def test_a_label_that_is_cut_where_its_pipe_ends_is_no_class(store: Path) -> None:
    labels = store.parent / "labels.csv"
    labels.write_text("id,label\nr1,fair\nr2,fraud\nr3,fra")
    report = by_id(store, labels, "--dry-run").lines[-1]
    assert list(report["per_class"]) == ["fair", "fraud"]
    assert "its label 'fra' is the beginning of 'fraud'" in report["skipped"][0]["reason"]
    assert report["skipped"][0]["source"] == f"{labels}:4"


def test_ids_of_two_kinds_are_shown(store: Path) -> None:
    done = of_labels(store, "id,label", "TX-r0,fair", "TX-r1,fair")
    assert "no label met a row: the ids of rows are such as 'r0', those of labels such as 'TX-r0'" in done.err


def test_ids_that_are_used_again_are_named(store: Path) -> None:
    done = of_labels(store, "id,label", "r0,fair", "r1,fair", rows="id,amount\nr0,10\nr0,11\nr1,12\nr1,13\n")
    assert done.lines[-1]["late"]["ids_used_again"] == 2
    assert "labels by id cannot tell such rows apart" in done.err


@pytest.mark.parametrize("other", ["7", "7.0"])
def test_ids_that_are_one_number_in_two_spellings_are_named(store: Path, other: str) -> None:
    done = of_labels(store, "id,label", f"{other},fair", rows="id,amount\n007,10\n008,10\n")
    assert done.lines[-1]["labelled"] == 0
    assert f"the row '007' and the label of '{other}' did not meet: ids are compared as text" in done.err


def test_labels_and_ids_that_are_no_utf8_stay_apart_and_teach_nothing(store: Path) -> None:
    labels = store.parent / "latin.csv"
    labels.write_bytes("id,label\nr0,caf\u00e9\nr1,caf\u00e8\nr\u00e9,fair\nr\u00e8,fair\n".encode("latin-1"))
    done = by_id(store, labels, "--dry-run")
    assert done.lines[-1]["labelled"] == 0
    assert done.lines[-1]["late"]["labels_without_row"] == 2
    assert [one["reason"].partition(":")[0] for one in done.lines[-1]["skipped"]] == ["label refused"] * 2


def test_ids_may_be_words_that_stand_for_a_missing_value_elsewhere(store: Path) -> None:
    (store.parent / "rows.csv").write_text("id,amount\nr0,3\nNA,190\nnan,5\n")
    labels = store.parent / "words.csv"
    labels.write_text("id,label\nr0,fair\nNA,fraud\nnan,fair\n")
    assert by_id(store, labels, "--dry-run").lines[-1]["labelled"] == 2


def test_json_lines_are_named(store: Path) -> None:
    labels = store.parent / "labels.jsonl"
    labels.write_text('{"id": "r0", "label": "fair"}\n')
    done = by_id(store, labels)
    assert done.code == 4
    assert "is JSON Lines" in done.err
