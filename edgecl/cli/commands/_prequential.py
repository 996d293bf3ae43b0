"""What `edgecl follow` and `edgecl learn --prequential` do and prints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli import progress, warn
from edgecl.cli.text import counted, percent, print_json, table, wrapped
from edgecl.store.files import write_output
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from edgecl.learning.drift_response import Drift
    from edgecl.operations.streaming import StreamReport
    from edgecl.sources.choices import Choices

CLASSES_SHOWN = 12
SHOWN_WEIGHT = 0.05
TOP = 5  # as in edgecl.learning.prequential, which --help should not load


def run(
    store: Path,
    path: Path,
    *,
    label_column: str | None,
    label_delay: int,
    dry_run: bool,
    as_json: bool,
    how: Choices,
    curve: Path | None = None,
    plot: Path | None = None,
    prior: str = "stream",
    watch: str | None = None,
    cost: str | None = None,
    alerts_per_1000: float | None = None,
) -> bool:
    """Follow a stream, print the report, and say whether the outcome was accepted."""
    with warn.opened(store) as learner:
        samples = progress.read(path, learner.contract, label_column=label_column, labelled=False, how=how)
        report = learner.follow(
            samples,
            label_delay=label_delay,
            dry_run=dry_run,
            prior=prior,
            watch=watch,
            cost=cost,
            alerts_per_1000=alerts_per_1000,
            label_case=how.label_case,
        )
        budget_bytes = learner.settings.memory_bytes
    return finish(report, budget_bytes, curve=curve, plot=plot, as_json=as_json)


def finish(report: StreamReport, budget_bytes: int, *, curve: Path | None, plot: Path | None, as_json: bool) -> bool:
    """Write curve and plot, print the report, and say whether the outcome was accepted."""
    drifts = [one.row for one in report.drifts]
    for file, text in ((curve, report.curves.as_csv), (plot, report.curves.as_svg)):
        if file is not None:
            write_output(file, text(drifts).encode())
    if as_json:
        print_json(report.as_dict())
    else:
        warn.skips(report.skipped)
        _print(report, budget_bytes=budget_bytes)
    return report.verdict.accepted


def _print(report: StreamReport, *, budget_bytes: int) -> None:
    tally, verdict = report.tally, report.verdict
    if not verdict.accepted:
        headline, colour = "REJECTED, the revision before stays live.", "red"
    elif report.dry_run:
        headline, colour = "DRY RUN: ACCEPTED, nothing is written.", "green"
    else:
        headline, colour = f"ACCEPTED, revision {report.revision} is live.", "green"
    click.secho(headline, bold=True, fg=colour)
    for reason in verdict.reasons:
        click.echo(wrapped(reason.removeprefix("unproven: ")))
    click.echo(
        f"{counted(tally.rows, 'row')}, {tally.labelled:,} with a label; answered right before the label was seen: "
        f"{percent(tally.accuracy)}, balanced {percent(tally.balanced_accuracy)}"
    )
    click.echo(
        f"repeating the label before would have been right for {percent(tally.same_again / max(tally.labelled, 1))}"
    )
    if len(tally.by_label) > TOP:
        hits, gain = tally.among_top / max(tally.labelled, 1), tally.gain / max(tally.labelled, 1)
        click.echo(f"among the {TOP} likeliest: {percent(hits)}; NDCG at {TOP} {gain:.3f}")
    shown = sorted(tally.by_label.items(), key=lambda item: -item[1][0])[:CLASSES_SHOWN]
    rows = [(label, f"{count:,}", percent(right / count)) for label, (count, right) in shown]
    click.echo(table(rows, header=("class", "rows", "right"), align="lrr"))
    if len(tally.by_label) > len(shown):
        click.echo(f"  and {counted(len(tally.by_label) - len(shown), 'other class', 'other classes')}")
    _print_reliability(report.reliability.as_dict())
    if report.alerts is not None:
        _print_alerts(report.alerts)
    weights = sorted(report.experts.items(), key=lambda item: -item[1])
    most = ", ".join(f"{name} {percent(weight)}" for name, weight in weights if weight >= SHOWN_WEIGHT)
    click.echo(wrapped(f"weight of the experts at the end: {most}"))
    _print_drifts(report.drifts)
    if report.contradictions:
        click.echo(
            wrapped(
                f"{counted(report.contradictions, 'label')} of {tally.labelled:,} contradicted all that was known: "
                "weighted down"
            )
        )
    if report.late is not None:
        late = report.late
        click.echo(
            f"without a label: {counted(late['rows_waiting'], 'row')} at the end, and {late['rows_dropped']:,} that "
            f"had gone; {counted(late['labels_without_row'], 'label')} without a row, and "
            f"{late['labels_too_late']:,} after their row had gone"
        )
    if tally.shifts:
        places = ", ".join(f"{row:,}" for row in tally.shifts[:5])
        click.echo(
            f"rows without a label began to look different {counted(len(tally.shifts), 'time')}: at row {places}"
        )
    click.echo(
        f"{report.elapsed_ms / 1e3:.1f} s, {1e3 * report.elapsed_ms / max(tally.rows, 1):.0f} µs a row; "
        f"memory {format_bytes(report.bytes['total'])} of {format_bytes(budget_bytes)}"
    )


def _print_reliability(found: Mapping[str, Any]) -> None:
    if not found["bins"]:
        return
    click.echo(
        f"mean confidence of the answers {percent(found['confidence'])}; calibration error (ECE) {found['ece']:.3f}"
    )
    rows = [
        (f"{one['from']:.1f} to {one['to']:.1f}", f"{one['rows']:,}", percent(one["confidence"]), percent(one["right"]))
        for one in found["bins"]
    ]
    click.echo(table(rows, header=("confidence", "rows", "mean", "right"), align="lrrr"))


def _print_alerts(alerts: Mapping[str, Any]) -> None:
    said = (
        f"{alerts['label']}: {counted(alerts['alerts'], 'alert')} ({alerts['alerts_per_1000']:.1f} of 1,000 rows), "
        f"right {percent(alerts['precision'])}; found {percent(alerts['recall'])} of {counted(alerts['rows'], 'row')}; "
        f"area under precision and recall {alerts['average_precision']:.3f}"
    )
    if "recall_at_budget" in alerts:
        said += f"; the likeliest rows within the budget hold {percent(alerts['recall_at_budget'])}"
    if "cost" in alerts:
        said += f"; cost {alerts['cost']:,.0f}"
    click.echo(wrapped(said if alerts["rows"] else f"{said}; no row had that label"))


def _print_drifts(drifts: tuple[Drift, ...]) -> None:
    if not drifts:
        click.echo("no drift: the error has not risen")
        return
    click.echo(f"{counted(len(drifts), 'confirmed drift')}, and what answered the latest rows best:")
    rows = [
        (f"{one.row:,}", one.chosen, percent(one.accuracy[one.chosen]), percent(one.accuracy["as it is"]))
        for one in drifts[-CLASSES_SHOWN:]
    ]
    click.echo(table(rows, header=("at labelled row", "chosen", "right", "as it was"), align="rlrr"))
