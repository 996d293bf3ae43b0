"""The loop: take a lesson in, update, judge, and hand over a model only if it is no worse.

`learn` reads top to bottom like DESIGN's list: a lesson that has nothing new leaves the model as it is; statistics and
exemplars take in what has; a rung of the ladder makes a candidate; the gate judges it; the next rung adjusts the
strategy; after the last one the old model stays.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecl._units import format_bytes
from edgecl.config import herding_candidates, plan_memory, pool_bytes, workspace_for
from edgecl.errors import SettingError
from edgecl.evidence import After, Before, correct_answers, evidence_of, factor_of
from edgecl.ewc import Coordinates, EwcState, consolidate
from edgecl.gate import ONE_SIDED_95, Policy, Verdict, judge
from edgecl.head import HeadState, probabilities, whitened_cosine
from edgecl.lesson import Lesson
from edgecl.model import Model, Objects
from edgecl.refine import RefineSettings, refine
from edgecl.replay import Exemplars, herd, is_evidence, quotas, row_bytes
from edgecl.statistics import ClassStatistics, accumulate

STRATEGIES = ("auto", "closed-form", "replay", "ewc-replay", "ewc", "naive")
REFINE_PER_CLASS = 256  # lesson rows of a class that gradient steps draw from
REFINE_CLASSES = 16  # with fewer classes the closed form was never beaten by more than its noise
REFINE_EXEMPLARS = 10  # of every class
SETTLED_SHARE = 0.1  # of the samples that a class was taught: so few more of the same would hardly move it
SETTLED_CONFIDENCE = 0.9
UNCHANGED = "unchanged"  # in place of a strategy


@dataclass(frozen=True)
class Stage:
    """What is being done, for a progress line."""

    name: str  # "statistics", "update", "judge"; "commit" of a store
    detail: str


@dataclass(frozen=True)
class Outcome:
    """The end of a lesson: the new model, the same one where it had nothing new, or None where it was rejected."""

    model: Model | None
    verdict: Verdict
    strategy: str

    @property
    def is_unchanged(self) -> bool:
        return self.strategy == UNCHANGED


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
        Hand over the first candidate whatever the verdict, unless it is not finite or too large; the verdict stays.

    Raises
    ------
    SettingError
        When the strategy is unknown, or needs more memory than was granted.
    """
    policy, settings = policy or Policy(), settings or RefineSettings()
    too_many = _too_many_classes(model, lesson)
    if too_many:
        return Outcome(None, too_many, strategy)
    if strategy == "auto" and not force and has_nothing_new(model, lesson):
        reason = (
            f"all {lesson.count} samples are answered as they are taught, with confidence: there is nothing to learn"
        )
        return Outcome(model, Verdict(True, True, (reason,), {}, None, None), UNCHANGED)
    yield Stage("statistics", f"{lesson.count} samples of {len(lesson.rows)} classes")
    taught = take_in(model, lesson, objects=objects)
    before = Before.of(model, lesson)
    rejections: list[tuple[Verdict, str]] = []
    for rung in ladder(strategy, settings, taught):
        yield Stage("update", rung.strategy)
        candidate, after, used = update(rung, model, taught, lesson, before, seed=seed)
        yield Stage("judge", used)
        evidence = evidence_of(model, candidate, lesson, before, after)
        verdict = judge(evidence, policy)
        if suffices(verdict, after_rejection=bool(rejections)) or (force and not evidence.faults):
            return Outcome(_kept(candidate, objects), verdict, used)
        rejections.append((verdict, used))
        if verdict.is_final:
            break
    return Outcome(None, *rejections[0])  # the first rung is the best there is: its reasons are the ones to give


def has_nothing_new(model: Model, lesson: Lesson) -> bool:
    """Whether the model answers all of a lesson as it is taught, with confidence, and would hardly be moved by it.

    For each label the lesson has at most SETTLED_SHARE of the samples that the class was taught; each is answered
    right with SETTLED_CONFIDENCE; and together they get no lower logits than the class's own: these have the mean
    `typical`, and in whitened space unit variance, so their mean over n samples falls below typical - 1.645/√n only
    once in twenty lessons of the same. A lower one is a drift, of a speaker or a place, that is worth learning.
    """
    head = model.head
    if head is None or not lesson.rows or head.kind != "whitened-cosine":
        return False
    known = model.statistics
    if any(label not in known or len(rows) > SETTLED_SHARE * known[label].count for label, rows in lesson.rows.items()):
        return False
    return all(_is_settled(model, head, label, rows) for label, rows in lesson.rows.items())


