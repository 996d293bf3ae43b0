"""Exemplars: int8 latents kept for replay and as evidence, within a byte budget, and the features made of them.

A class keeps a prefix of its herding order, so a smaller quota is a shorter view of the same arrays.
Every fourth exemplar of the order is never replayed: it is the evidence on which a refined head is judged.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.hashes import blake2b
from edgecl.values import dataclass, replace

EVIDENCE_EVERY = 4
HERDING_CANDIDATES = 512  # rows of a class that herding looks at: bounds its workspace
DRAWN_AT_ONCE = 512  # rows that gradient steps draw at a time
DIGEST_BYTES = 8
MOST_REMEMBERED_BYTES = 64 << 10  # digests of taught rows in all, ...
REFERENCES = ("reference", "student")  # arrays that an earlier edgecl reads past
REMEMBERED_SHARE = 16  # ... and at most this part of what exemplars may take


@dataclass(frozen=True)
class Exemplars:
    """Rows of one class in herding order: latent ≈ scale * row."""

    rows: NDArray[np.int8]
    """(m, p)."""
    scales: NDArray[np.float32]
    """(m,)."""
    taught: NDArray[np.int64] | None = None
    """(k,) digests of the rows that the class was taught, kept or not, oldest first; None where they are not known."""
    people: NDArray[np.uint8] | None = None
    """(m,) number of who gave each row, see `person_number`; 0 or None: not known."""
    recordings: NDArray[np.uint8] | None = None
    """(m,) number of the recording of each row, see `recording_number`; 0 or None: not known, or alone."""
    reference: NDArray[np.float16] | None = None
    """(K + 1,) what a second stage knows of the class, see `edgecl.spotting.reference`; None: nothing."""
    student: NDArray[np.float16] | None = None
    """(K + 1,) the same of the student that ships, see `edgecl.spotting.student`."""

    def __len__(self) -> int:
        return int(self.rows.shape[0])

    @property
    def nbytes(self) -> int:
        known = sum(one.nbytes for one in (self.people, self.recordings) if one is not None)
        return self.rows.nbytes + self.scales.nbytes + known + self.reference_bytes + DIGEST_BYTES * self.remembered

    @property
    def reference_bytes(self) -> int:
        """Bytes of what second stages know of the class."""
        return sum(one.nbytes for one in (self.reference, self.student) if one is not None)

    @property
    def remembered(self) -> int:
        """Number of taught rows whose digest is known."""
        return 0 if self.taught is None else len(self.taught)

    def first(self, count: int) -> Exemplars:
        """Return the first `count` of the order, as a view; digests of taught rows and references stay."""
        return replace(self._some(slice(count)), taught=self.taught, reference=self.reference, student=self.student)

    def remembering(self, older: Exemplars | None, rows: Exemplars) -> Exemplars:
        """Return the exemplars with the digests that `older` has and those of `rows`, and the references of `older`.

        Of the digests there are at most MOST_REMEMBERED_BYTES.
        """
        known = np.zeros(0, np.int64) if older is None or older.taught is None else older.taught
        fresh = digests(rows.last(MOST_REMEMBERED_BYTES // DIGEST_BYTES))
        again = set(fresh.tolist())
        older_ones = [one for one in known.tolist() if one not in again]
        joined = np.concatenate([np.array(older_ones, np.int64), fresh])
        kept = joined[-(MOST_REMEMBERED_BYTES // DIGEST_BYTES) :]
        if older is None:
            return replace(self, taught=kept, reference=None, student=None)
        return replace(self, taught=kept, reference=older.reference, student=older.student)

    def last(self, count: int) -> Exemplars:
        """Return the last `count` rows, as a view."""
        return self._some(slice(max(len(self) - count, 0), None))

    def spread(self, most: int, *, as_view: bool = False) -> Exemplars:
        """Return a copy of at most `most` rows, evenly spread over all; or a view, which copies none."""
        if as_view:
            return self._some(slice(None, None, max(-(-len(self) // most), 1)))
        if len(self) <= most:
            return self.take(np.arange(len(self)))
        return self.take(np.linspace(0, len(self) - 1, most).astype(np.intp))

    def take(self, indices: NDArray[np.integer]) -> Exemplars:
        return self._some(indices)

    def _some(self, which: slice | NDArray[np.integer]) -> Exemplars:
        people = None if self.people is None else self.people[which]
        recordings = None if self.recordings is None else self.recordings[which]
        return Exemplars(self.rows[which], self.scales[which], people=people, recordings=recordings)

    def blocks(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield the latents, dequantised a few rows at a time: arrays (<= size, p)."""
        for first in range(0, len(self), size):
            yield dequantise(self.rows[first : first + size], self.scales[first : first + size])

    @staticmethod
    def joined(parts: Sequence[Exemplars]) -> Exemplars:
        """Return the rows of all parts in one; at least one part."""
        rows, scales = [one.rows for one in parts], [one.scales for one in parts]
        people = recordings = None
        if any(one.people is not None for one in parts):
            people = np.concatenate([one.who() for one in parts])
        if any(one.recordings is not None for one in parts):
            recordings = np.concatenate([one.takes() for one in parts])
        return Exemplars(np.concatenate(rows), np.concatenate(scales), people=people, recordings=recordings)

    def who(self) -> NDArray[np.uint8]:
        """Return who gave each row, (m,); 0 where that is not known."""
        return np.zeros(len(self), np.uint8) if self.people is None else self.people

    def takes(self) -> NDArray[np.uint8]:
        """Return the number of the recording of each row, (m,); 0 where that is not known, or the row is alone."""
        return np.zeros(len(self), np.uint8) if self.recordings is None else self.recordings

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        optional = {name: getattr(self, name) for name in ("taught", "people", "recordings", *REFERENCES)}
        known = {name: one for name, one in optional.items() if one is not None}
        return {"rows": self.rows, "scales": self.scales, **known}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> Exemplars:
        """Rebuild from stored arrays; raises ValueError where they do not fit together."""
        try:
            rows, scales = arrays["rows"], arrays["scales"]
        except KeyError as error:
            raise ValueError(f"exemplars lack {error}") from error
        if rows.ndim != 2 or rows.dtype != np.int8 or scales.shape != rows.shape[:1]:
            raise ValueError(f"exemplars do not fit together: rows {rows.shape}, scales {scales.shape}")
        taught = arrays.get("taught")  # an earlier version wrote none
        if taught is not None and (taught.ndim != 1 or taught.dtype != np.int64):
            raise ValueError(f"digests of taught rows have shape {taught.shape} and type {taught.dtype}")
        known = None if taught is None else np.asarray(taught, np.int64)
        people = _numbers(arrays, "people", len(rows))
        recordings = _numbers(arrays, "recordings", len(rows))
        about = [_reference(arrays, name) for name in REFERENCES]
        return Exemplars(np.asarray(rows, np.int8), np.asarray(scales, np.float32), known, people, recordings, *about)


