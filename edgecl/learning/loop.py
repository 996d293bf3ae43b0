"""The loop: take a lesson in, update, judge, and return a model only if it is no worse.

`learn` reads top to bottom: a lesson that has nothing new leaves the model as it is; samples that do
not fit are set aside and names that sound like known ones are asked about; statistics and exemplars take in what is
left; a rung of the ladder makes a candidate; the gate judges it; the next rung adjusts the strategy; after the last
one the old model stays.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import SettingError
from edgecl.gate.gather import Before, Known
from edgecl.gate.judge import judge
from edgecl.gate.verdict import ONE_SIDED_95, Policy, Verdict
from edgecl.learning.admission import Answer, admit
from edgecl.learning.candidates import evidence_of, ladder, update
from edgecl.learning.strategies import GENERATED, RefineSettings
from edgecl.model.exemplars import DIGEST_BYTES, Exemplars, bounded_memory, herd, memory_bytes, quotas
from edgecl.model.head import HeadState, probabilities, whitened_cosine
from edgecl.model.model import Lesson, MemoryObjects, Model, Objects, factor_of, workspace_of
from edgecl.model.settings import herding_candidates
from edgecl.model.statistics import ClassStatistics, accumulate
from edgecl.progress import watched
from edgecl.values import dataclass, field, replace

UNCHANGED = "unchanged"  # the strategy of a lesson that had nothing new
SETTLED_SHARE = 0.1  # share of a class's samples: so few more of the same would hardly change it
SETTLED_CONFIDENCE = 0.9


@dataclass(frozen=True)
class Stage:
    """The present stage of a lesson, for a progress line."""

    name: str
    """"statistics", "update", "judge"; "commit" of a store."""
    detail: str


@dataclass(frozen=True)
class Outcome:
    """The end of a lesson: the new model, the same one where it had nothing new, or None where it was rejected."""

    model: Model | None
    verdict: Verdict
    strategy: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Names of the lesson that were taught as a known class."""

    @property
    def is_unchanged(self) -> bool:
        return self.strategy == UNCHANGED


@watched
def lesson_stages(
    model: Model,
    lesson: Lesson,
    *,
    objects: Objects,
    strategy: str = "auto",
    settings: RefineSettings | None = None,
    policy: Policy | None = None,
    seed: int = 0,
    force: bool = False,
    answer: Answer | None = None,
) -> Generator[Stage, None, Outcome]:
    """Learn one lesson stage by stage; what `learn` runs to its end.

    Parameters
    ----------
    model
        The live model; it is not changed.
    lesson
        Quantised rows by label.
    objects
        Place for arrays while the lesson runs and after it.
    strategy
        One of STRATEGIES. Only "auto" climbs the ladder.
    settings
        Settings of gradient steps; by default `default_steps` of the strategy.
    seed
        Random seed of the minibatches. Same model, lesson, strategy and seed: same bits.
    force
        Return the first candidate with any verdict, unless it is not finite or too large; the verdict stays.
        Nothing is set aside or asked about then.
    answer
        What the user says of new names that are asked about.

    Raises
    ------
    SettingError
        When the strategy is unknown, or needs more memory than was granted.
    """
    if strategy == GENERATED and not force:
        raise SettingError(f"{strategy!r} is for comparisons alone: choose auto")
    policy = policy or Policy()
    too_many = _too_many_classes(model, lesson)
    if too_many:
        return Outcome(None, too_many, strategy)
    if strategy == "auto" and not force and has_nothing_new(model, lesson):
        what = (
            "the sample is predicted as it is"
            if lesson.count == 1
            else f"all {lesson.count} samples are predicted as they are"
        )
        reason = f"{what} taught, with confidence: there is nothing to learn"
        return Outcome(model, Verdict(True, True, (reason,), {}, None, None), UNCHANGED)
    yield Stage("sift", f"{lesson.count} samples of {len(lesson.rows)} classes")
    known = Known.of(model)
    admission = admit(model, known, lesson, policy, answer=answer, force=force)
    if admission.verdict is not None:
        return Outcome(None, admission.verdict, strategy)
    model, lesson = admission.model, admission.lesson
    before = Before.of(model, lesson, known)
    del known  # its workspace is that of the statistics
    yield Stage("statistics", f"{lesson.count} samples of {len(lesson.rows)} classes")
    taught = take_in(model, lesson, objects=objects)
    rejections: list[tuple[Verdict, str]] = []
    for rung in ladder(strategy, settings, taught):
        yield Stage("update", rung.strategy)
        candidate, after, used = update(rung, model, taught, lesson, before, seed=seed)
        yield Stage("judge", used)
        evidence = evidence_of(model, candidate, lesson, before, after)
        verdict = admission.stated(judge(evidence, policy))
        if suffices(verdict, after_rejection=bool(rejections)) or (force and not evidence.faults):
            if candidate.alike:
                from edgecl.learning.second_thoughts import asked_again  # few lessons need it

                candidate, again = asked_again(candidate, lesson, policy)
                verdict = replace(verdict, asks=(*verdict.asks, *again))
            return Outcome(_kept(candidate, objects), verdict, used, admission.renamed)
        rejections.append((verdict, used))
        if verdict.is_final:
            break
    return Outcome(None, *rejections[0])  # the first rung is the best: its reasons are returned


