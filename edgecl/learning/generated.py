"""Generated replay: latents of known classes drawn from their statistics, in place of exemplars.

Each class is a Gaussian of its mean and within-class scatter. What the room of the exemplars holds of the scatters
decides their form: whole, some directions and a diagonal, a diagonal, or means alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecl.learning.refine import coordinates_of, refine, typical_logits
from edgecl.learning.replay import grown_head
from edgecl.learning.strategies import REFINE_PER_CLASS, Rung
from edgecl.model.exemplars import Exemplars, Selection, quantise
from edgecl.model.head import shrinkage
from edgecl.model.model import Lesson, Model
from edgecl.model.statistics import ClassStatistics, packed_length, square

FULL, LOW_RANK, DIAGONAL, MEANS = "full", "low-rank", "diagonal", "means"
ENDLESS = 1 << 20  # rows that a generated class seems to have; each is drawn when it is asked for


@dataclass(frozen=True)
class Form:
    """What is kept of each scatter."""

    name: str
    rank: int = 0
    """Directions of a low-rank form."""

    @staticmethod
    def within(room_bytes: int, *, classes: int, dimension: int) -> Form:
        """Return the richest form of so many classes that fits.

        >>> [Form.within(size, classes=8, dimension=96).name for size in (1 << 18, 1 << 14, 1 << 12, 1 << 10)]
        ['full', 'low-rank', 'diagonal', 'means']
        """
        row = 4 * max(classes, 1) * dimension
        rank = room_bytes // row - 1
        if 4 * classes * packed_length(dimension) <= room_bytes:
            return Form(FULL)
        if rank >= 1:
            return Form(LOW_RANK, min(rank, dimension // 2))
        return Form(DIAGONAL if room_bytes >= row else MEANS)

    @staticmethod
    def of_model(model: Model) -> tuple[Form, int]:
        """Return the form in the room of the exemplars of a model's budget, and its bytes."""
        classes, dimension = len(model.statistics), model.settings.features.row_dimension
        form = Form.within(max(model.plan().exemplars, 0), classes=classes, dimension=dimension)
        row = 4 * classes * dimension
        whole = 4 * classes * packed_length(dimension)
        return form, {FULL: whole, LOW_RANK: (1 + form.rank) * row, DIAGONAL: row, MEANS: 0}[form.name]


@dataclass(frozen=True)
class GeneratedRows:
    """Rows of one class, drawn from a Gaussian whenever some are asked for; `Selection` in form."""

    mean: NDArray[np.float32]
    """(p,)."""
    deviation: NDArray[np.float32]
    """(p,) of what the directions leave out; zeros of a full form."""
    directions: NDArray[np.float32]
    """(r, p), each as long as a standard deviation along it."""
    generator: np.random.Generator

    def __len__(self) -> int:
        return ENDLESS

    def draw(self, which: NDArray[np.integer]) -> Exemplars:
        """Return as many rows as are named."""
        along = self.generator.standard_normal((len(which), len(self.directions)), np.float32)
        apart = self.generator.standard_normal((len(which), len(self.mean)), np.float32)
        return quantise(self.mean + along @ self.directions + apart * self.deviation)

    @staticmethod
    def of(one: ClassStatistics, form: Form, *, lift_width: int, generator: np.random.Generator) -> GeneratedRows:
        """Return the rows of a class; a lift is made of rows again, so its columns are left out."""
        mean = one.mean[lift_width:].astype(np.float32)
        nothing = np.zeros((0, len(mean)), np.float32)
        if form.name == MEANS:
            return GeneratedRows(mean, np.zeros_like(mean), nothing, generator)
        covariance = _shrunk(one, lift_width)
        diagonal = np.diag(covariance)
        if form.name == DIAGONAL:
            return GeneratedRows(mean, np.sqrt(diagonal).astype(np.float32), nothing, generator)
        values, vectors = np.linalg.eigh(covariance)
        kept = slice(None) if form.name == FULL else slice(-form.rank, None)
        directions = (vectors[:, kept] * np.sqrt(np.maximum(values[kept], 0))).T
        left = np.sqrt(np.maximum(diagonal - np.square(directions).sum(axis=0), 0))
        return GeneratedRows(mean, left.astype(np.float32), directions.astype(np.float32), generator)


def _shrunk(one: ClassStatistics, lift_width: int) -> NDArray[np.float64]:
    """Return the covariance (p, p) of a class, shrunk to a sphere as far as its samples are few."""
    scatter = square(one.scatter, one.dimension)[lift_width:, lift_width:].astype(np.float64)
    covariance = scatter / max(one.count - 1, 1)
    trace, size = float(np.trace(covariance)), len(covariance)
    rho = shrinkage(trace, float(np.square(covariance).sum()), dimension=size, samples=one.count - 1)
    return (1 - rho) * covariance + rho * trace / size * np.eye(size)


def refine_with_generated(
    rung: Rung, model: Model, taught: Model, lesson: Lesson, *, seed: int, room_bytes: int | None = None
) -> Model:
    """Take gradient steps on the lesson and on rows drawn from the classes that were known before it.

    Parameters
    ----------
    room_bytes
        For what is kept of the scatters; None: that of the exemplars.
    """
    features, known = taught.settings.features, model.statistics
    room = taught.plan().exemplars if room_bytes is None else room_bytes
    form = Form.within(max(room, 0), classes=len(known), dimension=features.row_dimension)
    generator = np.random.Generator(np.random.Philox(key=seed))
    replayed = {
        label: GeneratedRows.of(one, form, lift_width=features.lift_width, generator=generator)
        for label, one in sorted(known.items())
    }
    coordinates = coordinates_of(taught)
    head = grown_head(model.head, taught)
    refine(
        head,
        {label: Selection.of(rows, REFINE_PER_CLASS) for label, rows in lesson.rows.items()},
        replayed,
        None,
        coordinates=coordinates,
        features=features,
        settings=rung.settings,
        seed=seed,
    )
    digests = {role: digest for role, digest in taught.digests.items() if role != "ewc"}
    return replace(taught, head=replace(head, typical=typical_logits(head, taught)), ewc=None, digests=digests)
