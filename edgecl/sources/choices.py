"""What a user settles about data that could be read in two ways."""

from __future__ import annotations

from collections.abc import Mapping

from edgecl.values import dataclass, field


@dataclass(frozen=True)
class Choices:
    """Answers to what the readers of data never guess; by default nothing is settled.

    Examples
    --------
    >>> Choices(labels_from=1).labels_from
    1
    """

    label_column: str | None = None
    """Column of labels of a .csv; by default label."""
    time_column: str | None = None
    """Column of times; by default timestamp, time and other names that loggers use."""
    time_unit: str | None = None
    """Unit of the times: "s", "ms", "us" or "ns"; by default the one that fits the rate."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Column of each channel, by the contract's names; by default found by name."""
    scale: Mapping[str, float] = field(default_factory=dict)
    """Factors by the beginning of a channel's name, that lead to the contract's units; 1 takes values as they are."""
    labels_from: int | None = None
    """Index of the first of `label_names`, 0 or 1; by default 0, and refused where `y` looks counted from 1."""
    label_folder: int | None = None
    """Depth of the folder that is the label, 1 for the first below the path; by default 1, unless it is a split."""
    label_case: str | None = None
    """"keep" labels that differ in case, Unicode form or as 1 and 1.0 alone, or "lower" all; by default refused."""
    channel: int | None = None
    """Channel of sound to take, from 0; by default the mean of all."""
