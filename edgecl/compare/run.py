"""Comparison of strategies on the user's own data: accuracy, old data kept, and the cost of retraining.

Nothing here is a strategy of its own: lessons go through `edgecl.learning.loop` as on a device, with the gate
open so that it does not confound (one result has it closed), and are measured against joint
training on the same latents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgecl.compare.joint import choose_penalty, fit_joint
from edgecl.compare.results import JOINT, MEASURES, REPLAYING, Comparison, Options, Result
from edgecl.compare.streams import Experiences, Recordings, Rows, make_streams, prepare
from edgecl.compare.trials import Trial, plan_trials
from edgecl.errors import SettingError
from edgecl.extractors.contract import Contract
from edgecl.learning.admission import Answer
from edgecl.learning.loop import Outcome, lesson_stages
from edgecl.learning.strategies import COMPARABLE, GENERATED
from edgecl.metrics import backward_transfer, balanced_accuracy, forgetting
from edgecl.model.exemplars import quantise, quotas, row_bytes
from edgecl.model.model import Lesson, MemoryObjects, Model
from edgecl.model.settings import Settings, choose_tier, default_budgets
from edgecl.progress import watched


@dataclass(frozen=True)
class Progress:
    """`done` of `total` streams have been played, this one is next."""

    done: int
    total: int
    what: str


def settings_for(contract: Contract, *, classes: int, memory_bytes: int | None, extractor_bytes: int) -> Settings:
    """Return the settings of a store with this extractor and memory.

    Raises
    ------
    SettingError
        When the memory is too small for the classes: names the smallest that is enough.
    """
    budgets = default_budgets(contract.modality)
    settings = Settings(
        memory_bytes=memory_bytes or budgets.memory_bytes,
        disk_bytes=budgets.disk_bytes,
        max_classes=max(budgets.max_classes, classes),
        latent_dimension=contract.dimension,
        shrinkage_floor=contract.shrinkage_floor,
    )
    return choose_tier(settings, overhead_disk_bytes=extractor_bytes + (64 << 10))


@watched
def compare(data: Recordings, settings: Settings, options: Options) -> Generator[Progress, None, Comparison]:
    """Play the data through every strategy.

    Raises
    ------
    DataError
        When the data has too few classes or groups, or no groups where they are needed.
    SettingError
        When there are fewer classes, or groups, than experiences; when a strategy is unknown.
    """
    unknown = set(options.strategies) - set(COMPARABLE)
    if unknown:
        raise SettingError(f"{min(unknown)!r} is not a strategy: choose from {', '.join(COMPARABLE)}")
    data, remarks = prepare(data, by=options.by, scenario=options.scenario)
    streams = make_streams(data, scenario=options.scenario, experiences=options.experiences, seeds=options.seeds)
    remarks += _unplayed(data, streams)
    trials, cannot = plan_trials(data, streams, settings, options)
    remarks += cannot
    _warm_up(data, streams[0], trials)
    played = yield from _play_all(data, streams, settings, trials)
    best = np.array([run.values["accuracy"] for run in played.joint])
    rows = {trial: _row(trial.name, runs, best, trial) for trial, runs in played.runs.items()}
    return Comparison(
        options=options,
        settings=settings,
        classes=len(data.names),
        groups=len(data.group_names),
        samples=len(data.labels),
        training=float(np.mean([len(stream.training) for stream in streams])),
        experiences=len(streams[0].lessons),
        held_out=len(np.unique(data.groups[streams[0].unseen])) if data.groups is not None else 0,
        strategies=tuple(row for trial, row in rows.items() if trial.sweep == ""),
        joint=_row(JOINT, played.joint, best, None),
        penalties=tuple(played.penalties),
        budgets=tuple(row for trial, row in rows.items() if trial.sweep == "budget"),
        weights=tuple(row for trial, row in rows.items() if trial.sweep == "weight"),
        remarks=tuple(remarks),
    )


@dataclass(frozen=True)
class _Played:
    """One run per seed, of joint training and of every trial."""

    joint: list[_Run]
    penalties: list[float]
    runs: dict[Trial, list[_Run]]


def _play_all(
    data: Recordings, streams: Sequence[Experiences], settings: Settings, trials: Sequence[Trial]
) -> Generator[Progress, None, _Played]:
    played = _Played([], [], {trial: [] for trial in trials})
    each = len(trials) + 1
    for index, stream in enumerate(streams):
        first, total = index * each, len(streams) * each
        yield Progress(first, total, f"seed {stream.seed}: {JOINT}")
        played.penalties.append(_penalty(data, stream))
        played.joint.append(_play_joint(data, stream, settings, played.penalties[-1]))
        for done, trial in enumerate(trials, start=first + 1):
            yield Progress(done, total, f"seed {stream.seed}: {trial.name}")
            played.runs[trial].append(_play(data, stream, trial))
    return played


def _unplayed(data: Recordings, streams: Sequence[Experiences]) -> Iterator[str]:
    for stream in streams:
        missing = np.setdiff1d(np.arange(len(data.names)), data.labels[stream.training])
        if len(missing):
            names = ", ".join(data.names[index] for index in missing)
            yield f"seed {stream.seed} plays without {names}: all of it is on one side of the split"


@dataclass(frozen=True)
class _Run:
    """One stream, played once."""

    values: Mapping[str, float]
    lesson_ms: Sequence[float]
    refusals: Sequence[str]


class _Log:
    """Accuracy on every experience so far, after each."""

    def __init__(self, data: Recordings, stream: Experiences) -> None:
        self.judged = np.unique(np.concatenate([*stream.parts, stream.unseen]))
        self._labels = data.labels[self.judged]
        self._stream = stream
        self._matrix = np.zeros((len(stream.parts), len(stream.parts)))
        self._answers = np.full(len(self.judged), -1)
        self._ms: list[float] = []

    def add(self, answers: NDArray[np.intp], ms: float) -> None:
        """Add predictions of the judged rows after one more lesson."""
        self._answers = answers
        step = len(self._ms)
        for earlier in range(step + 1):
            self._matrix[step, earlier] = self._accuracy(self._stream.parts[earlier])
        self._ms.append(ms)

    def _accuracy(self, rows: Rows) -> float:
        at = np.searchsorted(self.judged, rows)
        return balanced_accuracy(self._labels[at], self._answers[at])

    def run(self, *, memory_bytes: int, disk_bytes: int, exemplars: int, refusals: Sequence[str] = ()) -> _Run:
        return _Run(
            {
                "accuracy": self._accuracy(self._stream.unseen),
                "old": self._accuracy(self._stream.old),
                "new": self._accuracy(self._stream.new),
                "forgetting": forgetting(self._matrix),
                "bwt": backward_transfer(self._matrix),
                "memory_bytes": memory_bytes,
                "disk_bytes": disk_bytes,
                "ms": float(np.mean(self._ms)),
                "exemplars": exemplars,
                "refused": len(refusals),
            },
            self._ms,
            refusals,
        )


def _play(data: Recordings, stream: Experiences, trial: Trial) -> _Run:
    """Teach a model one experience after another, as a device would."""
    log, model, refusals = _Log(data, stream), Model(trial.settings), list[str]()
    for rows in stream.lessons:
        started = time.perf_counter()
        outcome = _taught(model, data, rows, trial, seed=stream.seed)
        elapsed = time.perf_counter() - started
        if outcome.model is None:
            refusals.append(outcome.verdict.reasons[0])
        model = _trimmed(outcome.model or model, trial.exemplar_bytes)
        log.add(_answers(model, data, log.judged), 1e3 * elapsed)
    memory, disk = _remembered(model, trial.strategy)
    exemplars = sum(map(len, model.exemplars.values())) if trial.strategy in (*REPLAYING, "auto") else 0
    return log.run(memory_bytes=memory, disk_bytes=disk, exemplars=exemplars, refusals=refusals)


def _taught(model: Model, data: Recordings, rows: Rows, trial: Trial, *, seed: int) -> Outcome:
    """Learn one lesson; the outcome has no model where the gate rejects it.

    The user has named the classes, so what the gate asks about a new one is answered: it is a class of its own.
    """
    features = model.settings.features
    lesson = Lesson(
        {
            data.names[index]: quantise(features.project(data.latents[rows[data.labels[rows] == index]]))
            for index in np.unique(data.labels[rows])
        }
    )
    return lesson_stages(
        model,
        lesson,
        objects=MemoryObjects(),
        strategy=trial.strategy,
        settings=trial.refine,
        seed=seed,
        force=not trial.is_gated,
        answer=Answer(distinct=True),
    ).finish()


def _trimmed(model: Model, capacity_bytes: int | None) -> Model:
    """Return the model with exemplars of at most `capacity_bytes`; None keeps what the memory allows."""
    if capacity_bytes is None:
        return model
    held = {label: len(one) for label, one in model.exemplars.items()}
    shares = quotas(held, capacity_bytes=capacity_bytes, row_dimension=model.settings.features.row_dimension)
    return replace(model, exemplars={label: one.first(shares[label]) for label, one in model.exemplars.items()})


def _answers(model: Model, data: Recordings, rows: Rows) -> NDArray[np.intp]:
    if model.head is None:
        return np.full(len(rows), -1)
    where = {name: index for index, name in enumerate(data.names)}
    return np.array([where[label] for label in model.predict(data.latents[rows]).labels])


def _remembered(model: Model, strategy: str) -> tuple[int, int]:
    """Return (memory, disk only): the bytes of a model that the strategy needs in its next lesson.

    The scatter of each class stays on disk; what the strategy does not use is not counted, though a store contains it.
    """
    if model.head is None:
        return 0, 0
    memory, sums = model.head.nbytes, strategy in ("closed-form", "auto", GENERATED)
    if strategy == GENERATED:
        from edgecl.learning.generated import Form  # few comparisons have it

        memory += Form.of_model(model)[1]
    elif "replay" in strategy or strategy == "auto":
        memory += sum(one.nbytes for one in model.exemplars.values())
    if model.ewc is not None and strategy != "replay" and strategy != "naive":
        memory += model.ewc.nbytes
    if sums:
        memory += sum(one.mean.nbytes + 8 for one in model.statistics.values())
    return memory, sum(one.scatter.nbytes for one in model.statistics.values()) if sums else 0


def _penalty(data: Recordings, stream: Experiences) -> float:
    """Choose the penalty by cross-validation over the training groups; without groups every sample is one."""
    rows = stream.training
    groups = data.groups[rows] if data.groups is not None else np.arange(len(rows))
    return choose_penalty(data.latents[rows], data.labels[rows], groups, seed=stream.seed)


def _play_joint(data: Recordings, stream: Experiences, settings: Settings, penalty: float) -> _Run:
    """Retrain from everything so far, with each lesson."""
    log = _Log(data, stream)
    latents = data.latents[log.judged]
    for step in range(len(stream.lessons)):
        rows = np.concatenate(stream.lessons[: step + 1])
        known, labels = np.unique(data.labels[rows], return_inverse=True)
        started = time.perf_counter()
        answers: Callable[[NDArray[np.floating]], NDArray[np.intp]] = _only_class
        if len(known) > 1:
            answers = fit_joint(data.latents[rows], labels, penalty=penalty).answers
        elapsed = time.perf_counter() - started
        log.add(known[answers(latents)], 1e3 * elapsed)
    kept = len(stream.training) * row_bytes(settings.latent_dimension)
    head = len(known) * (settings.latent_dimension + 1) * 4
    return log.run(memory_bytes=head, disk_bytes=kept, exemplars=len(stream.training))


def _only_class(latents: NDArray[np.floating]) -> NDArray[np.intp]:
    return np.zeros(len(latents), np.intp)


def _warm_up(data: Recordings, stream: Experiences, trials: Sequence[Trial]) -> None:
    """Learn two tiny lessons by each strategy, so that compiling kernels is not timed."""
    for trial in {one.strategy: one for one in trials}.values():
        model = Model(trial.settings)
        for rows in stream.lessons[:2]:
            found = [rows[data.labels[rows] == index][:4] for index in np.unique(data.labels[rows])[:2]]
            model = _taught(model, data, np.concatenate(found), trial, seed=0).model or model


def _row(name: str, runs: Sequence[_Run], joint: NDArray[np.float64], trial: Trial | None) -> Result:
    values = {measure: np.array([run.values[measure] for run in runs], np.float64) for measure in runs[0].values}
    values["joint_loss"] = joint - values["accuracy"]
    lesson_ms = np.array([run.lesson_ms for run in runs])
    refusals = tuple(reason for run in runs for reason in run.refusals)
    budget, weight = trial.budget if trial else None, trial.refine.replay_weight if trial and trial.refine else None
    return Result(name, {one: values[one] for one in MEASURES}, lesson_ms, refusals, budget, weight)
