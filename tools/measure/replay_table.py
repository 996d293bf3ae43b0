"""Measure generated replay against kept exemplars and the closed form; `tools/replay_table` runs this.

Every budget of `--memory` decides the features and the bytes for what is replayed: exemplars, or what is kept of the
scatters. Gradient steps are granted the memory that they need on top, since small budgets have none. Five lessons of
all classes, one order, at most 100 samples of a class; people who taught nothing are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.splits import class_orders
from common.splits import lessons as lessons_of
from edgecl.errors import SettingError
from edgecl.learning.candidates import default_steps
from edgecl.learning.generated import Form, refine_with_generated
from edgecl.learning.loop import take_in
from edgecl.learning.replay import grown_head, refine_with_replay
from edgecl.learning.strategies import GENERATED, Rung
from edgecl.model.exemplars import quotas
from edgecl.model.head import whitened_cosine
from edgecl.model.model import Lesson, MemoryObjects, Model, factor_of
from edgecl.model.settings import Settings, plan_memory
from edgecl.units import format_bytes, parse_bytes
from measure.cases import Case, note
from measure.pupils import accuracy, collect

BUDGETS = ("32KiB", "64KiB", "128KiB", "256KiB", "1MiB")
MOST = 100  # samples of a class that are taught: windows of movement overlap
WAYS = ("closed form", "replay", GENERATED)


def few(case: Case, classes: Sequence[str]) -> NDArray[np.intp]:
    """Return the rows that teach classes, at most MOST of each, evenly spread."""
    each = [case.taught([label]) for label in classes]
    return np.sort(np.concatenate([one[:: -(-len(one) // MOST)] for one in each]))


def roomy(settings: Settings, room: int, classes: int) -> Settings:
    """Return the same features with memory for gradient steps and for so many bytes of exemplars."""
    memory = settings.memory_bytes
    while not (plan := plan_memory(replace(settings, memory_bytes=memory), classes)).can_refine or (
        plan.exemplars < room
    ):
        memory += max(memory // 8, 1 << 16)
    # the features stay, block by block, those of the budget
    return replace(settings, memory_bytes=memory)


def trimmed(model: Model, room: int) -> Model:
    """Return the model with exemplars of at most `room` bytes, as the product shares them out."""
    held = {label: len(one) for label, one in model.exemplars.items()}
    width = model.settings.features.row_dimension
    shares = quotas(held, capacity_bytes=room, row_dimension=width, taught=model.taught)
    return replace(model, exemplars={label: one.first(shares[label]) for label, one in model.exemplars.items()})


def learnt(way: str, model: Model, taught: Model, lesson: Lesson, room: int) -> Model:
    """Return the model after a lesson, by one way."""
    if way == "closed form":
        return replace(taught, head=whitened_cosine(factor_of(taught)))
    if way == "replay":
        start = replace(taught, head=grown_head(model.head, taught))
        return refine_with_replay(Rung("replay", default_steps("replay")), start, taught, lesson, seed=0)
    rung = Rung(GENERATED, default_steps(GENERATED))
    return refine_with_generated(rung, model, taught, lesson, seed=0, room_bytes=room)


def played(way: str, settings: Settings, lessons: Sequence[Lesson], room: int) -> Model:
    """Return the model after all lessons."""
    model, objects = Model(settings), MemoryObjects()
    for lesson in lessons:
        taught = trimmed(take_in(model, lesson, objects=objects), room)
        model = learnt(way, model, taught, lesson, room)
    return model


def measured(case: Case, budget: str) -> dict[str, Any] | None:
    """Return the accuracy of each way at a budget; None where a store is refused."""
    classes = len(case.classes)
    try:
        settings = case.settings(memory_bytes=parse_bytes(budget), max_classes=classes)
    except SettingError:
        return None
    room = max(plan_memory(settings, classes).exemplars, 0)
    granted = roomy(settings, room, classes)
    lessons = [collect(case, granted, few(case, part)) for part in lessons_of(class_orders(case.classes)[0])]
    form = Form.within(room, classes=classes, dimension=settings.features.row_dimension)
    found = {way: accuracy(case, played(way, granted, lessons, room), case.tested()) for way in WAYS}
    note(f"{case.data.name} {case.split.name} {budget}: " + ", ".join(f"{one} {x:.1%}" for one, x in found.items()))
    named = f"{form.name} {form.rank}" if form.rank else form.name
    steps = max(plan_memory(granted, classes).refinement - plan_memory(settings, classes).workspace, 0)
    return {"steps": steps, "room": room, "columns": settings.features.row_dimension, "form": named, "accuracy": found}


def table(cases_of: Callable[[], Sequence[Case]]) -> list[dict[str, Any]]:
    """Return the rows of one set: a budget each, over its splits."""
    cases, rows = cases_of(), []
    for budget in BUDGETS:
        each = [measured(case, budget) for case in cases]
        kept = [one for one in each if one is not None]
        row: dict[str, Any] = {"set": cases[0].data.name, "classes": len(cases[0].classes), "budget": budget}
        if kept:
            row |= {name: kept[0][name] for name in ("steps", "room", "columns", "form")}
            row["accuracy"] = {way: [one["accuracy"][way] for one in kept] for way in WAYS}
        rows.append(row)
    return rows


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table; the last columns are paired over the splits."""
    lines = [
        "| set (classes) | --memory | more for steps | columns | bytes to replay by | form | "
        + " | ".join((*WAYS, "against replay", "against closed form"))
        + " |",
        "|" + "---|" * 11,
    ]
    for one in rows:
        name = f"| {one['set']} ({one['classes']}) | {one['budget']} | "
        if "accuracy" not in one:
            lines.append(name + "too small for a store | | | | | | | | |")
            continue
        each = {way: 100 * np.array(values) for way, values in one["accuracy"].items()}
        means = " | ".join(f"{each[way].mean():.1f}" for way in WAYS)
        apart = " | ".join(_apart(each[GENERATED] - each[way]) for way in ("replay", "closed form"))
        steps = "none" if not one["steps"] else format_bytes(one["steps"])
        kept = f"{one['columns']} | {format_bytes(one['room'])} | {one['form']}"
        lines.append(f"{name}{steps} | {kept} | {means} | {apart} |")
    return "\n".join(lines)


def _apart(points: np.ndarray) -> str:
    error = f" ± {points.std(ddof=1) / np.sqrt(len(points)):.1f}" if len(points) > 1 else ""
    return f"{points.mean():+.1f}{error}"
