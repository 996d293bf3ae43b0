"""Play a federation on one machine: stores learn what they are dealt, and exchange it in rounds as devices do.

Every device is a store, its node is that of `edgecl federate join` and the server's fleet is that of the app, so files,
checks and gates are the same. Beside it one store is taught what all have, and each device is answered by what it has
learnt itself.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import SettingError
from edgecl.federation.fleet import Fleet
from edgecl.federation.node import StoreNode
from edgecl.federation.rounds import InProcess, Round, play
from edgecl.federation.secure import levels
from edgecl.learner import Learner
from edgecl.metrics import balanced_accuracy
from edgecl.model.model import MemoryObjects, Model
from edgecl.progress import watched
from edgecl.sharing.merging import merged

if TYPE_CHECKING:
    from edgecl.compare.streams import Recordings, Rows
    from edgecl.federation.dealing import Dealt

CENTRAL, STATE = "central", "state"  # folders beside the devices'


@dataclass(frozen=True)
class Stage:
    """What is done next; of so many steps."""

    what: str
    total: int


@dataclass(frozen=True)
class Row:
    """A round: shares of right answers are balanced over the classes, 0 to 1."""

    round: int
    replied: int
    samples: int
    """Taught so far, at all devices."""
    alone: float
    """Mean over the devices, each by what it has learnt itself."""
    merged: float
    """Mean over the devices, each as it answers after the round."""
    merged_least: float
    """Of the device that answers worst."""
    central: float
    """Of one store that was taught what all devices have."""
    same_answers: float
    """Share of the answers after the round that are those of the central store."""
    up_bytes: float
    """Bytes that a device hands in."""
    down_bytes: float
    """Bytes that a device gets."""
    outcomes: Mapping[str, int]
    """Verdict of the devices' gates to the number of devices."""
    refused: Mapping[str, str]


@dataclass(frozen=True)
class Federated:
    """What became of a simulation."""

    engine: str
    """"local", "flower", or "secure" for SecAgg+ on Flower."""
    devices: Mapping[str, int]
    """Device to samples that it was dealt."""
    classes: tuple[str, ...]
    people: int
    """Who teach; 0 where that is not known."""
    held_out: int
    """People of no device who were tested."""
    tested: int
    """Samples that were tested."""
    seed: int
    rounds: tuple[Row, ...]
    remarks: tuple[str, ...]
    stores: str | None
    """Folder of the devices' stores, where they were kept."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        found = asdict(self)
        return {**found, "classes": list(self.classes), "remarks": list(self.remarks), "rounds": list(found["rounds"])}


@watched
def simulate(
    dealt: Dealt,
    folder: Path,
    *,
    extractor: str | Path,
    memory_bytes: int | None = None,
    seed: int = 0,
    engine: str = "local",
    keep: bool = False,
) -> Generator[Stage, None, Federated]:
    """Play the rounds of a federation in a new or empty folder.

    Parameters
    ----------
    folder
        Of the stores: one for each device by its name, and `central`.
    extractor, memory_bytes
        Of the stores.
    engine
        "local"; "flower" sends files as messages between Flower's ServerApp and ClientApps, in this process; "secure"
        sums by SecAgg+ between them. Both need the extra [federated].
    keep
        Whether the folder stays, which the report names then.

    Raises
    ------
    SettingError
        When the folder is not empty, a device has the name of one of its other folders, or a secure sum would be of
        fewer than three devices.
    """
    _require_free(folder, dealt)
    if engine == "secure":
        levels(len(dealt.devices))  # refuses too few
    steps = len(next(iter(dealt.devices.values())))
    total = len(dealt.devices) * steps + steps
    learners = _made(folder, dealt, extractor=extractor, memory_bytes=memory_bytes, seed=seed)
    central = learners.pop(CENTRAL)
    carried = _Carried(folder, learners, dealt, engine=engine)
    rows = []
    for step in range(steps):
        for name, learner in learners.items():
            yield Stage(f"round {step + 1}: {name} learns", total)
            _teach(learner, dealt.data, dealt.devices[name][step])
        yield Stage(f"round {step + 1}", total)
        _teach(central, dealt.data, np.concatenate([parts[step] for parts in dealt.devices.values()]))
        rows.append(_row(carried.play(step + 1), dealt, step, list(learners.values()), central))
    return Federated(
        engine=engine,
        devices={name: sum(map(len, parts)) for name, parts in dealt.devices.items()},
        classes=dealt.data.names,
        people=len(dealt.data.group_names),
        held_out=dealt.held_out,
        tested=len(dealt.tested.labels),
        seed=seed,
        rounds=tuple(rows),
        remarks=dealt.remarks,
        stores=str(folder) if keep else None,
    )


def _require_free(folder: Path, dealt: Dealt) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingError(f"{folder} exists and is not empty: name a new folder")
    taken = {CENTRAL, STATE} & set(dealt.devices)
    if taken:
        raise SettingError(f"{min(taken)!r} is the name of a folder beside the devices': rename the folder of data")


def _made(
    folder: Path, dealt: Dealt, *, extractor: str | Path, memory_bytes: int | None, seed: int
) -> dict[str, Learner]:
    """Make the stores, which are alike."""
    from edgecl.extractors.opening import extractor_file, open_extractor
    from edgecl.model.settings import default_budgets

    file = extractor_file(extractor)
    classes = max(default_budgets(open_extractor(file).contract.modality).max_classes, len(dealt.data.names))
    folder.mkdir(parents=True, exist_ok=True)
    return {
        name: Learner.create(folder / name, extractor=file, memory_bytes=memory_bytes, max_classes=classes, seed=seed)
        for name in (*dealt.devices, CENTRAL)
    }


class _Carried:
    """The rounds between the stores, in this process: by plain calls, or as Flower's messages."""

    def __init__(self, folder: Path, learners: Mapping[str, Learner], dealt: Dealt, *, engine: str) -> None:
        self._state, self._engine, self._labels = folder / STATE, engine, dealt.data.names
        self._bound = max(_most(dealt.data, np.concatenate(parts)) for parts in dealt.devices.values())
        self._stores = [learner.path for learner in learners.values()]
        self._floor = next(iter(learners.values())).settings.shrinkage_floor
        self._nodes = InProcess(StoreNode(store, distinct=True) for store in self._stores)

    def play(self, number: int) -> Round:
        configs: list[dict[str, str | int]] = [{"store": str(store), "distinct": 1} for store in self._stores]
        if self._engine == "secure":
            from edgecl.federation.flower_secure import lead_secure_in_process

            return lead_secure_in_process(configs, state=self._state, labels=self._labels, bound=self._bound)
        if self._engine == "flower":
            from edgecl.federation.flower import lead_in_process

            (played,) = lead_in_process(configs, state=self._state, floor=self._floor)
            return played
        return play(self._nodes, Fleet(self._state, floor=self._floor), number=number)


