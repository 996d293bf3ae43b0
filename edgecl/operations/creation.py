"""Create: a new store around a copy of an extractor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgecl.errors import SettingError
from edgecl.extractors.contract import Contract
from edgecl.extractors.opening import OBJECT, extractor_bytes, extractor_file, open_extractor
from edgecl.hashes import sha256
from edgecl.model.model import Model
from edgecl.model.settings import Settings, choose_tier, default_budgets
from edgecl.operations.open_store import OpenStore
from edgecl.store.body_kinds import InitBody
from edgecl.store.records import FORMAT, MAX_BYTES, PAGED_FORMAT
from edgecl.store.store import Store
from edgecl.units import whole_number
from edgecl.values import replace

RECORD_BYTES = 800
"""Of a class in a revision's file: digests, dates and a name of 64 letters where each is stated."""
MOST_CLASSES = MAX_BYTES // RECORD_BYTES
MOST_STREAM_BYTES = 16 << 20  # that a store for tables has by default, however wide they are
MOST_UNITS = 1 << 24  # of a lift: more than any memory holds, and far from where sizes overflow


def create(
    path: str | Path,
    *,
    extractor: str | Path,
    memory_bytes: int | None = None,
    disk_bytes: int | None = None,
    max_classes: int | None = None,
    lift_width: int = 0,
    seed: int = 0,
    require_signature: str | Path | None = None,
) -> OpenStore:
    """Make a store around a copy of the extractor.

    Parameters
    ----------
    path
        The folder to make.
    extractor
        "voice" or "imu" for the one that ships, or the file of one with a contract.
    memory_bytes, disk_bytes, max_classes
        Budgets; by default what suits the extractor's modality.
    lift_width
        Random features in front of the latents.
    seed
        Of projection and lift.
    require_signature
        PEM file of the Ed25519 public key that has to have signed the extractor, in the file `extractor`.sig; before
        any runtime sees it.

    Raises
    ------
    SettingError
        When the path is taken, or the budget cannot work: names the smallest that can.
    ContractError
        When the extractor has no contract, or a wrong one.
    ModelError
        When it is not signed by that key.
    """
    source = extractor_file(extractor)
    if require_signature is not None:
        with _verified_copy(source, Path(require_signature)) as copy:
            return create(
                path,
                extractor=copy,
                memory_bytes=memory_bytes,
                disk_bytes=disk_bytes,
                max_classes=max_classes,
                lift_width=lift_width,
                seed=seed,
            )
    contract = open_extractor(source).contract
    if source.suffix == OBJECT:
        raise SettingError(f"{source} is a part of a store: give the file of an extractor")
    settings = chosen_settings(
        source,
        contract,
        memory_bytes=memory_bytes,
        disk_bytes=disk_bytes,
        max_classes=max_classes,
        lift_width=lift_width,
        seed=seed,
    )
    stored = {
        "learner": settings.as_dict(),
        "disk_bytes": settings.disk_bytes,
        "keep_revisions": settings.keep_revisions,
        "contract": described(contract),
    }
    store = Store.create(
        Path(path),
        extractor=source,
        settings=stored,
        revision_body=InitBody(**Model(settings).body()).as_dict(),
        version=PAGED_FORMAT if settings.paged else FORMAT,
    )
    return OpenStore(store)


def described(contract: Contract) -> dict[str, Any]:
    """Return what a store states of an extractor's contract."""
    return {
        "modality": contract.modality,
        "sample_rate_hz": contract.sample_rate_hz,
        "channels": list(contract.channels),
        "dimension": contract.dimension,
        "source": contract.source,
        "licence": contract.licence,
    }


def chosen_settings(
    source: Path,
    contract: Contract,
    *,
    memory_bytes: int | None = None,
    disk_bytes: int | None = None,
    max_classes: int | None = None,
    lift_width: int = 0,
    seed: int = 0,
) -> Settings:
    """Return the settings of a store that is made around an extractor; raises SettingError where none can work."""
    given = {"memory_bytes": memory_bytes, "disk_bytes": disk_bytes, "max_classes": max_classes}
    chosen = {name: whole_number(value, name, least=1) for name, value in given.items() if value is not None}
    settings = Settings(
        **{**vars(default_budgets(contract.modality)), **chosen},
        latent_dimension=contract.dimension,
        shrinkage_floor=contract.shrinkage_floor,
        lift_width=whole_number(lift_width, "lift_width"),
        seed=whole_number(seed, "seed"),
    )
    require_storable(settings)
    if contract.modality == "table" and memory_bytes is None:
        settings = replace(settings, memory_bytes=_for_a_stream(settings))
    return choose_tier(settings, overhead_disk_bytes=source.stat().st_size + (64 << 10))


def _for_a_stream(settings: Settings) -> int:
    """Return the memory of a store for tables: as of any, or in whole MiB what a stream with all experts takes."""
    from edgecl.learning.stream_memory import whole_stream_bytes

    wanted = min(whole_stream_bytes(settings) * 9 // 8, MOST_STREAM_BYTES)  # an eighth for what lessons take
    return max(settings.memory_bytes, -(-wanted >> 20) << 20)


def require_storable(settings: Settings) -> None:
    """Raise SettingError for what no lesson could commit, however much memory and disk there is."""
    if settings.max_classes > MOST_CLASSES:
        raise SettingError(
            f"{settings.max_classes:,} classes: a revision's file has room for {MOST_CLASSES:,}",
            parameter="max_classes",
        )
    if settings.lift_width > MOST_UNITS:
        digits = len(str(settings.lift_width))
        raise SettingError(f"a number of {digits} digits: at most {MOST_UNITS:,} random units", parameter="lift_width")


@contextmanager
def _verified_copy(source: Path, key: Path) -> Iterator[Path]:
    """Copy an extractor to where nobody else writes, and yield that path once the signature of the copy is verified."""
    from edgecl.signatures import require_signed_file

    content = extractor_bytes(source)
    require_signed_file(source, sha256(content).hexdigest(), key=key)
    with TemporaryDirectory(prefix="edgecl-") as folder:
        copy = Path(folder, source.name)
        copy.write_bytes(content)
        yield copy
