"""Create: a new store around a copy of an extractor."""

from __future__ import annotations

from pathlib import Path

from edgecl.extractors.contract import Contract
from edgecl.extractors.opening import extractor_file, open_extractor
from edgecl.model.model import Model
from edgecl.model.settings import Settings, choose_tier, default_budgets
from edgecl.operations.open_store import OpenStore
from edgecl.store.records import InitBody
from edgecl.store.store import Store


def create(
    path: str | Path,
    *,
    extractor: str | Path,
    memory_bytes: int | None = None,
    disk_bytes: int | None = None,
    max_classes: int | None = None,
    lift_width: int = 0,
    seed: int = 0,
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

    Raises
    ------
    SettingError
        When the path is taken, or the budget cannot work: names the smallest that can.
    ContractError
        When the extractor has no contract, or a wrong one.
    """
    source = extractor_file(extractor)
    contract = open_extractor(source).contract
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
        "contract": {
            "modality": contract.modality,
            "sample_rate_hz": contract.sample_rate_hz,
            "channels": list(contract.channels),
            "dimension": contract.dimension,
            "source": contract.source,
            "licence": contract.licence,
        },
    }
    store = Store.create(
        Path(path), extractor=source, settings=stored, revision_body=InitBody(**Model(settings).body()).as_dict()
    )
    return OpenStore(store)


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
    budgets = default_budgets(contract.modality)
    settings = Settings(
        memory_bytes=memory_bytes or budgets.memory_bytes,
        disk_bytes=disk_bytes or budgets.disk_bytes,
        max_classes=max_classes or budgets.max_classes,
        latent_dimension=contract.dimension,
        shrinkage_floor=contract.shrinkage_floor,
        lift_width=lift_width,
        seed=seed,
    )
    return choose_tier(settings, overhead_disk_bytes=source.stat().st_size + (64 << 10))
