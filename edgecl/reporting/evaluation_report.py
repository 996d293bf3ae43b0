"""The report of an evaluation: accuracy by class, and what is taken for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgecl.reporting import charts
from edgecl.reporting.facts import Confusion
from edgecl.reporting.page import document, figure, section, table

if TYPE_CHECKING:
    from edgecl.operations.evaluating import Evaluation

HEADER = ("class", "samples", "accuracy")


def evaluation_report(found: Evaluation, *, store: str, data: str) -> str:
    """Return the HTML of an evaluation of a store on data of a name."""
    counts = np.zeros((len(found.labels), len(found.labels)))
    np.add.at(counts, (found.truth, found.answers), 1)
    confusion = Confusion(found.labels, counts)
    told = found.as_dict()
    rows = [[label, str(one["n"]), f"{one['accuracy']:.1%}"] for label, one in told["per_class"].items()]
    mistakes = [[label, other, str(count), str(of)] for label, other, count, of in confusion.mistakes()]
    subtitle = (
        f"balanced accuracy {found.balanced_accuracy:.1%}, accuracy {found.accuracy:.1%}, on {told['n']} samples of "
        f"{len(rows)} classes; {len(found.skipped)} skipped"
    )
    unknown = f"Never taught, so counted as wrong: {', '.join(found.unknown)}." if found.unknown else ""
    accuracy = {label: float(one["accuracy"]) for label, one in list(told["per_class"].items())[:60]}
    return document(
        f"edgecl eval: {store} on {data}",
        subtitle,
        [
            section("Confusion", figure(charts.matrix(confusion.shares, found.labels, found.labels, "confusion"))),
            section(
                "Classes", figure(charts.bars(accuracy, "accuracy")), table(("class", "samples", "accuracy"), rows)
            ),
            section("Mistakes", table(("class", "answered as", "times", "of"), mistakes, most=120), note=unknown),
        ],
    )
