"""The tables of tools/gate_rates, from the figures that tools/measure/gate_rates.py writes; standard library only.

A lesson is harmful if on people who taught nothing the balanced accuracy of the old classes falls by more than
POOLED_FALL, or any one of them by more than CLASS_FALL, beyond the fall of the clean lesson (where that gains, beyond
none). So a clean lesson is never harmful. By the letter a class of two test samples counts like any other: one answer
more or less is then a fall of half. The stricter reading looks only at classes of ENOUGH samples, where one answer is
no more than CLASS_FALL, and at the pooled fall over these.

It is let in if what goes live is harmful, whichever strategy of the ladder made it. Rates have Wilson's 95 % interval;
lessons of one scene share a model and test data, so the true intervals are wider.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from report.tables import titled_markdown, titled_plain

Figures = Mapping[str, Any]
Rows = list[list[str]]

POOLED_FALL, CLASS_FALL = 0.02, 0.1
ENOUGH = 10
LET_IN, REFUSED = 0.02, 0.05  # targets: no more harmful lessons accepted, no more good ones refused
SHIPPED = "as it ships"
CURVE_CLIPS = 5
Z = 1.959964
REASONS = {  # kind of reason: what only its text says
    "question": "is it the same?",
    "names that do not fit": "samples with names that are known do not fit them",
    "samples that wait": "not fit the name that",
    "contradiction": "check the labels",
    "foreign": "times as far from what the model knows",
    "a class would fall": "would fall from",
    "old classes together would fall": "the old classes together",
    "new class below the floor": "would be answered right in only",
    "fault": "",
}
JUDGES: dict[str, Callable[[Figures], int | None]] = {  # which attempt goes live; None: none
    "accept always": lambda lesson: 0,
    "accuracy on kept samples falls ≤ 2 points": lambda lesson: 0 if lesson["passes_threshold"] else None,
    "the gate": lambda lesson: accepted(lesson),
    "the gate, proven only": lambda lesson: accepted(lesson) if lesson["is_proven"] else None,
}


def accepted(lesson: Figures, policy: str = SHIPPED) -> int | None:
    found: int | None = lesson["accepted"][policy]
    return found


def wilson(count: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate (Wilson 1927).

    >>> [round(one, 3) for one in wilson(0, 10)]
    [0.0, 0.278]
    """
    if not of:
        return 0.0, 1.0
    share, room = count / of, Z * Z / of
    middle = (share + room / 2) / (1 + room)
    half = math.sqrt(share * (1 - share) * room + room * room / 4) / (1 + room)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def is_harmful(lesson: Figures, attempt: int | None, *, fewest: int = 1) -> bool:
    """Test whether this attempt does harm if it goes live; None, nothing goes live, does none.

    Parameters
    ----------
    fewest
        Test samples that a class must have to count.
    """
    if attempt is None:
        return False
    falls = [fall(lesson, label, lesson["after"][attempt]) for label in seen(lesson, fewest)]
    clean = [fall(lesson, label, lesson["clean"]) for label in seen(lesson, fewest)]
    if not falls:
        return False
    beyond = fmean(falls) - max(fmean(clean), 0)
    worst = max(one - max(other, 0) for one, other in zip(falls, clean, strict=True))
    return beyond > POOLED_FALL + 1e-9 or worst > CLASS_FALL + 1e-9


def seen(lesson: Figures, fewest: int) -> list[str]:
    """Return the old classes with at least `fewest` test samples."""
    return [label for label, samples in lesson["samples"].items() if samples >= fewest]


def fall(lesson: Figures, label: str, after: Mapping[str, int]) -> float:
    """Return the fall of one class: the net share of its test samples that are no longer answered right."""
    return float(lesson["before"][label] - after[label]) / float(lesson["samples"][label])


def reason_kind(text: str) -> str:
    return next(kind for kind, part in REASONS.items() if part in text)


def harmful(lessons: Iterable[Figures], judge: Callable[[Figures], int | None], *, fewest: int = 1) -> list[bool]:
    """Return for each harmful lesson whether this judge accepts harm.

    Harmful is what accept-always makes of it, or, where a gentler strategy of the ladder went live, what that did.
    """
    pairs = [(is_harmful(one, 0, fewest=fewest), is_harmful(one, judge(one), fewest=fewest)) for one in lessons]
    return [let_in for by_letter, let_in in pairs if by_letter or let_in]


def refused(lessons: Iterable[Figures], judge: Callable[[Figures], int | None]) -> list[bool]:
    """Return for each good lesson whether this judge refuses it."""
    return [judge(one) is None for one in lessons if one["is_good"]]


# Tables: rows of texts, the first of them the header


