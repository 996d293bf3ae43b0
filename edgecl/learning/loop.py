"""The loop: take a lesson in, update, judge, and hand over a model only if it is no worse.

`learn` reads top to bottom like DESIGN's list: a lesson that has nothing new leaves the model as it is; samples that do
not fit are set aside and names that sound like known ones are asked about; statistics and exemplars take in what is
left; a rung of the ladder makes a candidate; the gate judges it; the next rung adjusts the strategy; after the last
one the old model stays.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

from edgecl.gate.gather import Before, Known, evidence_of
from edgecl.gate.judge import judge
from edgecl.gate.verdict import Policy, Verdict
from edgecl.learning.admission import Answer, admit
from edgecl.learning.candidates import update
from edgecl.learning.intake import take_in
from edgecl.learning.ladder import ladder
from edgecl.learning.redundancy import has_nothing_new
from edgecl.learning.refine import RefineSettings
from edgecl.learning.second_thoughts import asked_again
from edgecl.model.lesson import Lesson
from edgecl.model.model import Model
from edgecl.model.objects import Objects

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
    answer: Answer | None = None,
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
    settings
        Of gradient steps; by default `default_steps` of the strategy.
    seed
        Of the minibatch draw. Same model, lesson, strategy and seed: same bits.
    force
        Hand over the first candidate whatever the verdict, unless it is not finite or too large; the verdict stays.
        Nothing is set aside or asked about then.
    answer
        What the user says of new names that are asked about.

    Raises
    ------
    SettingError
        When the strategy is unknown, or needs more memory than was granted.
    """
    policy = policy or Policy()
    too_many = _too_many_classes(model, lesson)
    if too_many:
        return Outcome(None, too_many, strategy)
    if strategy == "auto" and not force and has_nothing_new(model, lesson):
        reason = (
            f"all {lesson.count} samples are answered as they are taught, with confidence: there is nothing to learn"
        )
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
            candidate, again = asked_again(candidate, lesson, policy)
            return Outcome(_kept(candidate, objects), replace(verdict, asks=(*verdict.asks, *again)), used)
        rejections.append((verdict, used))
        if verdict.is_final:
            break
    return Outcome(None, *rejections[0])  # the first rung is the best there is: its reasons are the ones to give


def suffices(verdict: Verdict, *, after_rejection: bool) -> bool:
    """Whether a candidate goes live: accepted; and proven, where another of the same lesson was rejected.

    Each further candidate is one more chance that harm goes unseen, and a refined head is judged by fewer samples.
    """
    return verdict.accepted and (verdict.proven or not after_rejection)


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


def _kept(candidate: Model, objects: Objects) -> Model:
    """The candidate with its head, and EWC state where it has one, put where they are kept."""
    assert candidate.head is not None
    digests = dict(candidate.digests)
    digests["head"] = objects.put(candidate.head.arrays())
    if candidate.ewc is not None:
        digests["ewc"] = objects.put(candidate.ewc.arrays())
    return replace(candidate, digests=digests)