def learn(
    model: Model,
    lesson: Lesson,
    *,
    objects: Objects | None = None,
    strategy: str = "auto",
    settings: RefineSettings | None = None,
    policy: Policy | None = None,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[Stage], object] | None = None,
) -> Outcome:
    """Learn one lesson without a store: take it in, update, judge, and return the outcome.

    Parameters
    ----------
    model
        The model before; it is not changed.
    lesson
        Quantised rows by label; `Lesson.of` makes them from latents (n, D).
    objects
        Where arrays are kept while the lesson runs and after it: the same from lesson to lesson. By default new ones
        in memory, which suits a model without exemplars or statistics to read.
    strategy
        "auto", which adjusts when a candidate is rejected, or the name of one way to update the head.
    settings
        Of gradient steps; by default `default_steps` of the strategy.
    policy
        Of the gate.
    seed
        Of the minibatch draw. Same model, lesson, strategy and seed: same bits.
    force
        Hand over the first candidate whatever the verdict, unless it is not finite or too large; the verdict stays.
    progress
        Called with every `Stage`.

    Returns
    -------
    Outcome
        `model` is the new model, the same one where the lesson had nothing new, None where it was rejected.

    Raises
    ------
    SettingError
        When the strategy is unknown, or needs more memory than was granted.

    Examples
    --------
    >>> import numpy as np
    >>> from edgecl import Settings
    >>> settings = Settings(
    ...     memory_bytes=1 << 20, disk_bytes=1 << 24, max_classes=4, latent_dimension=3, shrinkage_floor=0.1
    ... )
    >>> latents = {"yes": np.eye(3)[[0, 0, 0]], "no": np.eye(3)[[1, 1, 1]]}
    >>> outcome = learn(Model(settings), Lesson.of(latents, settings))
    >>> outcome.verdict.accepted, outcome.model.predict(np.eye(3, dtype=np.float32)[:1]).labels
    (True, ['yes'])
    """
    run = lesson_stages(
        model,
        lesson,
        objects=MemoryObjects() if objects is None else objects,
        strategy=strategy,
        settings=settings,
        policy=policy,
        seed=seed,
        force=force,
    )
    return run.finish(progress)


def suffices(verdict: Verdict, *, after_rejection: bool) -> bool:
    """Test whether a candidate goes live: accepted; and proven, where another of the same lesson was rejected.

    Each further candidate is one more chance of undetected harm, and a refined head is judged by fewer samples.
    """
    return verdict.accepted and (verdict.proven or not after_rejection)


def _too_many_classes(model: Model, lesson: Lesson) -> Verdict | None:
    """Return a rejection that names the classes to make a store for, if the lesson has too many."""
    classes = len(set(model.statistics) | set(lesson.rows))
    if classes <= model.settings.max_classes:
        return None
    granted = model.settings
    reason = (
        f"the lesson would make {classes} classes, the store was made for {granted.max_classes}, and force does not "
        f"change that: resize it or make a store for {classes} classes or more"
    )
    return Verdict(False, False, (reason,), {}, None, None, is_final=True)


def _kept(candidate: Model, objects: Objects) -> Model:
    """Return the candidate with its head, and EWC state where it has one, put into `objects`."""
    head = candidate.head
    assert head is not None
    if candidate.settings.paged:
        from edgecl.model.byte_head import as_bytes  # few stores are

        head = as_bytes(head)
    digests = dict(candidate.digests)
    digests["head"] = objects.put(head.arrays())
    if candidate.ewc is not None:
        digests["ewc"] = objects.put(candidate.ewc.arrays())
    return replace(candidate, head=head, digests=digests)


def has_nothing_new(model: Model, lesson: Lesson) -> bool:
    """Test whether the model predicts all of a lesson as taught, with confidence, and would hardly change.

    For each label the lesson has at most SETTLED_SHARE of the samples that the class was taught; each is predicted
    right with SETTLED_CONFIDENCE; and together they have no lower logits than the class's own: these have the mean
    `typical`, and in whitened space unit variance, so their mean over n samples falls below typical - 1.645/√n only
    once in twenty lessons of the same. A lower one is a drift, of a speaker or a place, that is worth learning. Where
    the head is refined, it predicts, and its closed form measures how typical that is.
    """
    head = model.head
    if head is None or not lesson.rows or not (head.kind == "whitened-cosine" or head.is_refined):
        return False
    known = model.statistics
    if lesson.is_mine is not None and mine_after(model, lesson) != model.mine:
        return False
    if any(label not in known or len(rows) > SETTLED_SHARE * known[label].count for label, rows in lesson.rows.items()):
        return False
    closed = head if head.kind == "whitened-cosine" else whitened_cosine(factor_of(model))
    return all(_is_settled(model, head, closed, label, rows) for label, rows in lesson.rows.items())


