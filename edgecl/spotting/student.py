"""A student of the second stage's network: a small net that answers from the frames that a stream computes anyway.

With f the frames of a window, in thirds, and f̄ the extractor's mean,

    z = unit(concat of the mean of each third - f̄)            (3 D,)
    e = unit(relu(z W1 + b1) W2 + b2)                          (K,)
    r = unit(mean over the clips of a word of e, of one clip as it is and of the next ones in noise)

    score' = score + BETA e.r

hop by hop, for words that have r, of hops whose score is near enough to the word's threshold to reach it. e is what the
network of `edgecl.extractors.verifier` makes of the same window, in the directions of `edgecl.spotting.reference`, as
far as the net has learnt it. `tools/make_student` makes the file that ships with the voice extractor.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.extractors.base import fit
from edgecl.model.exemplars import dequantise
from edgecl.notes import Logger
from edgecl.spotting.reference import VERSIONS, WINDOW_SAMPLES, Reference, about, version
from edgecl.store.arrays import unpack
from edgecl.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from edgecl.extractors.base import Extractor
    from edgecl.model.exemplars import Exemplars
    from edgecl.model.model import Arrays, Model
    from edgecl.spotting.people import Allowance
    from edgecl.spotting.window import Window

logger = Logger(__name__)
# Chosen on FACTORY (tools/student_table): 50 gains less; 100 more for single words alone, and asks twice as often
BETA = 75.0
# The least threshold, in β. Chosen on FACTORY by hand (DECISIONS.md): 0.33 saves less, 0.47 costs more of what is heard
LEAST = 0.4
LARGEST = 32767  # of 16 bits
FORMS = 1 + len(VERSIONS)  # of a clip
FILE = Path(__file__).parents[1] / "data" / "student_voice.npz"


class Net(NamedTuple):
    """The two layers."""

    first: NDArray[np.float32]
    """(3 D, H) W1."""
    first_bias: NDArray[np.float32]
    """(H,)."""
    second: NDArray[np.float32]
    """(H, K) W2."""
    second_bias: NDArray[np.float32]
    """(K,)."""

    def __call__(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return e (..., K) of z (..., 3 D)."""
        return units(np.maximum(z @ self.first + self.first_bias, 0) @ self.second + self.second_bias)


