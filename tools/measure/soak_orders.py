"""The steps of `tools/soak`, drawn one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from edgecl.store.store import Store
from measure.soak_writer import Order, Portion, Size, label_of

LABELS_AT_ONCE = 5  # that a lesson teaches
FORGET_EVERY = 7  # lessons; up to FORGOTTEN_AT_ONCE classes
FORGOTTEN_AT_ONCE = 16
SWAP_EVERY = 20  # lessons; then one of SWAPPED samples under the name of another class, which the gate should refuse
SWAPPED = 20
ROLL_BACK_EVERY = 25  # lessons


class Orders:
    """Steps to carry out, each with the lesson that it belongs to.

    A step is drawn when the one before is done: `known` returns the live revision and its labels in order.
    """

    def __init__(
        self, path: Path, size: Size, *, draw: np.random.Generator, known: Callable[[], tuple[int, list[str]]]
    ) -> None:
        self._path, self._size, self._draw, self._known = path, size, draw, known

    def __iter__(self) -> Iterator[tuple[Order, int]]:
        """Yield every step and its lesson."""
        number, spread = 0, divmod(self._size.samples, self._size.lessons)
        for lesson in range(self._size.lessons):
            count = spread[0] + (lesson < spread[1])
            kinds = {"teach": 1, "swap": SWAP_EVERY, "rollback": ROLL_BACK_EVERY, "forget": FORGET_EVERY}
            for kind in [kind for kind, every in kinds.items() if lesson % every == every - 1]:
                number += 1
                order = self._order(number, kind, count)
                if order is not None:
                    yield order, lesson

    def _order(self, number: int, kind: str, count: int) -> Order | None:
        """Return one step, or None where what is known does not allow it."""
        live, known = self._known()
        if kind == "teach":
            return Order(number, kind, self._portions(number, count))
        if len(known) < LABELS_AT_ONCE:
            return None
        if kind == "swap":
            source, label = self._draw.choice(len(known), 2, replace=False)
            index = int(known[source].removeprefix("class "))
            return Order(number, kind, (Portion(known[label], index, SWAPPED, number),))
        if kind == "rollback":
            kept = [one for one in Store.open(self._path).revisions() if one != live]
            return Order(number, kind, target=int(self._draw.choice(kept))) if kept else None
        most = min(FORGOTTEN_AT_ONCE, len(known) // 4)
        chosen = self._draw.choice(known, self._draw.integers(1, most + 1), replace=False)
        return Order(number, kind, labels=tuple(map(str, chosen)))

    def _portions(self, number: int, count: int) -> tuple[Portion, ...]:
        labels = min(LABELS_AT_ONCE, count, self._size.classes)
        chosen = self._draw.choice(self._size.classes, labels, replace=False).tolist()
        shares = [count // labels + (place < count % labels) for place in range(labels)]
        return tuple(Portion(label_of(one), one, share, number) for one, share in zip(chosen, shares, strict=True))