def _is_settled(model: Model, head: HeadState, closed: HeadState, label: str, rows: Exemplars) -> bool:
    own, usual = head.labels.index(label), 0.0
    for block in model.settings.features.blocks(rows):
        if probabilities(head.logits(block))[:, own].min() < SETTLED_CONFIDENCE:
            return False
        usual += float(closed.logits(block)[:, own].sum()) / len(rows)
    return bool(usual >= closed.typical[own] - ONE_SIDED_95 / np.sqrt(len(rows)))


def take_in(model: Model, lesson: Lesson, *, objects: Objects) -> Model:
    """Return the model with the lesson in its statistics and exemplars, still under the old head."""
    features = model.settings.features
    scatter = workspace_of(model)
    exemplars, digests = dict(model.exemplars), {}
    candidates = herding_candidates(model.settings)
    for label, rows in sorted(lesson.rows.items()):
        own = model.own_of(label)
        is_light = lesson.weight < 1 and own is not None
        count, mean = accumulate(None if is_light else own, features.blocks(rows), scatter)
        one = ClassStatistics(count, mean, scatter.astype(np.float32, copy=is_light))
        if is_light and own is not None:
            one = own.merged(one.decayed(max(round(lesson.weight * count), 1)))
        model = _with_class(model, label, one, objects, scatter)
        held = exemplars.get(label)
        if is_light:  # no exemplar, but it is remembered
            kept = Exemplars.joined([held]) if held else rows.first(0)
        else:
            kept = herded(held, rows, mean[features.lift_width :], candidates)
        kept = kept.remembering(held, rows)
        digests[f"exemplars/{label}"] = objects.put(kept.arrays())
        exemplars[label] = Exemplars.from_arrays(objects.read(digests[f"exemplars/{label}"]))
    taught = model.after_lesson(lesson.rows, time=lesson.time, is_timed=lesson.is_timed)
    digests = {**taught.digests, **digests}
    return within_memory(replace(taught, exemplars=exemplars, digests=digests, mine=mine_after(model, lesson)))


def mine_after(model: Model, lesson: Lesson) -> frozenset[str]:
    """Return the labels that are detected of those who taught them alone, as the lesson says of its own."""
    if lesson.is_mine is None:
        return model.mine
    return model.mine | set(lesson.rows) if lesson.is_mine else model.mine - set(lesson.rows)


def _with_class(
    model: Model, label: str, one: ClassStatistics, objects: Objects, workspace: NDArray[np.floating]
) -> Model:
    """Return the model with what it has itself learnt of a class, put into `objects`."""
    if model.others:
        from edgecl.model.shares import placed  # few stores have any

        return placed(model, label, one, objects=objects, workspace=workspace)
    digest = objects.put(one.arrays())
    statistics = {**model.statistics, label: ClassStatistics.from_arrays(objects.read(digest))}
    return replace(model, statistics=statistics, digests={**model.digests, f"statistics/{label}": digest})


def within_memory(model: Model) -> Model:
    """Return the model with no more exemplars than fit its memory."""
    capacity = model.plan().exemplars - (model.centre.nbytes if model.centre else 0) - model.others_bytes
    exemplars = bounded_memory(model.exemplars, capacity_bytes=memory_bytes(model.plan().exemplars))
    capacity -= DIGEST_BYTES * sum(one.remembered for one in exemplars.values())
    capacity -= sum(one.reference_bytes for one in exemplars.values())
    held = {label: len(one) for label, one in exemplars.items()}
    knows_people = any(one.people is not None for one in exemplars.values())
    knows_recordings = any(one.recordings is not None for one in exemplars.values())
    width = model.settings.features.row_dimension + knows_people + knows_recordings  # a byte a row each
    said = None
    if model.priorities:
        from edgecl.learning.priorities import weights  # few stores have any

        said = weights(model)
    shares = quotas(held, capacity_bytes=max(capacity, 0), row_dimension=width, taught=model.taught, weights=said)
    return replace(model, exemplars={label: one.first(shares[label]) for label, one in exemplars.items()})


def herded(held: Exemplars | None, rows: Exemplars, mean: NDArray[np.float64], candidates: int) -> Exemplars:
    """Return a class's exemplars and the lesson's rows in herding order, thinned to what the workspace allows."""
    room = candidates - (len(held) if held else 0)
    fresh = rows.spread(max(room, candidates // 2))
    if held:
        held = held.first(candidates - len(fresh))
        fresh = Exemplars.joined([held, fresh])
    return herd(fresh, mean, keep=len(fresh))