@dataclass(frozen=True)
class Student:
    """The net, and what it makes of the background that ships."""

    net: Net
    mean: NDArray[np.float32]
    """(D,) of the extractor's frames."""
    rows: NDArray[np.float32]
    """(n, K) e of some rows of the background."""
    of: NDArray[np.intp]
    """(n,) which rows these are."""
    share: float
    """Share of the background's hours that they are of."""
    extractor: str
    """Sha256 of the file of the extractor whose frames it takes."""
    allowance: Allowance | None = None
    """What is expected of people who did not teach, of score'; None: what ships."""
    beta: float = BETA

    def __call__(self, frames: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return e (n, K) of windows of frames (n, P, D), P a multiple of three."""
        return self.net(thirds(frames, self.mean))

    def hop_us(self, times: int = 100) -> float:
        """Measure the microseconds of a hop that it is asked about: the shortest of some."""
        window, spent = np.ones((1, 9, len(self.mean)), np.float32), []
        for _ in range(times):
            started = time.perf_counter()
            self(window)
            spent.append(1e6 * (time.perf_counter() - started))
        return min(spent)

    @property
    def reference_bytes(self) -> int:
        """Bytes of a word's reference in a store."""
        return 2 * (len(self.net.second_bias) + 1)

    def knows(self, kept: Exemplars) -> bool:
        """Test whether a word has a reference, in as many directions as the net answers in, and kept clips.

        A net that takes this one's place has to answer in another number of directions: nothing else tells them apart.
        The first one that shipped answered in 64.
        """
        return len(kept) > 0 and kept.student is not None and kept.student.nbytes == self.reference_bytes

    def is_of_another(self, kept: Exemplars) -> bool:
        """Test whether a word has a reference of another student, which this one's answers cannot be compared with."""
        return kept.student is not None and kept.student.nbytes != self.reference_bytes


def whole_layers(net: Net) -> tuple[NDArray[Any], ...]:
    """Return W1 (3 D, H) as whole numbers, b1 and W2, which hold the scales of its columns, and b2: for a stream.

    A hop waits for the weights, which are in no near cache: for these half as long. Scores differ by 0.002 at most.
    """
    scales = np.maximum(np.abs(net.first).max(axis=0), 1e-9) / np.float32(LARGEST)
    inner = np.rint(net.first / scales).astype(np.int16)
    return inner, net.first_bias / scales, net.second * scales[:, None], net.second_bias


def thirds(frames: NDArray[np.floating], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return z (..., 3 D) of windows of frames (..., P, D)."""
    parts = np.asarray(frames, np.float32).reshape(*frames.shape[:-2], 3, -1, frames.shape[-1]).mean(axis=-2) - mean
    return units(parts.reshape(*frames.shape[:-2], -1))


def units(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return rows (..., K) at length 1; those of nothing stay."""
    found: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)
    return found


def clip_frames(
    signal: NDArray[np.float32], extractor: Extractor, forms: Iterable[int] = range(FORMS)
) -> NDArray[np.float32]:
    """Return frames (n, P, D) of n forms of a clip (samples, 1): 0 is as it is, from 1 on it is in noise."""
    contract = extractor.contract
    clip = fit(signal, contract)
    start, length = (WINDOW_SAMPLES - contract.clip_samples) // 2, contract.clip_samples
    window = about(clip[:, 0], length // 2)

    def of(form: int) -> NDArray[np.float32]:
        return version(window, form - 1)[start : start + length, None] if form else clip

    return np.array([extractor.frames(of(form)) for form in forms])


def form_of(number: int) -> int:
    """Return the form in which a word's clip of this number, from 0, has a part in its reference.

    All forms of each clip would be four times the extractor's work in a lesson.
    """
    return number % FORMS


def voice_student(extractor: str) -> Student | None:
    """Return the student that ships, for the extractor of this digest; None for others, and where it cannot be read."""
    found = factory_student()
    return found if found is not None and found.extractor == extractor else None


@cache
def factory_student() -> Student | None:
    """Return the student that ships with the voice extractor; None where it is missing or damaged, which is logged."""
    try:
        return read_student()
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s cannot be used (%s): the first stage decides alone", FILE.name, error)
        return None


def read_student() -> Student:
    """Read the student that ships; raises OSError, ValueError, KeyError or TypeError where it cannot be used."""
    return student_of(unpack(FILE.read_bytes()))


def student_of(arrays: Arrays) -> Student:
    """Rebuild what `tools/make_student` writes; raises ValueError where the arrays do not fit together."""
    net = Net(*(np.array(arrays[name], np.float32) for name in Net._fields))
    mean = np.array(arrays["mean"], np.float32)
    rows = dequantise(np.asarray(arrays["rows"], np.int8), np.asarray(arrays["row_scales"], np.float32))
    of = arrays["of"].astype(np.intp)
    hidden, width = net.second.shape
    wanted = (3 * len(mean), hidden), (hidden,), (width,), (len(of), width)
    if (net.first.shape, net.first_bias.shape, net.second_bias.shape, rows.shape) != wanted:
        raise ValueError("its arrays do not fit together")
    share, extractor = float(arrays["share"][0]), arrays["extractor"].tobytes().hex()
    return Student(net, mean, rows, of, share, extractor)


class Pupil:
    """What a student adds to the scores of the words that it has references of.

    Parameters
    ----------
    words
        Labels of the scorer, in its order.
    references
        By label, of one word or more.
    share
        Of the extractor's columns that a store keeps: scores are as much smaller.
    """

    def __init__(
        self, student: Student, words: Sequence[str], references: Mapping[str, Reference], *, share: float
    ) -> None:
        from edgecl.spotting.people import factory_allowance  # which a lesson does not need

        self.student, self.references, self._beta = student, references, share * student.beta
        self.allowance = (student.allowance or factory_allowance("student")).scaled(share)
        self.least = LEAST * self._beta
        """The threshold that a word should have at least."""
        self.reach = np.array([self._beta if one in references else 0.0 for one in words], np.float32)
        """(C,) the most that is added to the score of each word."""
        nothing = np.zeros_like(student.net.second_bias)
        directions = [references[one].direction if one in references else nothing for one in words]
        self._directions = np.ascontiguousarray(np.array(directions).T)  # (K, C)
        self._layers: tuple[NDArray[Any], ...] | None = None

    def added(
        self, scores: NDArray[np.float32], least: NDArray[np.float32], frames: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return scores (n, C) of both, and of which the student was asked: those that are `least` (C,) or more.

        Parameters
        ----------
        frames
            (n, P, D) of each hop.
        """
        near = (scores >= least) & (self.reach > 0)
        hops = np.flatnonzero(near.any(axis=1))
        if not len(hops):
            return scores, near
        scores = scores.copy()
        scores[hops] += np.where(near[hops], self.answers(frames[hops]), np.float32(0))
        return scores, near

    def answers(self, frames: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return what the student adds (n, C) to the scores of hops of frames (n, P, D) that it is asked about."""
        more: NDArray[np.float32] = self.reach * (self.student(frames) @ self._directions)
        return more

    def prepared(self, window: Window, bounds: NDArray[np.float32], limits: NDArray[np.float32]) -> Callable[[], int]:
        """Return a call of the kernel that counts the bounds (C,) of a window that it may lift to their limits (C,)."""
        if self._layers is None:
            self._layers = whole_layers(self.student.net)
        inner, _, outer, _ = self._layers
        work = (np.zeros(size, np.float32) for size in (len(inner), *outer.shape, len(limits)))
        given = self.student.mean, *self._layers, self._directions, self.reach, bounds, limits
        return kernels.prepared("ask_student", window.ring, window.span, *given, *work)

    def of_background(self, scores: NDArray[np.float32], label: str) -> NDArray[np.float32]:
        """Return the scores (m,) of both of the student's rows of the background, by those (n,) of the first stage."""
        found: NDArray[np.float32] = scores[self.student.of]
        return found + np.float32(self._beta) * (self.student.rows @ self.references[label].direction)

    def left_out(self, label: str) -> float:
        """Return what is expected to be added to the score of a word's clip that is left out."""
        return self._beta * self.references[label].left_out if label in self.references else 0.0


def pupil(
    student: Student | None, model: Model, words: Sequence[str], *, others: Collection[str], share: float
) -> Pupil | None:
    """Return what a student adds to words of a model; None where it has a reference of none.

    Parameters
    ----------
    others
        Labels that it does not decide on.
    """
    if student is None:
        return None
    known = {
        label: Reference.from_array(kept.student)
        for label, kept in model.exemplars.items()
        if label in words and label not in others and kept.student is not None and student.knows(kept)
    }
    return Pupil(student, words, known, share=share) if known else None
