"""Admission: what of a lesson is judged, what is set aside, and what its user is asked about first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import SettingError
from edgecl.gate.gather import Known
from edgecl.gate.resemblance import FEWEST, SAME_LESSON, Resemblance, Scale, apart_from_others, resemblance
from edgecl.gate.set_aside import Fit, Names, Sifted, fits, kept_sum, sift
from edgecl.gate.verdict import Ask, Policy, SetAside, Verdict
from edgecl.model.exemplars import Exemplars
from edgecl.model.model import Alike, Lesson, Model, pair_of
from edgecl.values import dataclass, field, replace

FEW = 5  # samples of a new name of which each counts: a doubted one is asked about
REMEMBERED = -1.5  # log odds from which a resemblance is kept and computed again: below, no later lesson made it close


@dataclass(frozen=True)
class Answer:
    """What a user says of the new names of a lesson that are asked about."""

    same_as: str | None = None
    """They are this known class, and are taught as it."""
    distinct: bool = False
    """They are classes of their own."""
    pairs: frozenset[tuple[str, str]] = frozenset()
    """Pairs of labels, each in order, that are not the same."""

    @property
    def is_given(self) -> bool:
        """Whether it says anything."""
        return self.distinct or self.same_as is not None


@dataclass(frozen=True)
class Admission:
    """What is judged of a lesson, and what waits."""

    model: Model
    """The old model, with what the lesson says of pairs of its classes."""
    lesson: Lesson
    set_aside: tuple[SetAside, ...] = ()
    asks: tuple[Ask, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Names of the lesson that are taught as a known class, as the answer says."""
    verdict: Verdict | None = None
    """Where there is nothing to judge: the lesson is refused as a whole, or all of it waits."""

    def stated(self, verdict: Verdict) -> Verdict:
        """Return a verdict on what was judged, with what waits."""
        return replace(verdict, set_aside=self.set_aside, asks=self.asks)


def admit(
    model: Model,
    known: Known | None,
    lesson: Lesson,
    policy: Policy,
    *,
    answer: Answer | None = None,
    force: bool = False,
) -> Admission:
    """Return what of a lesson is judged: all that fits, under names that are not doubtful.

    Parameters
    ----------
    known
        The model as lessons are compared with it; None where nothing is known: then all is judged.
    answer
        What the user says of the names that would be asked about.
    force
        Judge all as it is.

    Raises
    ------
    SettingError
        When the answer names a class that is not known, or it is not clear which name it is about.
    """
    answer = answer or Answer()
    if answer.same_as is not None and answer.same_as not in model.statistics:
        raise SettingError(f"{answer.same_as!r} is not a class that is known", parameter="same_as")
    model = replace(model, distinct=model.distinct | answer.pairs)
    if known is None or force:
        return Admission(model, lesson)
    names, found = fits(known.factor, model.settings.features, lesson.rows, groups=lesson.groups)
    found = _never_doubted(_taught_otherwise(found, names, lesson), lesson)
    sifted = sift(
        found, frozenset(model.statistics), doubted_below=policy.doubted_below, most=policy.most_doubted
    )  # fmt: skip
    for label, rows in lesson.otherwise.items():
        sifted.keep[label][[*rows]] = lesson.is_confirmed(label)[[*rows]]  # a new name is not kept whole with them
    if sifted.is_refused:
        return Admission(model, lesson, verdict=_refusal(lesson, names, found, sifted, model, policy))
    near = _Resemblances.of(model, known, lesson, names, sifted, policy)
    renamed: dict[str, str] = {}
    if answer.is_given:
        before = set(lesson.rows)
        model, lesson, sifted = _answered(model, lesson, near, sifted, answer)
        renamed = {label: str(answer.same_as) for label in before.difference(lesson.rows)}
        near = near.without(lesson.rows) if answer.same_as else replace(near, asks={})
    set_aside = tuple(_doubted(lesson, names, found, sifted, known=model, asked=near.asks))
    keep = {label: rows & (label not in near.asks) for label, rows in sifted.keep.items()}
    judged, asks = part_of(lesson, keep), tuple(near.asks.values())
    model = replace(model, alike={**model.alike, **near.remembered(judged.rows)})
    verdict = None if judged.rows else _waiting(set_aside, asks)
    return Admission(model, judged, set_aside, asks, renamed, verdict)