def _reference(arrays: Mapping[str, NDArray[np.generic]], name: str) -> NDArray[np.float16] | None:
    """Return an array of what a second stage knows, which few stores have."""
    found = arrays.get(name)
    if found is not None and (found.ndim != 1 or found.dtype != np.float16):
        raise ValueError(f"a reference has shape {found.shape} and type {found.dtype}")
    return None if found is None else np.asarray(found, np.float16)


def _numbers(arrays: Mapping[str, NDArray[np.generic]], name: str, count: int) -> NDArray[np.uint8] | None:
    """Return an array of a number for each row, which an earlier version did not write."""
    found = arrays.get(name)
    if found is not None and (found.dtype != np.uint8 or found.shape != (count,)):
        raise ValueError(f"exemplars do not fit together: {count} rows, {name} {found.shape} of type {found.dtype}")
    return None if found is None else np.asarray(found, np.uint8)


def digests(rows: Exemplars) -> NDArray[np.int64]:
    """Return a digest of each row (n,): blake2b of its bytes and its scale, the first 8 bytes."""
    scales = np.asarray(rows.scales, "<f4")
    found = [
        blake2b(row.tobytes() + scale.tobytes(), digest_size=DIGEST_BYTES).digest()
        for row, scale in zip(rows.rows, scales, strict=True)
    ]
    return np.frombuffer(b"".join(found), "<i8").astype(np.int64)


def bounded_memory(exemplars: Mapping[str, Exemplars], *, capacity_bytes: int) -> dict[str, Exemplars]:
    """Return exemplars with digests of taught rows in so many bytes: the class with most gives first, its oldest."""
    held = {label: one.remembered for label, one in exemplars.items()}
    if DIGEST_BYTES * sum(held.values()) <= capacity_bytes:
        return dict(exemplars)
    shares = quotas(held, capacity_bytes=capacity_bytes, row_dimension=DIGEST_BYTES - row_bytes(0))
    return {
        label: one if one.taught is None else replace(one, taught=one.taught[held[label] - shares[label] :])
        for label, one in exemplars.items()
    }


