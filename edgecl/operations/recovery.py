"""What is left of a revision of which some parts are damaged: a class has its own, so a byte costs one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgecl.model.closed_form import whitened_cosine
from edgecl.model.model import Arrays, Model, Objects, factor_of, load_model
from edgecl.model.settings import Settings
from edgecl.store.records import Revision


def salvaged(
    settings: Settings, revision: Revision, parts: Mapping[str, Arrays], *, objects: Objects
) -> tuple[Model, list[str]]:
    """What is left of a revision of which some parts are damaged, and what is lost, in sentences.

    A class needs its statistics; without its exemplars it stays, unseen by the gate. A head that is damaged, or knew
    a class that is lost, is solved again.

    Parameters
    ----------
    parts
        The sound ones, by role.

    Raises
    ------
    StoreDamagedError
        When the parts that are there do not fit together.
    """
    classes = [label for label in revision.body["classes"] if f"statistics/{label}" in parts]
    lost = [
        f"{label!r} is lost: its statistics are damaged" for label in revision.body["classes"] if label not in classes
    ]
    unseen = [label for label in revision.body["exemplars"] if label in classes and f"exemplars/{label}" not in parts]
    lost += [f"the exemplars of {label!r} are lost" for label in unseen]
    body = {
        **revision.body,
        "classes": {label: revision.body["classes"][label] for label in classes},
        "exemplars": {one: n for one, n in revision.body["exemplars"].items() if one in classes and one not in unseen},
        "ewc_classes": [],
    }
    kept = {role: part for role, part in parts.items() if role.partition("/")[0] in ("statistics", "exemplars")}
    digests = {role: revision.objects[role] for role in kept}
    left = load_model(settings, digests, body, kept)
    if not left.statistics:
        return left, lost
    head = whitened_cosine(factor_of(left))
    return replace(left, head=head, digests={**digests, "head": objects.put(head.arrays())}), lost