def _never_doubted(found: Mapping[str, Fit], lesson: Lesson) -> dict[str, Fit]:
    """The fits, certain where the user has confirmed a sample's name."""
    return {
        label: replace(one, probability=np.where(lesson.is_confirmed(label), 1.0, one.probability))
        for label, one in found.items()
    }


def _taught_otherwise(found: Mapping[str, Fit], names: Names, lesson: Lesson) -> dict[str, Fit]:
    """The fits, with no probability where the same sample was taught under another name."""
    changed = dict(found)
    for label, others in lesson.otherwise.items():
        probability, like = found[label].probability.copy(), found[label].like.copy()
        for row, other in others.items():
            probability[row], like[row] = 0.0, names.labels.index(other)
        changed[label] = Fit(probability, like)
    return changed


@dataclass(frozen=True)
class _Resemblances:
    """What the new names of a lesson are like."""

    asks: Mapping[str, Ask]
    """By new name: what is asked about it."""
    nearest: Mapping[str, Resemblance] = field(default_factory=dict)
    """By new name: the known class that it is most like, asked about or not."""

    @staticmethod
    def of(model: Model, known: Known, lesson: Lesson, names: Names, sifted: Sifted, policy: Policy) -> _Resemblances:
        """Compare every new name, as it came and as it is without what is set aside, with what is known."""
        factor = known.factor
        scale = known.scale
        asks, nearest = {}, {}
        where = {label: index for index, label in enumerate(factor.labels)}
        for label in sorted(set(lesson.rows) - set(factor.labels)):
            others = {one: index for one, index in where.items() if not model.are_distinct(label, one)}
            as_it_came, keep = names.sums[names.lesson[label]], sifted.keep[label]
            left = kept_sum(factor, model.settings.features, lesson.rows[label], as_it_came, keep)
            for total, count in ((as_it_came, len(keep)), (left, int(keep.sum()))):
                if count:
                    one = resemblance(
                        total / count, count, others, factor.whitened, factor.counts, scale, level=policy.ask_above
                    )
                    if one is not None and not (label in asks and not one.is_close):
                        nearest[label] = one
                        if one.is_close:
                            odds = None if math.isnan(one.odds) else one.odds
                            asks[label] = Ask(label, one.like, odds, len(keep))
        if policy.ask_above < math.inf:
            asks |= _asks_of_one_lesson(model, lesson, names, scale, asks)
        return _Resemblances(asks, nearest)

    def remembered(self, taught: Mapping[str, object]) -> dict[str, Alike]:
        """Return what the new names that are taught are like, where that may matter later."""
        return {
            label: Alike(one.like, round(one.odds, 4))
            for label, one in self.nearest.items()
            if label in taught and one.odds >= REMEMBERED
        }

    def without(self, left: Mapping[str, object]) -> _Resemblances:
        """Return those of names that are still in the lesson."""
        asks = {label: one for label, one in self.asks.items() if label in left}
        return _Resemblances(asks, {label: one for label, one in self.nearest.items() if label in left})


def _asks_of_one_lesson(
    model: Model, lesson: Lesson, names: Names, scale: Scale, asks: Mapping[str, Ask]
) -> dict[str, Ask]:
    """Ask about new names that are as good as another name of the lesson: the one with fewer samples waits."""
    labels = sorted(lesson.rows, key=lambda one: (one not in model.statistics, -len(lesson.rows[one]), one))
    where = [names.lesson[one] for one in labels]
    counts = names.weights[where]
    near = same_lesson(names.sums[where] / np.maximum(counts, 1)[:, None], counts, scale)
    found: dict[str, Ask] = {}
    for row, label in enumerate(labels):
        if label in model.statistics or label in asks:
            continue
        for column in np.flatnonzero(near[row, :row]):
            if labels[column] not in found and not model.are_distinct(label, labels[column]):
                found[label] = Ask(label, labels[column], None, len(lesson.rows[label]))
                break
    return found


