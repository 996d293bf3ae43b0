"""What is settled before a stream begins: its prior, what is watched for, and whether the store can follow one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgecl.errors import SettingError
from edgecl.notes import Logger

if TYPE_CHECKING:
    from edgecl.learning.alerts import Watch
    from edgecl.learning.decisions import Prior
    from edgecl.model.model import Model
    from edgecl.operations.open_store import OpenStore
    from edgecl.sources.labels import Spellings

logger = Logger(__name__)


def decided(
    spellings: Spellings, prior: str, watch: str | None, cost: str | None, alerts_per_1000: float | None
) -> tuple[Prior, Watch | None]:
    """Return the prior of a stream and what is watched for in it, with labels as they are stored.

    Raises
    ------
    SettingError, DataError
        When one of them cannot be used, or a label is a known class in another spelling.
    """
    from edgecl.learning.alerts import Watch
    from edgecl.learning.decisions import Costs, Prior

    asked = Prior.parse(prior).spelt(lambda label: spellings.settled(label, "the prior"))
    unknown = sorted(set(asked.stated) - set(spellings.classes)) if spellings.classes else []
    if unknown:
        logger.warning(
            "%r, which the prior has, is not known: there are %s", unknown[0], ", ".join(sorted(spellings.classes))
        )
    costs = Costs.parse(cost) if cost is not None else None
    if watch is None:
        return asked, None
    named = spellings.settled(watch, "the class to watch for")
    if spellings.classes and named not in spellings.classes:
        logger.warning(
            "%r, the class to watch for, is not known: there are %s. No alert is raised before its first label comes",
            named, ", ".join(sorted(spellings.classes)),
        )  # fmt: skip
    return asked, Watch(named, costs, alerts_per_1000)


def require_own(opened: OpenStore, others: Collection[str]) -> None:
    """Raise SettingError where other devices have taught a store too: a stream would commit without their shares."""
    if others:
        raise SettingError(
            f"{opened.store.path} has merged other devices, a stream follows its own: take them out first",
            remedy="merge",
        )


def require_uncentred(opened: OpenStore, model: Model) -> None:
    """Raise SettingError where a model is centred."""
    if model.centre is not None:
        raise SettingError(f"{opened.store.path} is centred, a stream is not: uncentre it first", remedy="centre")


@contextmanager
def naming_the_store(modality: str) -> Iterator[None]:
    """Add to the error of a store with too little memory that it is not of a table, where it is not."""
    try:
        yield
    except SettingError as error:
        if modality == "table" or error.parameter != "memory_bytes":
            raise
        raise SettingError(
            f"{error}; the store takes {modality}; a stream is usually rows of a table",
            parameter=error.parameter,
            remedy="table",
        ) from error