def memory_bytes(exemplar_bytes: int) -> int:
    """Return what digests of taught rows may take, of the bytes that exemplars may take."""
    return min(MOST_REMEMBERED_BYTES, max(exemplar_bytes, 0) // REMEMBERED_SHARE)


def person_number(name: str | None) -> int:
    """Return 1 to 255 for a name, 0 for none: enough to tell few people apart, too little to find a name again."""
    return 0 if name is None else zlib.crc32(name.encode()) % 255 + 1


def recording_number(digest: int) -> int:
    """Return 1 to 255 for the digest of a recording's first row; two that share one are left out together."""
    return digest % 255 + 1


@dataclass(frozen=True)
class Selection:
    """Some rows of a class; none is copied before it is drawn."""

    source: Exemplars
    indices: NDArray[np.intp]
    """(n,) into the rows of `source`."""

    def __len__(self) -> int:
        return len(self.indices)

    def draw(self, which: NDArray[np.integer]) -> Exemplars:
        return self.source.take(self.indices[which])

    def all(self) -> Exemplars:
        return self.source.take(self.indices)

    def divided(self, chosen: NDArray[np.bool_]) -> tuple[Selection, Selection]:
        """Return the rows that are not chosen (n,), and those that are."""
        return Selection(self.source, self.indices[~chosen]), Selection(self.source, self.indices[chosen])

    @staticmethod
    def of(source: Exemplars, most: int | None = None) -> Selection:
        """Select all rows, or `most` of them evenly spread."""
        count = len(source)
        if most is None or count <= most:
            return Selection(source, np.arange(count))
        return Selection(source, np.linspace(0, count - 1, most).astype(np.intp))


def quantise(latents: NDArray[np.float32]) -> Exemplars:
    """Quantise (n, p) float32 to int8 rows, each with its own scale max|x|/127."""
    rows = np.empty(latents.shape, np.int8)
    scales = np.empty(latents.shape[0], np.float32)
    kernels.quantise_rows(np.ascontiguousarray(latents, np.float32), rows, scales)
    return Exemplars(rows, scales)


def dequantise(rows: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert int8 rows (n, p) with scales (n,) to float32 (n, p)."""
    out = np.empty(rows.shape, np.float32)
    kernels.dequantise_rows(np.array(rows), np.array(scales), out)  # copies: pages of a file are read-only
    return out


def row_bytes(row_dimension: int) -> int:
    """Return the bytes of one exemplar."""
    return row_dimension + 4


def herding_bytes(count: int, *, row_dimension: int) -> int:
    """Return the workspace of `herd` for `count` candidates, in bytes."""
    return count * (row_dimension * 5 + 12)


def herd(candidates: Exemplars, mean: NDArray[np.float64], *, keep: int) -> Exemplars:
    """Return the `keep` rows whose running mean follows `mean` (p,) best (iCaRL: Rebuffi et al. 2017, Alg. 4).

    More than HERDING_CANDIDATES rows are thinned evenly first.
    """
    candidates = candidates.spread(HERDING_CANDIDATES)
    keep = min(keep, len(candidates))
    order = np.empty(keep, np.int32)
    scratch = np.empty((3, len(candidates)), np.float32)
    latents = dequantise(candidates.rows, candidates.scales)
    kernels.herding_order(latents, mean.astype(np.float32), scratch, order)
    return candidates.take(order)


def quotas(
    held: Mapping[str, int],
    *,
    capacity_bytes: int,
    row_dimension: int,
    taught: Iterable[str] = (),
    weights: Mapping[str, float] | None = None,
) -> dict[str, int]:
    """Return how many exemplars each class may keep in `capacity_bytes`.

    The largest class shrinks first, until all are equal: knowledge must not be lost because it is old, and
    the evidence of every class is worth the same. The remainder of an equal division is taken from the class whose last
    lesson is longest ago (`taught`: labels in the order of their last lessons; one that is not there comes first).
    Within a class the most redundant goes first: the end of the herding order. Classes of other `weights` than 1 have a
    share in that proportion.

    >>> quotas({"no": 2, "yes": 90}, capacity_bytes=1000, row_dimension=96)
    {'no': 2, 'yes': 8}
    >>> quotas({"no": 9, "yes": 9}, capacity_bytes=900, row_dimension=96, taught=("yes", "no"))
    {'no': 5, 'yes': 4}
    >>> quotas({"no": 9, "yes": 9}, capacity_bytes=900, row_dimension=96, weights={"no": 0.5})
    {'no': 3, 'yes': 6}
    """
    order = {label: at for at, label in enumerate(taught)}
    left = capacity_bytes // row_bytes(row_dimension)
    kept: dict[str, int] = {}
    weight = {label: (weights or {}).get(label, 1.0) for label in held}
    waiting = sum(weight.values())
    for label in sorted(held, key=lambda one: (held[one] / weight[one], order.get(one, -1), one)):
        kept[label] = min(held[label], int(left * weight[label] / waiting + 1e-9)) if waiting > 1e-9 else 0
        waiting -= weight[label]
        left -= kept[label]
    return {label: kept[label] for label in held}


def is_evidence(count: int) -> NDArray[np.bool_]:
    """Test which of the first `count` exemplars of a herding order are evidence: every fourth, never the first."""
    chosen: NDArray[np.bool_] = np.arange(count) % EVIDENCE_EVERY == EVIDENCE_EVERY - 1
    return chosen


@dataclass(frozen=True)
class FeatureMap:
    """latent (D,) → row (p,) that is quantised and kept → feature (d,) that statistics and head see.

    `projection` is p, or 0 for p = D. `lift_width` is the number of random ReLU units in front of the row,
    h = [ReLU(Px), x], or 0 for none.
    """

    latent_dimension: int
    projection: int
    lift_width: int
    seed: int
    block_rows: int = 32
    """Rows that are dequantised and lifted at a time."""

    @property
    def row_dimension(self) -> int:
        return self.projection or self.latent_dimension

    @property
    def dimension(self) -> int:
        return self.row_dimension + self.lift_width

    def project(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project (n, D) to (n, p): a subsampled randomised Hadamard transform (Ailon and Chazelle 2009).

        It keeps squared lengths in expectation.
        """
        if not self.projection:
            return np.ascontiguousarray(latents, np.float32)
        signs, kept = _hadamard_plan(self.latent_dimension, self.projection, self.seed)
        width = 1 << (self.latent_dimension - 1).bit_length()
        work = np.zeros((latents.shape[0], width), np.float32)
        work[:, : self.latent_dimension] = latents * signs
        half = 1
        while half < width:
            pairs = work.reshape(-1, width // (2 * half), 2, half)
            upper = pairs[:, :, 0] - pairs[:, :, 1]
            pairs[:, :, 0] += pairs[:, :, 1]
            pairs[:, :, 1] = upper
            half *= 2
        return np.ascontiguousarray(work[:, kept]) / np.float32(np.sqrt(self.projection))

    def kept_columns(self) -> NDArray[np.intp]:
        """Return the columns of the transform that the projection keeps; those of a narrower one are among them."""
        return _hadamard_plan(self.latent_dimension, self.projection, self.seed)[1]

    def lift(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lift (n, p) to (n, d)."""
        if not self.lift_width:
            return rows
        out = np.empty((rows.shape[0], self.dimension), np.float32)
        kernels.lift_rows(rows, self.seed, out)
        return out

    def blocks(self, rows: Exemplars) -> Iterator[NDArray[np.float32]]:
        """Yield features of quantised rows, a few at a time: arrays (<= block_rows, d)."""
        for block in rows.blocks(self.block_rows):
            yield self.lift(block)

    def blocks_of_several(self, rows: Mapping[str, Exemplars]) -> Iterator[list[tuple[str, NDArray[np.float32]]]]:
        """Yield features of the rows of classes, of as many classes at a time as a block has room for."""
        count = 0
        together: list[tuple[str, NDArray[np.float32]]] = []
        for label, one in rows.items():
            for block in self.blocks(one):
                if together and count + len(block) > self.block_rows:
                    yield together
                    together, count = [], 0
                together.append((label, block))
                count += len(block)
        if together:
            yield together

    def __call__(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert latents (n, D) to features (n, d), without quantisation."""
        return self.lift(self.project(latents))


def _hadamard_plan(dimension: int, projection: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return random signs (D,) and the p columns kept, from the raw bits of Philox, which numpy keeps stable."""
    width = 1 << (dimension - 1).bit_length()
    raw = np.random.Philox(key=seed).random_raw(dimension + width)
    signs = np.where(raw[:dimension] & 1, np.float32(1), np.float32(-1))
    kept = np.sort(np.argsort(raw[dimension:], kind="stable")[:projection])
    return signs, kept
