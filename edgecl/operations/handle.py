"""What a learner's object has of the verbs that change nothing, and the runs of those that take long."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self

from edgecl.operations.data import samples_of
from edgecl.operations.open_store import OpenStore

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgecl.extractors.base import FileExtractor
    from edgecl.extractors.contract import Contract
    from edgecl.learning.drift_response import Drift
    from edgecl.learning.loop import Stage
    from edgecl.model.model import Model
    from edgecl.model.settings import Settings
    from edgecl.operations.answering import Answer
    from edgecl.operations.background import RoomReport
    from edgecl.operations.centring import CentringReport
    from edgecl.operations.data import Data, Embedded
    from edgecl.operations.evaluating import Evaluation
    from edgecl.operations.streaming import StreamReport
    from edgecl.operations.teaching import Report
    from edgecl.operations.upgrading import UpgradeReport
    from edgecl.progress import Run
    from edgecl.sources.samples import Sample, Skip
    from edgecl.spotting.calibration import Calibration
    from edgecl.store.store import Store

Progress = Callable[[Any], object]


class Handle:
    """The verbs that change nothing: what a store knows, how well, and how full it is."""

    def __init__(self, opened: OpenStore) -> None:
        self._opened = opened
        self.run = Runs(opened)

    @classmethod
    def create(cls, path: str | Path, *, extractor: str | Path, **settings: Any) -> Self:
        """Make a store in a new folder, and open it.

        Parameters
        ----------
        path
            The folder to make.
        extractor
            "voice" or "imu" for one that ships with edgecl, or the file of another.
        **settings
            `memory_bytes`, `disk_bytes`, `max_classes`, `lift_width`, `seed`: by default what suits the extractor.

        Raises
        ------
        SettingError
            When the path is taken, or the budget cannot work: names the smallest that can.
        ContractError
            When the extractor has no contract, or a wrong one.
        """
        from edgecl.operations.creation import create

        return cls(create(path, extractor=extractor, **settings))

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a store; raises StoreMissingError or StoreDamagedError."""
        return cls(OpenStore.open(path))

    @property
    def path(self) -> Path:
        """Folder of the store."""
        return self._opened.store.path

    @property
    def store(self) -> Store:
        """Files of the store."""
        return self._opened.store

    @property
    def opened(self) -> OpenStore:
        """The open store, which the functions of `edgecl.operations` and `edgecl.live` take."""
        return self._opened

    @property
    def settings(self) -> Settings:
        """Settings that were fixed when the store was made."""
        return self._opened.settings

    @property
    def extractor(self) -> FileExtractor:
        """The frozen network that makes latents of signals."""
        return self._opened.extractor

    @property
    def contract(self) -> Contract:
        """What the extractor takes: rate, channels, units."""
        return self._opened.extractor.contract

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels that the live revision answers, in order: the columns of `predict_proba`."""
        return tuple(sorted(self._opened.live_body().classes))

    @property
    def revision(self) -> int:
        """Number of the live revision."""
        return self._opened.store.current().number

    def predict(self, data: Data, *, latents: bool = False, top: int = 0) -> list[Answer | Skip]:
        """Answer samples: a label, its confidence and the novelty of each; a skip stands where one cannot be used.

        Parameters
        ----------
        data, latents
            What is to be answered, see the class.
        top
            How many classes each answer names in `Answer.top`, best first.

        Raises
        ------
        ModelError
            When nothing has been learnt.
        DataError
            When no sample can be used.
        """
        return list(self.run.predict(data, latents=latents, top=top))

    def predict_proba(self, data: Data, *, latents: bool = False) -> NDArray[np.float32]:
        """Compute the probability (n, classes) of each class; columns are in the order of `classes`.

        Raises
        ------
        ModelError
            When nothing has been learnt.
        DataError
            When a sample cannot be used.
        """
        from edgecl.operations.answering import class_probabilities

        return class_probabilities(self._opened, samples_of(data, contract=self.contract, latents=latents))

    def evaluate(
        self,
        data: Data,
        labels: Iterable[str] | None = None,
        *,
        latents: bool = False,
        unknown: Data | None = None,
        label_case: str | None = None,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Measure accuracy on labelled samples, best of people who taught nothing.

        Parameters
        ----------
        data, labels, latents
            What is answered, with its labels, see the class.
        unknown
            What was never taught: `Evaluation.never_taught` says how much of it is refused.
        label_case
            As of `learn`.
        progress
            Called with every stage.

        Raises
        ------
        ModelError
            When nothing has been learnt.
        DataError
            When no sample has a label, or one is a known class in another spelling.
        """
        run = self.run.evaluate(data, labels, latents=latents, unknown=unknown, label_case=label_case)
        return run.finish(progress)

    def check(self) -> list[str]:
        """Read every byte and every kept revision; returns what is damaged."""
        from edgecl.operations.recovery import check

        return check(self._opened)

    def require_centrable(self) -> None:
        """Raise SettingError where latents cannot be centred."""
        from edgecl.operations.centring import require_centrable

        require_centrable(self._opened)

    def status(self) -> dict[str, Any]:
        """Return what the store knows and how full it is, as plain JSON."""
        from edgecl.operations.status import status

        return status(self._opened)

    def history(self) -> dict[str, Any]:
        """Tell the live revision, those that are kept, and the journal, oldest entry first."""
        from edgecl.operations.status import history

        return history(self._opened)

    def calibration(
        self, labels: Collection[str] | None = None, *, model: Model | None = None
    ) -> dict[str, Calibration]:
        """Tell how clear words are, by default all, against the background; empty where the store hears no words.

        `model` is the live one where it is at hand, as that of a report is: it need not be read again.
        """
        from edgecl.operations.background import calibration

        return calibration(self._opened, labels, model=model)