def judge_rows(lessons: Sequence[Figures]) -> Rows:
    """Compare the gate with simpler judges, over all lessons."""
    header = ["judge", "harmful let in", f"harmful let in, classes of ≥ {ENOUGH} test samples", "good refused"]
    return [
        header,
        *[
            [
                name,
                rate(harmful(lessons, judge)),
                rate(harmful(lessons, judge, fewest=ENOUGH)),
                rate(refused(lessons, judge)),
            ]
            for name, judge in JUDGES.items()
        ],
    ]


def target_rows(lessons: Sequence[Figures]) -> Rows:
    """Compare the gate with its targets, by clips per class."""
    rows = [["clips per class", f"harmful let in (≤ {LET_IN:.0%})", "met", f"good refused (≤ {REFUSED:.0%})", "met"]]
    for name, chosen in {**by(lessons, "clips"), "all": lessons}.items():
        let_in, turned_away = harmful(chosen, accepted), refused(chosen, accepted)
        row = [rate(let_in), met(let_in, LET_IN), rate(turned_away), met(turned_away, REFUSED)]
        rows.append([str(name), *row])
    return rows


def good_rows(lessons: Sequence[Figures]) -> Rows:
    """Return the share of good lessons that are refused, by kind and clips."""
    good = [one for one in lessons if one["is_good"]]
    counts = list(by(good, "clips"))
    header = [
        "good lesson",
        *(f"refused of {clips} clips" for clips in counts),
        "refused",
        "proven",
        "itself costs > 2 points or > 10 of a class",
    ]
    rows = [header]
    for kind, chosen in by(good, "kind").items():
        cells = [rate(refused(by(chosen, "clips").get(clips, []), accepted)) for clips in counts]
        proven = [one["is_proven"] for one in chosen if accepted(one) is not None]
        costly = [is_costly(one) for one in chosen]
        rows.append(
            [str(kind), *cells, rate(refused(chosen, accepted)), f"{rate(proven)} of the accepted", rate(costly)]
        )
    return rows


def harmful_rows(lessons: Sequence[Figures]) -> Rows:
    """Return how many bad lessons did harm, and how many of these were accepted, by kind and clips."""
    bad = [one for one in lessons if not one["is_good"]]
    counts = list(by(bad, "clips"))
    header = ["bad lesson", "did harm", *(f"let in of {clips} clips" for clips in counts), "let in"]
    header += ["let in and proven", "harmless, refused"]
    rows = [header]
    for kind, chosen in by(bad, "kind").items():
        cells = [rate(harmful(by(chosen, "clips").get(clips, []), accepted)) for clips in counts]
        did = [is_harmful(one, 0) for one in chosen]
        harmless = [accepted(one) is None for one in chosen if not is_harmful(one, 0)]
        proven = harmful(chosen, JUDGES["the gate, proven only"])
        rows.append([str(kind), rate(did), *cells, rate(harmful(chosen, accepted)), rate(proven), rate(harmless)])
    return rows


def kind_rows(lessons: Sequence[Figures]) -> Rows:
    """Return how many bad lessons did harm, and how many of these were accepted, by kind."""
    bad = by([one for one in lessons if not one["is_good"]], "kind")
    rows = [["bad lesson", "did harm", "of these let in"]]
    for kind, chosen in bad.items():
        rows.append([str(kind), rate([is_harmful(one, 0) for one in chosen]), rate(harmful(chosen, accepted))])
    return rows


def size_rows(lessons: Sequence[Figures]) -> Rows:
    """Return how much harm was accepted, by the pooled fall beyond the clean lesson's."""
    rows = [["fall of old balanced accuracy beyond the clean lesson's", "harmful lessons", "let in"]]
    bounds = [(-math.inf, 0.01), (0.01, 0.02), (0.02, 0.05), (0.05, 0.1), (0.1, math.inf)]
    for low, high in bounds:
        chosen = [one for one in lessons if is_harmful(one, 0) and low < beyond(one) <= high]
        name = f"≤ {100 * high:.0f} points" if low < 0 else f"{100 * low:.0f} to {100 * high:.0f}"
        name = name if high < math.inf else f"more than {100 * low:.0f}"
        rows.append([name, str(len(chosen)), rate(harmful(chosen, accepted))])
    return rows


def beyond(lesson: Figures) -> float:
    """Return the pooled fall beyond the clean lesson's, if everything is accepted."""
    labels = seen(lesson, 1)
    after, clean = lesson["after"][0], lesson["clean"]
    return fmean(fall(lesson, label, after) for label in labels) - max(
        fmean(fall(lesson, label, clean) for label in labels), 0
    )


def reason_rows(lessons: Sequence[Figures]) -> Rows:
    """Count the reasons for refusing good lessons; one may have several."""
    good = [one for one in lessons if one["is_good"] and accepted(one) is None]
    counts = Counter(kind for one in good for kind in {reason_kind(text) for text in one["reasons"]})
    costly = sum(is_costly(one) for one in good)
    rows = [["reason for refusing a good lesson", "lessons"], *([kind, str(of)] for kind, of in counts.most_common())]
    return [*rows, ["all, of them", str(len(good))], ["really lost > 2 points, or > 10 of a class", str(costly)]]


