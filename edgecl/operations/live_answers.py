"""What the live revision answers: its head, or where a stream has taught it, its experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import ModelError, StoreDamagedError
from edgecl.model.head import probabilities
from edgecl.model.loading import load_head
from edgecl.model.model import CENTRE, EXPERTS, Prediction
from edgecl.operations.open_store import OpenStore
from edgecl.store.records import Revision

if TYPE_CHECKING:
    from edgecl.learning.panel import Panel
    from edgecl.model.model import Arrays


class LiveAnswers:
    """The live revision, loaded once.

    Raises
    ------
    ModelError
        When nothing has been learnt.
    StoreDamagedError
        When a part of the revision cannot be used.
    """

    def __init__(self, opened: OpenStore) -> None:
        revision, parts = opened.store.load("head", CENTRE, EXPERTS)
        self.model = load_head(opened.settings_of(revision), revision.objects, revision.body, parts)
        if self.model.head is None:
            raise ModelError(f"{opened.store.path} has learnt nothing yet: teach it first", remedy="learn")
        self._panel = _panel(opened, revision, parts, label_delay=0)

    @property
    def has_experts(self) -> bool:
        """Whether the experts of a stream answer, not the head."""
        return self._panel is not None

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of `probabilities`, sorted."""
        assert self.model.head is not None
        return tuple(sorted(self._panel.labels)) if self._panel else self.model.head.labels

    def probabilities(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the probability of each label (n, C) for latents (n, D)."""
        return self._probabilities(latents)[0]

    def predict(self, latents: NDArray[np.float32]) -> Prediction:
        """Answer latents (n, D)."""
        if self._panel is None:
            return self.model.predict(latents)
        given, inputs = self._probabilities(latents)
        assert self.model.head is not None
        best = given.argmax(axis=1)
        novelty = self.model.head.novelty(self.model.head.logits(inputs))
        return Prediction([self.labels[at] for at in best], given[np.arange(len(best)), best], novelty)

    def _probabilities(self, latents: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities (n, C), and the features (n, d) that the head sees."""
        features, head = self.model.settings.features, self.model.head
        assert head is not None
        if self._panel is None:
            inputs = self.model.features(latents)
            return probabilities(head.logits(inputs)), inputs
        from edgecl.learning.stream_statistics import StreamRows

        rows = StreamRows(features.project(latents), features)
        given = self._panel.predict(rows, head)
        return given[:, np.argsort(self._panel.labels, kind="stable")], rows.inputs


def live_panel(opened: OpenStore, revision: Revision, *, label_delay: int) -> Panel | None:
    """Return the experts of a revision, for a stream to go on with; None where it has none."""
    if EXPERTS not in revision.objects:
        return None
    return _panel(opened, revision, {EXPERTS: opened.store.read(revision.objects[EXPERTS])}, label_delay=label_delay)


def _panel(opened: OpenStore, revision: Revision, parts: Mapping[str, Arrays], *, label_delay: int) -> Panel | None:
    stated = revision.body.get("experts")
    if EXPERTS not in parts or not isinstance(stated, dict):
        return None
    from edgecl.learning.panel import Panel

    try:
        return Panel.from_arrays(parts[EXPERTS], stated, settings=opened.settings, label_delay=label_delay)
    except ValueError as error:
        raise StoreDamagedError(f"{opened.store.path}: {error}") from error