def _is_settled(model: Model, head: HeadState, label: str, rows: Exemplars) -> bool:
    logits = np.concatenate([head.logits(block) for block in model.settings.features.blocks(rows)])
    own = head.labels.index(label)
    usual = head.typical[own] - ONE_SIDED_95 / np.sqrt(len(rows))
    return bool(probabilities(logits)[:, own].min() >= SETTLED_CONFIDENCE and logits[:, own].mean() >= usual)


def suffices(verdict: Verdict, *, after_rejection: bool) -> bool:
    """Whether a candidate goes live: accepted; and proven, where another of the same lesson was rejected.

    Each further candidate is one more chance that harm goes unseen, and a refined head is judged by fewer samples.
    """
    return verdict.accepted and (verdict.proven or not after_rejection)


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
    taught = {**model.taught, **dict.fromkeys(lesson.rows, lesson.time)}
    shares = quotas(held, capacity_bytes=max(capacity, 0), row_dimension=features.row_dimension, taught=taught)
    exemplars = {label: one.first(shares[label]) for label, one in exemplars.items()}
    return replace(model, statistics=statistics, exemplars=exemplars, digests=digests, taught=taught)


def _herded(held: Exemplars | None, rows: Exemplars, mean: NDArray[np.float64], candidates: int) -> Exemplars:
    """The kept exemplars of a class and the lesson's rows, thinned to what the workspace allows, in herding order."""
    room = candidates - (len(held) if held else 0)
    fresh = rows.spread(max(room, candidates // 2))
    if held:
        held = held.first(candidates - len(fresh))
        fresh = Exemplars(np.concatenate([held.rows, fresh.rows]), np.concatenate([held.scales, fresh.scales]))
    return herd(fresh, mean, keep=len(fresh))


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


def update(
    rung: Rung, model: Model, taught: Model, lesson: Lesson, before: Before, *, seed: int
) -> tuple[Model, After, str]:
    """The candidate of one rung, what it gets right, and the strategy that made it: one pass of the loop of `learn`."""
    if rung.strategy in ("auto", "closed-form"):
        factor = factor_of(taught)
        evidence = After.left_out(factor, model, taught, lesson, before)
        candidate = replace(taught, head=whitened_cosine(factor), ewc=None, digests=_without(taught.digests, "ewc"))
        if rung.strategy == "auto" and _may_pay(taught):
            refined = _refined(Rung("ewc-replay", rung.settings), candidate, taught, lesson, seed=seed)
            if _is_better(refined, candidate):  # so what the closed form lets in, it lets in too
                return refined, evidence, "ewc-replay"
        return candidate, evidence, "closed-form"
    start = replace(taught, head=_grown(model.head, taught))
    refined = _refined(rung, start, taught, lesson, seed=seed)
    return refined, After.held_out(model, refined, lesson), rung.strategy


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
    sample = {label: rows.spread(REFINE_PER_CLASS) for label, rows in lesson.rows.items()}
    replayed: dict[str, Exemplars] = {}
    if "replay" in rung.strategy:
        replayed = {label: one.take(np.flatnonzero(~is_evidence(len(one)))) for label, one in taught.exemplars.items()}
        sample = {label: _unseen(rows, taught.exemplars.get(label)) for label, rows in sample.items()}
        replayed = {label: one for label, one in replayed.items() if len(one)}
    ewc = None
    if "ewc" in rung.strategy:
        ewc = taught.ewc or _recomputed(start, taught, coordinates, without=frozenset(lesson.rows))
    most = pool_bytes(taught.settings) // (row_bytes(features.row_dimension) * max(len(sample) + len(replayed), 1))
    most = max(most, 1)
    head = refine(
        start.head,
        {label: rows.spread(most) for label, rows in sample.items()},
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


def _is_better(refined: Model, closed: Model) -> bool:
    """Whether the refined head beats the closed form on the kept samples that neither was fitted to by gradient.

    Both closed forms saw those samples in the statistics, so the comparison is fair; it must show a gain by its
    one-sided 95 % bound.
    """
    gains = []
    for label, one in closed.exemplars.items():
        rows = one.take(np.flatnonzero(is_evidence(len(one))))
        if len(rows):
            gains.append(correct_answers(refined, rows, label).astype(float) - correct_answers(closed, rows, label))
    if not gains:
        return False
    spread = np.sqrt(sum(float(one.var()) / len(one) for one in gains)) / len(gains)
    return bool(np.mean([one.mean() for one in gains]) > ONE_SIDED_95 * spread)


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
