"""A model from what a revision states and the objects that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecl.errors import StoreDamagedError
from edgecl.model.exemplars import Exemplars, bounded_memory, memory_bytes
from edgecl.model.head import HeadState
from edgecl.model.model import CENTRE, EXPERTS, Alike, Arrays, Centre, Model, pair_of
from edgecl.model.settings import Settings
from edgecl.model.statistics import ClassStatistics
from edgecl.values import replace


def load_model(
    settings: Settings, digests: Mapping[str, str], body: Mapping[str, Any], parts: Mapping[str, Arrays]
) -> Model:
    """Rebuild a revision from its parts by role; the scatters stay what they are, pages of their files.

    Raises
    ------
    StoreDamagedError
        When a part is missing, or does not fit the others.
    """
    _require_body(body)
    try:
        model = load_head(settings, digests, body, parts)
        statistics = {
            label: ClassStatistics.from_arrays(parts[f"statistics/{label}"]) for label in sorted(body["classes"])
        }
        exemplars = {
            label: Exemplars.from_arrays(parts[f"exemplars/{label}"]).first(kept)
            for label, kept in sorted(body["exemplars"].items())
        }
        capacity_bytes = memory_bytes(model.plan(len(statistics)).exemplars)
        exemplars = bounded_memory(exemplars, capacity_bytes=capacity_bytes)
        ewc = None
        if "ewc" in parts:
            from edgecl.model.ewc import EwcState  # few stores have one

            ewc = EwcState.from_arrays(parts["ewc"], labels=body["ewc_classes"])
        if body.get("others"):
            from edgecl.model.shares import read_others  # few stores have any

            model = read_others(model, body["others"], parts)
    except KeyError as error:
        raise StoreDamagedError(f"the revision lacks {error}") from error
    except ValueError as error:
        raise StoreDamagedError(str(error)) from error
    for label, one in statistics.items():
        if one.dimension != settings.features.dimension or one.count != body["classes"][label]:
            raise StoreDamagedError(
                f"the statistics of {label!r} are of {one.count} samples in {one.dimension} columns, "
                f"the revision says {body['classes'][label]} in {settings.features.dimension}"
            )
    return replace(
        model,
        statistics=statistics,
        exemplars=exemplars,
        ewc=ewc,
        taught=body.get("taught", {}),
        timed=frozenset(body.get("timed", ())),
        priorities=body.get("priorities", {}),
        use=body.get("use", {}),
        alike={label: Alike(**one) for label, one in body.get("alike", {}).items()},
        distinct=frozenset(pair_of(*pair) for pair in body.get("distinct", [])),
    )


def load_head(
    settings: Settings, digests: Mapping[str, str], body: Mapping[str, Any], parts: Mapping[str, Arrays]
) -> Model:
    """Rebuild the head alone, which is all that a prediction needs; raises as `load_model` does."""
    _require_body(body)
    digests = {role: digest for role, digest in digests.items() if role != EXPERTS}
    try:
        centre = Centre.from_arrays(parts[CENTRE], dimension=settings.latent_dimension) if CENTRE in parts else None
        if "head" not in parts:
            return replace(_bare(settings, body), digests=digests, centre=centre)
        head = HeadState.from_arrays(parts["head"], labels=sorted(body["classes"]), kind=body["head"])
    except ValueError as error:
        raise StoreDamagedError(str(error)) from error
    if head.weights.shape[1] != settings.features.dimension:
        raise StoreDamagedError(
            f"the head has {head.weights.shape[1]} columns, the store's features {settings.features.dimension}"
        )
    return replace(_bare(settings, body), head=head, digests=digests, centre=centre)


def _bare(settings: Settings, body: Mapping[str, Any]) -> Model:
    """Return a model without parts, with what its revision states beside them."""
    mine = frozenset(body.get("mine", ()))
    return Model(
        settings,
        unknown_above=body.get("unknown_above"),
        mine=mine,
        is_resized="settings" in body,
        extractor=body.get("extractor") or {},
        gravity=body.get("gravity"),
    )


def _require_body(body: Mapping[str, Any]) -> None:
    """Check the body of a revision: a valid seal does not prove that edgecl wrote it."""
    match body:
        case {"classes": dict(classes), "exemplars": dict(exemplars), "head": str() | None, "ewc_classes": list(names)}:
            counts = [*classes.values(), *exemplars.values()]
            taught = body.get("taught", {})
            if (
                all(isinstance(one, int) and one >= 0 for one in counts)
                and set(exemplars) <= set(classes)
                and all(isinstance(one, str) for one in names)
                and isinstance(taught, dict)
                and all(isinstance(one, str) for one in taught.values())
                and _has_answers(body)
                and _has_priorities(body)
                and isinstance(body.get("unknown_above", 1.0), int | float)
            ):
                return
    raise StoreDamagedError("the body of the revision is not that of a model")


def _has_answers(body: Mapping[str, Any]) -> bool:
    """Test whether what a revision says of classes that are alike or distinct has the form that is read."""
    for one in body.get("alike", {}).values():
        match one:
            case {"like": str(), "odds": int() | float(), "asked": bool()} if len(one) == 3:
                continue
        return False
    pairs = body.get("distinct", [])
    return isinstance(pairs, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair) for pair in pairs
    )


def _has_priorities(body: Mapping[str, Any]) -> bool:
    """Test whether what a revision says of priorities and use has the form that is read."""
    said, use = body.get("priorities", {}), body.get("use", {})
    return (
        isinstance(said, dict)
        and isinstance(use, dict)
        and all(isinstance(one, str) for one in said.values())
        and all(isinstance(one, int | float) and 0 <= one < 1e12 for one in use.values())
    )
