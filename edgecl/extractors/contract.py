"""The contract: what an extractor file states about itself, and the checks of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import ContractError
from edgecl.values import dataclass, fields

FORMAT = "1"
PREFIX = "edgecl."
MODALITIES = ("voice", "imu", "text", "table", "image", "custom")
PICTURE_CHANNELS = ("red", "green", "blue")
NORMALISATIONS = ("l2", "none")
LARGEST_DIMENSION = 65_536
LARGEST_CLIP = 1 << 24  # numbers
_LOWEST_SOUND_HZ = 4_000


@dataclass(frozen=True, eq=False)
class Contract:
    """The inputs and outputs of an extractor.

    Raises
    ------
    ContractError
        A field is out of its range, or does not fit another.

    Examples
    --------
    >>> from edgecl.extractors.opening import builtin_extractor, open_extractor
    >>> contract = open_extractor(builtin_extractor("voice")).contract
    >>> contract.modality, contract.sample_rate_hz, contract.channels, contract.dimension
    ('voice', 16000.0, ('pcm',), 96)
    """

    modality: str
    """"voice", "imu", "text", "table", "image" or "custom"."""
    sample_rate_hz: float
    """0 where there is no time axis."""
    channels: tuple[str, ...]
    units: tuple[str, ...]
    """One for each channel."""
    window_samples: int
    """Samples of one frame."""
    hop_samples: int
    """Samples from one frame to the next."""
    pool_frames: int
    """Frames of which a latent is the mean."""
    dimension: int
    """Numbers in a frame, D."""
    mean: NDArray[np.float32]
    """(D,), subtracted before normalising."""
    normalisation: str
    """"l2" or "none"."""
    shrinkage_floor: float
    """Least share of the identity in the head's covariance, 0 to 1."""
    source: str
    licence: str
    graph_digest: str = ""
    """Sha256 of the file without its metadata."""
    adapted: dict[str, int | str] | None = None
    """rank, texts, intents and digest of the texts that a text extractor was adapted to; None: to none."""

    def __post_init__(self) -> None:
        for is_wrong, complaint in self._faults():
            if is_wrong:
                raise ContractError(f"the contract is wrong: {complaint}")

    def _faults(self) -> list[tuple[bool, str]]:
        counts = {name: getattr(self, name) for name in ("window_samples", "hop_samples", "pool_frames")}
        odd = [one for one in (*self.channels, *self.units, self.source, self.licence) if not _is_text(one)]
        mean = np.asarray(self.mean)
        return [
            (self.modality not in MODALITIES, f"modality {self.modality!r}, wanted one of {join_names(MODALITIES)}"),
            (
                self.normalisation not in NORMALISATIONS,
                f"normalisation {self.normalisation!r}, wanted one of {join_names(NORMALISATIONS)}",
            ),
            (
                not (math.isfinite(self.sample_rate_hz) and self.sample_rate_hz >= 0),
                f"sample_rate_hz {self.sample_rate_hz}, wanted 0 or more",
            ),
            (not self.channels, "no channels, wanted the name of each"),
            (bool(odd), f"{', '.join(map(ascii, odd))}: wanted text that can be written as UTF-8"),
            (
                len(self.units) != len(self.channels),
                f"{len(self.units)} units for {len(self.channels)} channels, wanted one for each",
            ),
            (min(counts.values()) < 1, f"{counts}, wanted 1 or more of each"),
            (
                self.clip_samples * len(self.channels) > LARGEST_CLIP,
                f"a clip of {self.clip_samples} samples in {len(self.channels)} channels, at most {LARGEST_CLIP:,} fit",
            ),
            (
                self.is_picture and not self._is_square(),
                f"{self.window_samples} pixels in {join_names(self.channels)}, wanted a square in red, green, blue",
            ),
            (
                self.hop_samples > self.window_samples,
                f"hop_samples {self.hop_samples} leaves gaps between windows of {self.window_samples}",
            ),
            (
                not 1 <= self.dimension <= LARGEST_DIMENSION,
                f"dimension {self.dimension}, wanted 1 to {LARGEST_DIMENSION}",
            ),
            (
                mean.shape != (self.dimension,) or not np.isfinite(mean).all(),
                f"a mean of shape {mean.shape}, wanted {self.dimension} finite numbers",
            ),
            (
                not 0 <= self.shrinkage_floor <= 1,
                f"shrinkage_floor {self.shrinkage_floor}, wanted 0 to 1",
            ),
        ]

    @property
    def clip_samples(self) -> int:
        """Samples of one latent."""
        return self.window_samples + (self.pool_frames - 1) * self.hop_samples

    @property
    def is_sound(self) -> bool:
        """Whether the extractor takes sound: voice, or one custom channel at the rate of sound."""
        is_fast = len(self.channels) == 1 and self.sample_rate_hz >= _LOWEST_SOUND_HZ
        return self.modality == "voice" or (self.modality == "custom" and is_fast)

    @property
    def is_picture(self) -> bool:
        """Whether a signal is the pixels of a square picture, row after row."""
        return self.modality == "image"

    @property
    def picture_size(self) -> int:
        """Pixels on each side of a picture."""
        return math.isqrt(self.window_samples)

    def _is_square(self) -> bool:
        is_one = self.pool_frames == 1 and self.hop_samples == self.window_samples
        return is_one and self.picture_size**2 == self.window_samples and self.channels == PICTURE_CHANNELS

    def metadata(self) -> dict[str, str]:
        """Return the contract as texts, by the keys that files use."""
        stated = [one for one in fields(self) if getattr(self, one.name) is not None]
        texts = {PREFIX + one.name: _text(one.type, getattr(self, one.name)) for one in stated}
        return {PREFIX + "format": FORMAT, **texts}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], *, file: str | Path) -> Contract:
        """Read `metadata()` back.

        Parameters
        ----------
        file
            Where the texts come from, for messages.

        Raises
        ------
        ContractError
            There is no contract, it is of another format, or a field is missing or wrong.
        """
        stated = metadata.get(PREFIX + "format")
        if stated is None:
            raise ContractError(f"{file} has no contract that states what it takes: wrap it with one", remedy="wrap")
        if stated != FORMAT:
            raise ContractError(f"{file} has a contract of format {stated}, wanted {FORMAT}: update edgecl")
        try:
            required = [one for one in fields(cls) if one.name != "adapted" or PREFIX + one.name in metadata]
            return cls(**{one.name: _value(one.type, metadata[PREFIX + one.name]) for one in required})
        except KeyError as error:
            raise ContractError(f"{file}: its contract lacks {error}: export it again") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise ContractError(f"{file}: its contract cannot be read ({error}): export it again") from error
        except ContractError as error:
            raise ContractError(f"{file}: {error}") from error