def same_lesson(means: NDArray[np.floating], counts: NDArray[np.float64], scale: Scale) -> NDArray[np.bool_]:
    """Return which names of a lesson, with whitened means (K, d) of so many samples (K,), are as good as one: (K, K).

    They are said by the same people, so there is no shift to allow for.
    """
    if not scale.is_usable:
        return np.zeros((len(means), len(means)), bool)
    blocks = [block < SAME_LESSON for block in apart_from_others(means, counts, typical=scale.typical)]
    enough = counts >= FEWEST
    near: NDArray[np.bool_] = np.concatenate([np.zeros((0, len(means)), bool), *blocks])
    near &= enough[:, None] & enough
    return near


def _answered(
    model: Model, lesson: Lesson, near: _Resemblances, sifted: Sifted, answer: Answer
) -> tuple[Model, Lesson, Sifted]:
    """The lesson as the user says that it is to be taken, and the pairs that are not the same."""
    if answer.same_as is None:
        pairs = {pair_of(one.label, one.like) for one in near.asks.values()}
        return replace(model, distinct=model.distinct | pairs), lesson, sifted
    keep = dict(sifted.keep)
    for label in _meant(model, lesson, near, answer.same_as):
        own = keep.get(answer.same_as, np.zeros(0, bool))
        keep[answer.same_as] = np.concatenate([own, np.ones(len(lesson.rows[label]), bool)])
        lesson = renamed(lesson, label, answer.same_as)
        del keep[label]
    return model, lesson, replace(sifted, keep=keep)


def _meant(model: Model, lesson: Lesson, near: _Resemblances, same_as: str) -> list[str]:
    """The new names that are said to be a known class: those asked about, else the only new name there is."""
    asked = [label for label, one in near.asks.items() if one.like == same_as]
    new = [label for label in lesson.rows if label not in model.statistics]
    if asked or len(new) == 1:
        return asked or new
    if not new:
        return []
    raise SettingError(
        f"which of {', '.join(sorted(new))} is {same_as!r}? Teach it in a lesson of its own", parameter="same_as"
    )


def _doubted(
    lesson: Lesson, names: Names, found: Mapping[str, Fit], sifted: Sifted, *, known: Model, asked: Mapping[str, Ask]
) -> list[SetAside]:
    """The samples that are set aside, but for those of a name that is asked about as a whole."""
    return [
        SetAside(
            lesson.source(label, int(row)),
            label,
            names.labels[found[label].like[row]],
            float(found[label].probability[row]),
            int(row),
            is_asked=label not in known.statistics and len(keep) <= FEW,
            is_taught=int(row) in lesson.otherwise.get(label, ()),
        )
        for label, keep in sifted.keep.items()
        if label not in asked
        for row in np.flatnonzero(~keep)
    ]


def _refusal(
    lesson: Lesson, names: Names, found: Mapping[str, Fit], sifted: Sifted, model: Model, policy: Policy
) -> Verdict:
    """The verdict on a lesson in which too many samples of known names fit other names."""
    like = sorted(
        {
            (label, names.labels[one.like[row]])
            for label, one in found.items()
            if label in model.statistics
            for row in np.flatnonzero((one.probability < policy.doubted_below) & ~lesson.is_confirmed(label))
        }
    )
    shown = ", ".join(f"{label!r} are like {other!r}" for label, other in like[:4])
    reason = (
        f"{sifted.doubted} of {sifted.of} samples with names that are known do not fit them (samples called {shown}"
        f"{' and others' if len(like) > 4 else ''}): check the labels, and for noise"
    )
    if taught := sum(map(len, lesson.otherwise.values())):
        reason += f". {taught} of them were taught before, under the other name: forget that class if it was wrong"
    return Verdict(False, False, (reason,), {}, None, None, is_final=True)


