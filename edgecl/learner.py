"""The loop: take a lesson in, update, judge, and hand over a model only if it is no worse.

`learn` reads top to bottom like DESIGN's list: statistics and exemplars take the lesson in; a rung of the ladder
makes a candidate; the gate judges it; the next rung adjusts the strategy; after the last one the old model stays.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecl.config import format_bytes, herding_candidates, plan_memory, pool_bytes, workspace_for
from edgecl.errors import SettingError
from edgecl.ewc import Coordinates, EwcState, consolidate
from edgecl.gate import ONE_SIDED_95, Contradiction, Evidence, Foreign, Policy, Verdict, judge
from edgecl.head import (
    Factor,
    HeadState,
    factorise,
    leave_one_out,
    probabilities,
    squared_distances,
    whitened_cosine,
)
from edgecl.lesson import Lesson
from edgecl.model import Model, Objects
from edgecl.refine import RefineSettings, refine
from edgecl.replay import Exemplars, herd, is_evidence, quotas, row_bytes
from edgecl.statistics import ClassStatistics, accumulate

STRATEGIES = ("auto", "closed-form", "replay", "ewc-replay", "ewc", "naive")
EVIDENCE_PER_CLASS = 48  # kept samples of a class that are judged
REFINE_PER_CLASS = 256  # lesson rows of a class that gradient steps draw from
REFINE_CLASSES = 16  # with fewer classes the closed form was never beaten by more than its noise
REFINE_EXEMPLARS = 10  # of every class
CONFIDENT = 0.5  # probability from which an answer counts as given with confidence
FAMILIAR = 3.0  # squared distance, over the usual one, to which a sample may be one of the class it is taken for
COMMON_LABELS = 3  # known labels in a lesson from which a shift of all of them can be told from noise in one
SAME = 1.5  # squared distance of two means, over what chance gives, to which a new word may be an old one renamed


@dataclass(frozen=True)
class Stage:
    """What is being done, for a progress line."""

    name: str  # "statistics", "update", "judge"
    detail: str


@dataclass(frozen=True)
class Outcome:
    """The end of a lesson: the new model, or None where the old one stays."""

    model: Model | None
    verdict: Verdict
    strategy: str


@dataclass(frozen=True)
class Rung:
    """One way to make a candidate."""

    strategy: str
    settings: RefineSettings


def learn(
    model: Model,
    lesson: Lesson,
    *,
    objects: Objects,
    strategy: str = "auto",
    settings: RefineSettings | None = None,
    policy: Policy | None = None,
    seed: int = 0,
    force: bool = False,
) -> Generator[Stage, None, Outcome]:
    """One lesson, as a generator of stages that returns the outcome.

    Parameters
    ----------
    model
        The live model; it is not changed.
    lesson
        Quantised rows by label.
    objects
        Where arrays are kept while the lesson runs and after it.
    strategy
        One of STRATEGIES. Only "auto" climbs the ladder.
    seed
        Of the minibatch draw. Same model, lesson, strategy and seed: same bits.
    force
        Hand over the first candidate whatever the verdict; the verdict stays as it is.

    Raises
    ------
    SettingError
        When the strategy is unknown, or needs more memory than was granted.
    """
    policy, settings = policy or Policy(), settings or RefineSettings()
    too_many = _too_many_classes(model, lesson)
    if too_many:
        return Outcome(None, too_many, strategy)
    yield Stage("statistics", f"{lesson.count} samples of {len(lesson.rows)} classes")
    taught = take_in(model, lesson, objects=objects)
    before = _Before.of(model, lesson)
    rejections: list[tuple[Verdict, str]] = []
    for rung in ladder(strategy, settings, taught):
        yield Stage("update", rung.strategy)
        candidate, after, used = _update(rung, model, taught, lesson, before, seed=seed)
        yield Stage("judge", used)
        verdict = judge(_evidence(model, candidate, lesson, before, after), policy)
        if verdict.accepted or force:
            return Outcome(_kept(candidate, objects), verdict, used)
        rejections.append((verdict, used))
        if verdict.is_final:
            break
    return Outcome(None, *rejections[0])  # the first rung is the best there is: its reasons are the ones to give


def finish(lesson_run: Generator[Stage, None, Outcome]) -> Outcome:
    """Run a lesson to its end without looking at the stages."""
    while True:
        try:
            next(lesson_run)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


def ladder(strategy: str, settings: RefineSettings, taught: Model) -> Iterator[Rung]:
    """What is tried in turn: a named strategy alone; "auto", then more replay under stronger EWC, then closed form."""
    if strategy not in STRATEGIES:
        raise SettingError(f"{strategy!r} is not a strategy: choose one of {', '.join(STRATEGIES)}")
    plan = taught.plan()
    if strategy not in ("auto", "closed-form") and not plan.can_refine:
        raise SettingError(
            f"strategy {strategy!r} needs {format_bytes(plan.refinement)} for gradient steps, "
            f"{format_bytes(plan.total)} were granted in all: use closed-form, or init with more --memory"
        )
    yield Rung(strategy, settings)
    if strategy != "auto":
        return
    if plan.can_refine and taught.exemplars:
        strong = replace(settings, replay_weight=0.9, ewc_strength=10 * settings.ewc_strength)
        yield Rung("ewc-replay", strong)
    if _may_pay(taught):
        yield Rung("closed-form", settings)


def take_in(model: Model, lesson: Lesson, *, objects: Objects) -> Model:
    """The model with the lesson in its statistics and exemplars, still under the old head."""
    features = model.settings.features
    scatter = workspace_for(model.settings)
    statistics, exemplars, digests = dict(model.statistics), dict(model.exemplars), dict(model.digests)
    classes = len(set(statistics) | set(lesson.rows))
    capacity = plan_memory(model.settings, classes).exemplars
    candidates = herding_candidates(model.settings)
    for label, rows in sorted(lesson.rows.items()):
        lifted = features.blocks(rows)
        count, mean = accumulate(statistics.get(label), lifted, scatter)
        one = ClassStatistics(count, mean, scatter.astype(np.float32, copy=False))
        digests[f"statistics/{label}"] = objects.put(one.arrays())
        statistics[label] = ClassStatistics.from_arrays(objects.read(digests[f"statistics/{label}"]))
        kept = _herded(exemplars.get(label), rows, mean[features.lift_width :], candidates)
        digests[f"exemplars/{label}"] = objects.put(kept.arrays())
        exemplars[label] = Exemplars.from_arrays(objects.read(digests[f"exemplars/{label}"]))
    held = {label: len(one) for label, one in exemplars.items()}
    shares = quotas(held, capacity_bytes=max(capacity, 0), row_dimension=features.row_dimension)
    exemplars = {label: one.first(shares[label]) for label, one in exemplars.items()}
    return replace(model, statistics=statistics, exemplars=exemplars, digests=digests)


def _herded(held: Exemplars | None, rows: Exemplars, mean: NDArray[np.float64], candidates: int) -> Exemplars:
    """The kept exemplars of a class and the lesson's rows, thinned to what the workspace allows, in herding order."""
    room = candidates - (len(held) if held else 0)
    fresh = _spread(rows, max(room, candidates // 2))
    if held:
        held = held.first(candidates - len(fresh))
        fresh = Exemplars(np.concatenate([held.rows, fresh.rows]), np.concatenate([held.scales, fresh.scales]))
    return herd(fresh, mean, keep=len(fresh))


def _spread(rows: Exemplars, most: int) -> Exemplars:
    """At most `most` rows, evenly spread over all."""
    if len(rows) <= most:
        return Exemplars(np.ascontiguousarray(rows.rows), np.ascontiguousarray(rows.scales))
    return rows.take(np.linspace(0, len(rows) - 1, most).astype(np.intp))


def _too_many_classes(model: Model, lesson: Lesson) -> Verdict | None:
    """A rejection that names the memory that would do, when the lesson does not fit what was granted at init."""
    classes = len(set(model.statistics) | set(lesson.rows))
    if classes <= model.settings.max_classes:
        return None
    granted = model.settings
    reason = (
        f"the lesson would make {classes} classes, the store was made for {granted.max_classes}: "
        f"init a store with --max-classes {classes} or more"
    )
    return Verdict(False, False, (reason,), {}, None, None, is_final=True)


@dataclass(frozen=True)
class _Before:
    """What the old model answers: on its kept samples, each left out, and on the lesson."""

    judged: Mapping[str, Exemplars]  # a few kept samples of each old class
    correct: Mapping[str, NDArray[np.bool_]]  # the closed form's, each sample left out
    contradictions: tuple[Contradiction, ...]
    foreign: tuple[Foreign, ...]

    @staticmethod
    def of(model: Model, lesson: Lesson) -> _Before:
        if not model.statistics or model.head is None:
            return _Before({}, {}, (), ())
        judged = {
            label: _spread(one, EVIDENCE_PER_CLASS)
            for label, one in model.exemplars.items()
            if len(one) and model.statistics[label].count > 1  # a single sample leaves nothing to be judged by
        }
        factor = _factor(model)
        seen = {label: _left_out(factor, model, rows, label, old=model) for label, rows in judged.items()}
        usual = _usual_distance(seen)
        contradictions: list[Contradiction] = []
        foreign: list[Foreign] = []
        for label, rows in sorted(lesson.rows.items()):
            sample = _spread(rows, EVIDENCE_PER_CLASS)
            logits, distances = _answers(factor, model, model.head, sample)
            if label in factor.labels:
                contradictions += _contradictions(label, model.head, logits, distances / usual)
                own = distances[:, factor.labels.index(label)]
                recall = float(np.mean(logits.argmax(axis=1) == model.head.labels.index(label)))
                foreign.append(Foreign(label, float(np.median(own)) / usual, recall, len(own)))
            else:
                contradictions += _under_another_name(factor, model, label, sample, logits, usual)
        correct = {label: one.correct for label, one in seen.items()}
        return _Before(judged, correct, tuple(contradictions), tuple(_beside_each_other(foreign)))


def _beside_each_other(foreign: list[Foreign]) -> list[Foreign]:
    """Distances less what the labels of a lesson have in common: another wearer or room moves them all."""
    if len(foreign) < COMMON_LABELS:
        return foreign
    common = max(1.0, float(np.median([one.distance for one in foreign])))
    return [replace(one, distance=one.distance / common) for one in foreign]


@dataclass(frozen=True)
class _Seen:
    correct: NDArray[np.bool_]  # (n,)
    among_old: NDArray[np.bool_]  # (n,) whether it would be right if only old classes could be answered
    distance: NDArray[np.float64]  # (n,) squared Mahalanobis distance to the own class


def _factor(model: Model) -> Factor:
    settings = model.settings
    return factorise(model.statistics, workspace_for(settings), shrinkage_floor=settings.shrinkage_floor)


def _left_out(factor: Factor, model: Model, rows: Exemplars, label: str, *, old: Model) -> _Seen:
    """What the closed form makes of samples of a class, each left out; nothing where the class has no others."""
    own = factor.labels.index(label)
    if factor.counts[own] < 2:
        return _Seen(np.zeros(0, bool), np.zeros(0, bool), np.zeros(0))
    parts = [leave_one_out(factor, block, own=own) for block in model.settings.features.blocks(rows)]
    return _Seen(
        np.concatenate([one.logits.argmax(axis=1) == own for one in parts]),
        np.concatenate([_masked(one.logits, factor.labels, old).argmax(axis=1) == own for one in parts]),
        np.concatenate([one.distance for one in parts]),
    )


def _masked(logits: NDArray[np.floating], labels: Sequence[str], old: Model) -> NDArray[np.floating]:
    """Logits (n, C) with those of classes that the old model does not have at minus infinity."""
    known = np.array([label in old.statistics for label in labels])
    return np.where(known, logits, -np.inf)


def _usual_distance(seen: Mapping[str, _Seen]) -> float:
    """The median squared distance of a kept sample to its own class, which it is left out of."""
    distances = [one.distance for one in seen.values() if len(one.distance)]
    return float(np.median(np.concatenate(distances))) if distances else np.inf


def _answers(
    factor: Factor, model: Model, head: HeadState, rows: Exemplars
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Logits (n, C) and squared distances (n, C) of samples that the model has not seen."""
    pairs = [(head.logits(block), squared_distances(factor, block)) for block in model.settings.features.blocks(rows)]
    return np.concatenate([one for one, _ in pairs]), np.concatenate([one for _, one in pairs])


def _contradictions(
    label: str, head: HeadState, logits: NDArray[np.float32], distances: NDArray[np.float64]
) -> Iterator[Contradiction]:
    """Other classes for which samples of a known label are taken with confidence, and which they are typical of."""
    answers = logits.argmax(axis=1)
    rank = np.arange(len(answers))
    confident = probabilities(logits)[rank, answers] > CONFIDENT
    sure = answers[confident & (distances[rank, answers] < FAMILIAR)]
    for other in np.unique(sure):
        if head.labels[other] != label:
            yield Contradiction(label, head.labels[other], int((sure == other).sum()), len(answers))


def _under_another_name(
    factor: Factor, model: Model, label: str, rows: Exemplars, logits: NDArray[np.float32], usual: float
) -> Iterator[Contradiction]:
    """The old class that a new label is, by its answers and by a mean that is no farther than chance would have it."""
    answers = logits.argmax(axis=1)
    other = int(np.bincount(answers).argmax())
    total = np.zeros(model.settings.features.dimension)
    for block in model.settings.features.blocks(rows):
        total += block.sum(axis=0, dtype=np.float64)
    mean = (total / len(rows)).astype(np.float32)[None]
    by_chance = usual * (1 / len(rows) + 1 / factor.counts[other])
    if squared_distances(factor, mean)[0, other] < SAME * by_chance:
        assert model.head is not None
        yield Contradiction(label, model.head.labels[other], int((answers == other).sum()), len(answers))


@dataclass(frozen=True)
class _After:
    """What a candidate answers on the same samples."""

    before: Mapping[str, NDArray[np.bool_]]  # paired with `after`
    after: Mapping[str, NDArray[np.bool_]]
    among_old: Mapping[str, NDArray[np.bool_]]
    taught: Mapping[str, NDArray[np.bool_]]


def _update(
    rung: Rung, model: Model, taught: Model, lesson: Lesson, before: _Before, *, seed: int
) -> tuple[Model, _After, str]:
    """The candidate of one rung, what it gets right, and the strategy that made it."""
    if rung.strategy in ("auto", "closed-form"):
        sample = {label: _spread(rows, EVIDENCE_PER_CLASS) for label, rows in lesson.rows.items()}
        factor = _factor(taught)
        seen = {label: _left_out(factor, taught, rows, label, old=model) for label, rows in before.judged.items()}
        fresh = {label: _left_out(factor, taught, rows, label, old=model).correct for label, rows in sample.items()}
        head = whitened_cosine(factor)
        candidate = replace(taught, head=head, ewc=None, digests=_without(taught.digests, "ewc"))
        after = {label: one.correct for label, one in seen.items()}
        evidence = _After(before.correct, after, {label: one.among_old for label, one in seen.items()}, fresh)
        if rung.strategy == "auto" and _may_pay(taught):
            refined = _refined(Rung("ewc-replay", rung.settings), candidate, taught, lesson, seed=seed)
            if _is_better(refined, candidate):
                return refined, evidence, "ewc-replay"
        return candidate, evidence, "closed-form"
    start = replace(taught, head=_grown(model.head, taught))
    refined = _refined(rung, start, taught, lesson, seed=seed)
    return refined, _held_out(model, refined, lesson), rung.strategy


def _may_pay(taught: Model) -> bool:
    """Whether refinement has a chance: many classes, each with enough exemplars, and no subject shift to fit to."""
    rich = all(len(one) >= REFINE_EXEMPLARS for one in taught.exemplars.values())
    return (
        rich
        and len(taught.statistics) >= REFINE_CLASSES
        and len(taught.exemplars) == len(taught.statistics)
        and taught.settings.shrinkage_floor < 0.1
        and taught.plan().can_refine
    )


def _grown(head: HeadState | None, taught: Model) -> HeadState:
    """The old head with zero rows for the classes it does not have."""
    labels, width = taught.labels, taught.settings.features.dimension
    weights, bias = np.zeros((len(labels), width), np.float32), np.zeros(len(labels), np.float32)
    typical = np.zeros(len(labels), np.float32)
    if head is not None:
        rows = [labels.index(label) for label in head.labels]
        weights[rows], bias[rows], typical[rows] = head.weights, head.bias, head.typical
    return HeadState(labels, weights, bias, typical, "refined")


def _refined(rung: Rung, start: Model, taught: Model, lesson: Lesson, *, seed: int) -> Model:
    """Gradient steps from the head of `start`; the result carries its consolidated EWC state."""
    assert start.head is not None
    features = taught.settings.features
    coordinates = taught.ewc.coordinates if taught.ewc else _coordinates(taught)
    sample = {label: _spread(rows, REFINE_PER_CLASS) for label, rows in lesson.rows.items()}
    replayed: dict[str, Exemplars] = {}
    if "replay" in rung.strategy:
        replayed = {label: one.take(np.flatnonzero(~is_evidence(len(one)))) for label, one in taught.exemplars.items()}
        sample = {label: _unseen(rows, taught.exemplars.get(label)) for label, rows in sample.items()}
        replayed = {label: one for label, one in replayed.items() if len(one)}
    ewc = None
    if "ewc" in rung.strategy:
        ewc = taught.ewc or _recomputed(start, taught, coordinates, without=frozenset(lesson.rows))
    most = pool_bytes(taught.settings) // (row_bytes(features.row_dimension) * max(len(sample) + len(replayed), 1))
    head = refine(
        start.head,
        {label: _spread(rows, most) for label, rows in sample.items()},
        {label: rows.first(most) for label, rows in replayed.items()},
        ewc,
        coordinates=coordinates,
        features=features,
        settings=rung.settings,
        seed=seed,
    )
    head = replace(head, typical=_typical(head, taught))
    fresh = [(rows, len(lesson.rows[label])) for label, rows in sample.items()]
    state = consolidate(ewc, head, fresh, coordinates=coordinates, features=features)
    return replace(taught, head=head, ewc=state)


def _unseen(rows: Exemplars, kept: Exemplars | None) -> Exemplars:
    """Rows of a lesson without those that became evidence: what judges a head must not have been fitted."""
    if kept is None:
        return rows
    evidence = {row.tobytes() for row in kept.rows[is_evidence(len(kept))]}
    fresh = [index for index, row in enumerate(rows.rows) if row.tobytes() not in evidence]
    return rows.take(np.array(fresh, np.intp)) if fresh else rows


def _recomputed(start: Model, taught: Model, coordinates: Coordinates, *, without: frozenset[str]) -> EwcState | None:
    """EWC state from head and exemplars, for a model that carries none; classes of the lesson are left free."""
    assert start.head is not None
    known = [(one, taught.statistics[label].count) for label, one in taught.exemplars.items() if label not in without]
    if not known:
        return None
    return consolidate(None, start.head, known, coordinates=coordinates, features=taught.settings.features)


def _coordinates(model: Model) -> Coordinates:
    """Centred at the mean of the class means and scaled so that E‖x - g‖² = 1."""
    classes = list(model.statistics.values())
    origin = np.mean([one.mean for one in classes], axis=0)
    diagonal = np.cumsum(np.arange(1, len(origin) + 1)) - 1
    within = sum(float(one.scatter[diagonal].sum(dtype=np.float64)) for one in classes)
    within /= max(sum(one.count for one in classes) - len(classes), 1)
    between = float(np.mean([np.square(one.mean - origin).sum() for one in classes]))
    return Coordinates(origin.astype(np.float32), float(1 / np.sqrt(max(within + between, 1e-12))))


def _typical(head: HeadState, model: Model) -> NDArray[np.float32]:
    """The logit of each class's mean for its own class."""
    logits = [
        float(head.weights[index] @ model.statistics[label].mean + head.bias[index])
        for index, label in enumerate(head.labels)
    ]
    return np.maximum(logits, 0).astype(np.float32)


def _held_out(model: Model, candidate: Model, lesson: Lesson) -> _After:
    """Before and after on the kept samples that are never replayed, and on those of the lesson's classes."""
    before, after, among_old, taught = {}, {}, {}, {}
    for label, one in candidate.exemplars.items():
        rows = one.take(np.flatnonzero(is_evidence(len(one)))[:EVIDENCE_PER_CLASS])
        correct = _correct(candidate, rows, label)
        if label in lesson.rows:
            taught[label] = correct
        if model.head is not None and label in model.head.labels:
            before[label], after[label] = _correct(model, rows, label), correct
            among_old[label] = _correct(candidate, rows, label, old=model)
    return _After(before, after, among_old, taught)


def _correct(model: Model, rows: Exemplars, label: str, *, old: Model | None = None) -> NDArray[np.bool_]:
    """Which rows of a class are answered right, among all classes or among those of an old model."""
    head = model.head
    assert head is not None
    logits = [head.logits(block) for block in model.settings.features.blocks(rows)]
    if not logits:
        return np.zeros(0, bool)
    joined = np.concatenate(logits)
    if old is not None:
        joined = _masked(joined, head.labels, old)
    return np.asarray(joined.argmax(axis=1) == head.labels.index(label))


def _is_better(refined: Model, closed: Model) -> bool:
    """Whether the refined head beats the closed form on the kept samples that neither was fitted to by gradient.

    Both closed forms saw those samples in the statistics, so the comparison is fair; it must show a gain by its
    one-sided 95 % bound.
    """
    gains = []
    for label, one in closed.exemplars.items():
        rows = one.take(np.flatnonzero(is_evidence(len(one))))
        if len(rows):
            gains.append(_correct(refined, rows, label).astype(float) - _correct(closed, rows, label))
    if not gains:
        return False
    spread = np.sqrt(sum(float(one.var()) / len(one) for one in gains)) / len(gains)
    return bool(np.mean([one.mean() for one in gains]) > ONE_SIDED_95 * spread)


def _evidence(model: Model, candidate: Model, lesson: Lesson, before: _Before, after: _After) -> Evidence:
    faults = []
    if candidate.head is None or not candidate.head.is_finite:
        faults.append("the candidate is not finite: was the lesson extreme, or the rate too high?")
    held = candidate.bytes()["total"]
    if held > model.settings.memory_bytes:
        faults.append(f"the model would take {format_bytes(held)}, {format_bytes(model.settings.memory_bytes)} granted")
    return Evidence(
        before=after.before,
        after=after.after,
        among_old=after.among_old,
        taught=after.taught,
        new_labels=frozenset(lesson.rows) - frozenset(model.statistics),
        contradictions=before.contradictions,
        foreign=before.foreign,
        faults=faults,
    )


def _kept(candidate: Model, objects: Objects) -> Model:
    """The candidate with its head, and EWC state where it has one, put where they are kept."""
    assert candidate.head is not None
    digests = dict(candidate.digests)
    digests["head"] = objects.put(candidate.head.arrays())
    if candidate.ewc is not None:
        digests["ewc"] = objects.put(candidate.ewc.arrays())
    return replace(candidate, digests=digests)


def _without(digests: Mapping[str, str], role: str) -> dict[str, str]:
    return {name: digest for name, digest in digests.items() if name != role}
