"""The extractor for tables: what goes in comes out, with a contract that names the columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgecl.extractors.contract import Contract
from edgecl_export._contract import write
from edgecl_export._graph import Graph


def export_identity(out: Path, columns: Sequence[str], *, units: Sequence[str] | None = None) -> Contract:
    """Write an extractor that hands rows on as they are.

    Parameters
    ----------
    out
        The file to write.
    columns
        Name of each, in the order of the rows. Columns should be of like size: nothing is scaled here.
    units
        Of each column.

    Returns
    -------
    Contract
        As read back from the file.

    Raises
    ------
    ContractError
        There are no columns, or not as many units.
    SettingError
        `out` cannot be written.
    """
    count = len(columns)
    contract = Contract(
        modality="table",
        sample_rate_hz=0.0,
        channels=tuple(columns),
        units=tuple(units if units is not None else ("unit",) * count),
        window_samples=1,
        hop_samples=1,
        pool_frames=1,
        dimension=count,
        mean=np.zeros(count, np.float32),
        normalisation="none",
        shrinkage_floor=0.1,
        source="identity",
        licence="Apache-2.0",
    )
    graph = Graph()
    graph.add("Identity", "signal", name="frames")
    model = graph.model(
        inputs={"signal": ("batch", 1, count)}, outputs={"frames": ("batch", 1, count)}, name="identity"
    )
    return write(model, contract, Path(out))