def _most(data: Recordings, rows: Rows) -> int:
    """Return the samples of the largest class."""
    return int(np.bincount(data.labels[rows]).max(initial=1))


def _teach(learner: Learner, data: Recordings, rows: Rows) -> None:
    """Teach all of the rows, whatever the gate says: the three that are compared learn the same."""
    if len(rows):
        labels = data.labels[rows]
        lesson = {data.names[label]: data.latents[rows[labels == label]] for label in np.unique(labels)}
        learner.learn(lesson, latents=True, strategy="closed-form", force=True, again=True, distinct=True)


def _row(played: Round, dealt: Dealt, step: int, learners: Sequence[Learner], central: Learner) -> Row:
    wanted = np.array(dealt.tested.names)[dealt.tested.labels]
    whole = _answers(central.opened.model()[1], dealt)
    models = [learner.opened.model()[1] for learner in learners]
    after = [_answers(model, dealt) for model in models]
    alone = [_answers(_alone(model), dealt) for model in models]
    right = [_right(wanted, one) for one in after]
    handed = max(played.replied, 1)
    return Row(
        round=played.number,
        replied=played.replied,
        samples=sum(len(part) for parts in dealt.devices.values() for part in parts[: step + 1]),
        alone=float(np.mean([_right(wanted, one) for one in alone])),
        merged=float(np.mean(right)),
        merged_least=min(right),
        central=_right(wanted, whole),
        same_answers=float(np.mean([np.mean(one == whole) for one in after])),
        up_bytes=played.up_bytes / handed,
        down_bytes=played.down_bytes / handed,
        outcomes=dict(played.outcomes),
        refused=dict(played.refused),
    )


def _alone(model: Model) -> Model:
    """Return the model without what others have shared."""
    return merged(model, {}, combine=model.combine, objects=MemoryObjects(), distinct=model.distinct)


def _answers(model: Model, dealt: Dealt) -> NDArray[np.str_]:
    """Return the labels that a model answers; nothing of a model that knows nothing."""
    if model.head is None:
        return np.full(len(dealt.tested.labels), "")
    return np.array(model.predict(dealt.tested.latents).labels)


def _right(wanted: NDArray[np.str_], answers: NDArray[np.str_]) -> float:
    names, numbers = np.unique(np.concatenate([wanted, answers]), return_inverse=True)
    del names
    return balanced_accuracy(numbers[: len(wanted)], numbers[len(wanted) :])