class Runs:
    """The verbs of a learner that take long: each returns a `Run`, which does its work while it is iterated."""

    def __init__(self, opened: OpenStore) -> None:
        self._opened = opened

    def learn(
        self, data: Data, labels: Iterable[str] | None = None, *, latents: bool = False, **how: Any
    ) -> Run[Embedded | Stage, Report]:
        """Start `Learner.learn`."""
        from edgecl.operations.teaching import teach

        return teach(self._opened, self.samples(data, labels, latents=latents), **how)

    def predict(self, data: Data, *, latents: bool = False, top: int = 0) -> Run[Answer | Skip, int]:
        """Start `Learner.predict`: its stages are the answers, its report is their number."""
        from edgecl.operations.answering import answers

        return answers(self._opened, self.samples(data, latents=latents), top=top)

    def learn_background(self, data: Data) -> Run[Embedded, RoomReport]:
        """Start `Learner.learn_background`."""
        from edgecl.operations.background import hear_room

        return hear_room(self._opened, self.samples(data))

    def follow(
        self, data: Data, labels: Iterable[str] | None = None, *, latents: bool = False, **how: Any
    ) -> Run[Embedded | Drift, StreamReport]:
        """Start `Learner.follow`."""
        from edgecl.operations.streaming import follow

        return follow(self._opened, self.samples(data, labels, latents=latents), **how)

    def centre(self, data: Data, *, latents: bool = False, **how: Any) -> Run[Embedded, CentringReport]:
        """Start `Learner.centre`."""
        from edgecl.operations.centring import centre

        return centre(self._opened, self.samples(data, latents=latents), **how)

    def upgrade(
        self, extractor: str | Path, data: Path | Data, labels: Iterable[str] | None = None, **how: Any
    ) -> Run[Embedded | Stage, UpgradeReport]:
        """Start `Learner.upgrade`."""
        from edgecl.operations.upgrading import reader, upgrade

        return upgrade(self._opened, extractor, reader(data, labels), **how)

    def evaluate(
        self,
        data: Data,
        labels: Iterable[str] | None = None,
        *,
        latents: bool = False,
        unknown: Data | None = None,
        label_case: str | None = None,
    ) -> Run[Embedded, Evaluation]:
        """Start `Learner.evaluate`."""
        from edgecl.operations.evaluating import evaluate

        untaught = () if unknown is None else self.samples(unknown, latents=latents)
        items = self.samples(data, labels, latents=latents)
        return evaluate(self._opened, items, untaught, label_case=label_case)

    def samples(
        self, data: Data, labels: Iterable[str] | None = None, *, latents: bool = False
    ) -> Iterator[Sample | Skip]:
        """Yield the samples of what a verb was given."""
        return samples_of(data, labels, contract=self._opened.extractor.contract, latents=latents)