def picture_contract(
    size: int, *, mean: NDArray[np.float32], normalisation: str, shrinkage_floor: float, source: str, licence: str
) -> Contract:
    """Return the contract of square pictures, `size` pixels on each side; the mean (D,) and the rest as in `Contract`.

    Raises
    ------
    ContractError
        A field is out of its range.
    """
    return Contract(
        modality="image",
        sample_rate_hz=0.0,
        channels=PICTURE_CHANNELS,
        units=("0 to 255",) * len(PICTURE_CHANNELS),
        window_samples=size * size,
        hop_samples=size * size,
        pool_frames=1,
        dimension=len(mean),
        mean=mean,
        normalisation=normalisation,
        shrinkage_floor=shrinkage_floor,
        source=source,
        licence=licence,
    )


def _is_text(name: str) -> bool:
    """Test whether a name has no half of a surrogate pair, which stands for a byte that is no UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(kind: object, value: Any) -> str:
    match kind:
        case "str":
            return str(value)
        case "int" | "float":
            return repr(int(value) if kind == "int" else float(value))
        case "tuple[str, ...]" | "dict[str, int | str] | None":
            return json.dumps(value, ensure_ascii=False)
    # the shortest decimals that give the same float32 again
    return "[" + ", ".join(str(number) for number in np.asarray(value, np.float32)) + "]"


def _value(kind: object, text: str) -> Any:
    match kind:
        case "str":
            return text
        case "int" | "float":
            return int(text) if kind == "int" else float(text)
        case "tuple[str, ...]":
            return tuple(str(name) for name in json.loads(text))
        case "dict[str, int | str] | None":
            return dict(json.loads(text))
    return np.array(json.loads(text), np.float32)


def join_names(names: Sequence[str]) -> str:
    return ", ".join(names)