def is_costly(lesson: Figures) -> bool:
    """Test whether a clean lesson itself costs the old classes more than a harmful one may beyond it."""
    return is_harmful({**lesson, "clean": lesson["before"]}, 0)


def set_rows(lessons: Sequence[Figures]) -> Rows:
    rows = [["set", "lessons", "harmful", "harmful let in", f"classes of ≥ {ENOUGH} test samples", "good refused"]]
    for name, chosen in by(lessons, "set").items():
        bad = sum(is_harmful(one, 0) for one in chosen)
        clear = harmful(chosen, accepted, fewest=ENOUGH)
        row = [rate(harmful(chosen, accepted)), rate(clear), rate(refused(chosen, accepted))]
        rows.append([str(name), str(len(chosen)), str(bad), *row])
    return rows


def scene_rows(lessons: Sequence[Figures]) -> Rows:
    """Return the gate's errors by who teaches, and by how much the model was taught before."""
    rows = [["lessons by", "model taught", "lessons", "harmful", "harmful let in", "good refused"]]
    for people, some in by(lessons, "people").items():
        for most, chosen in by(some, "most").items():
            name = "all there is" if most is None else f"≤ {most} clips a class"
            bad = str(sum(is_harmful(one, 0) for one in chosen))
            row = [rate(harmful(chosen, accepted)), rate(refused(chosen, accepted))]
            rows.append([people, name, str(len(chosen)), bad, *row])
    return rows


def curve_rows(lessons: Sequence[Figures]) -> Rows:
    """Judge the same evidence at five clips by other policies."""
    chosen = [one for one in lessons if one["clips"] == CURVE_CLIPS]
    judges: dict[str, Callable[[Figures], int | None]] = {"as it ships, proven only": JUDGES["the gate, proven only"]}
    judges |= {policy: partial(accepted, policy=policy) for policy in chosen[0]["accepted"]}
    found = {name: (harmful(chosen, judge), refused(chosen, judge)) for name, judge in judges.items()}
    ordered = sorted(found.items(), key=lambda one: -fmean(one[1][0]))
    return [["policy", "harmful let in", "good refused"], *([name, *map(rate, flags)] for name, flags in ordered)]


def by(lessons: Iterable[Figures], key: str) -> dict[Any, list[Figures]]:
    """Group lessons by a field; numbers in order, names as they come."""
    found: dict[Any, list[Figures]] = {}
    for one in lessons:
        found.setdefault(one[key], []).append(one)
    return dict(sorted(found.items())) if key == "clips" else found


def rate(flags: Sequence[bool]) -> str:
    """Return a rate with its count and interval, in %."""
    if not flags:
        return "–"
    low, high = wilson(sum(flags), len(flags))
    return f"{100 * fmean(flags):.1f} ({sum(flags)}/{len(flags)}; {100 * low:.1f} to {100 * high:.1f})"


def met(flags: Sequence[bool], limit: float) -> str:
    return "yes" if flags and fmean(flags) <= limit else "NO"


TABLES = {
    "The gate's errors beside simpler judges, % (count; 95 % interval)": judge_rows,
    "The gate against its targets, by clips per class, %": target_rows,
    "Good lessons, %": good_rows,
    "Why good lessons are refused": reason_rows,
    "Bad lessons, by kind, %": kind_rows,
    "Bad lessons, by kind and clips, %": harmful_rows,
    "How great the harm is, %": size_rows,
    "By scene, %": scene_rows,
    "By set, %": set_rows,
    f"The trade at {CURVE_CLIPS} clips per class, %": curve_rows,
}

KEPT = (judge_rows, target_rows, kind_rows, set_rows, curve_rows)  # the results file has these, a terminal all


def as_text(figures: Figures) -> str:
    """Return all tables for a terminal."""
    rows = {title: make(figures["lessons"]) for title, make in TABLES.items()}
    return f"{_about(figures)}\n\n{titled_plain(rows)}"


def as_markdown(figures: Figures) -> str:
    """Return the tables of the results file."""
    rows = {title: make(figures["lessons"]) for title, make in TABLES.items() if make in KEPT}
    return f"{_about(figures)}\n\n{titled_markdown(rows)}"


def _about(figures: Figures) -> str:
    """Return how many lessons there were of each sort."""
    lessons = figures["lessons"]
    good, bad = sum(one["is_good"] for one in lessons), sum(is_harmful(one, 0) for one in lessons)
    about = f"{len(lessons)} lessons on {len(by(lessons, 'set'))} sets: {good} good, {bad} harmful, "
    return about + f"{len(lessons) - good - bad} bad but without harm on the test samples."