def _waiting(set_aside: tuple[SetAside, ...], asks: tuple[Ask, ...]) -> Verdict:
    """The verdict on a lesson of which nothing is left to judge."""
    parts = [f"the {one.samples} samples called {one.label!r} may be {one.like!r}: is it the same?" for one in asks]
    if set_aside:
        fit = (
            "sample does not fit the name that it has"
            if len(set_aside) == 1
            else "samples do not fit the name that they have"
        )
        parts.append(f"{len(set_aside)} {fit}")
    if taught := [repr(one.like) for one in set_aside if one.is_taught]:
        parts.append(f"{len(taught)} of them were taught before as {' or '.join(sorted(set(taught)))}")
    return Verdict(False, False, tuple(parts), {}, None, None, is_final=True, set_aside=set_aside, asks=asks)


def part_of(lesson: Lesson, keep: Mapping[str, NDArray[np.bool_]]) -> Lesson:
    """Return the lesson with only the rows that are true in `keep`; labels without any are left out."""
    where = {label: np.flatnonzero(keep[label]) for label in lesson.rows}
    where = {label: one for label, one in where.items() if len(one)}
    return replace(
        lesson,
        rows={
            label: lesson.rows[label].take(one) if len(one) < len(lesson.rows[label]) else lesson.rows[label]
            for label, one in where.items()
        },
        sources=_picked(lesson.sources, where),
        groups=_picked(lesson.groups, where),
        recordings=_picked(lesson.recordings, where),
        people=_picked(lesson.people, where),
        confirmed={label: lesson.confirmed[label][one] for label, one in where.items() if label in lesson.confirmed},
        otherwise={},
    )


def renamed(lesson: Lesson, label: str, name: str) -> Lesson:
    """Return the lesson with the rows of a label under another name, behind those that have it; all confirmed."""
    order = [one for one in (name, label) if one in lesson.rows]
    joined = Exemplars.joined([lesson.rows[one] for one in order])
    confirmed = [np.ones(len(lesson.rows[one]), bool) if one == label else lesson.is_confirmed(one) for one in order]
    return replace(
        lesson,
        rows={**{one: rows for one, rows in lesson.rows.items() if one != label}, name: joined},
        sources=_joined(lesson, lesson.sources, order, label, name, fill=""),
        groups=_joined(lesson, lesson.groups, order, label, name, fill=None) if lesson.groups else {},
        recordings=_joined(lesson, lesson.recordings, order, label, name, fill=None) if lesson.recordings else {},
        people={one: known for one, known in lesson.people.items() if one not in order},
        confirmed={
            **{one: rows for one, rows in lesson.confirmed.items() if one != label},
            name: np.concatenate(confirmed),
        },
        otherwise={},
    )


def _picked(texts: Mapping[str, Sequence[str]], where: Mapping[str, NDArray[np.intp]]) -> dict[str, list[str]]:
    """What is known of the rows that are taken."""
    return {
        label: [texts[label][row] for row in rows if row < len(texts[label])]
        for label, rows in where.items()
        if label in texts
    }


def _joined(
    lesson: Lesson, texts: Mapping[str, Sequence[str]], order: Sequence[str], label: str, name: str, *, fill: str | None
) -> dict[str, list[str]]:
    """What is known of each row, after the rows of `label` have become rows of `name`."""
    joined = []
    for one in order:
        known = list(texts.get(one, ()))[: len(lesson.rows[one])]
        missing = range(len(known), len(lesson.rows[one]))
        joined += known + [f"{one}:{row}" if fill is None else fill for row in missing]
    return {**{one: list(rows) for one, rows in texts.items() if one != label}, name: joined}
