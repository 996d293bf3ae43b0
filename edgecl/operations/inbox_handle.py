"""What a learner's object has of the inbox: what waits for its user, and how it is taught."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecl.operations.handle import Progress
from edgecl.operations.stream_handle import StreamHandle

if TYPE_CHECKING:
    from edgecl.operations.inbox import Inbox, Item
    from edgecl.operations.teaching import Report


class InboxHandle(StreamHandle):
    """The verbs of what a listener kept and a lesson left out."""

    def inbox(self, *, capacity_bytes: int | None = None) -> Inbox:
        """Open the recordings that a listener kept, to be labelled and taught."""
        from edgecl.operations.inbox import DEFAULT_BYTES, open_inbox

        return open_inbox(self._opened, capacity_bytes=DEFAULT_BYTES if capacity_bytes is None else capacity_bytes)

    def answer(
        self,
        label: str,
        *,
        same_as: str | None = None,
        distinct: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Answer what a lesson asked about a new name: teach what waits as a known class, or as a class of its own.

        Parameters
        ----------
        label
            The new name, `ask.label` of `report.asks`.
        same_as
            The known class that it is.
        distinct
            It is a class of its own; remembered for the pair.
        dry_run
            Judge, commit nothing.
        progress
            Called with every stage.

        Raises
        ------
        SettingError
            When nothing waits under that name, neither or both answers are given, or `same_as` is not a known class.
        """
        from edgecl.operations.questions import answer

        run = answer(self._opened, label, same_as=same_as, distinct=distinct, dry_run=dry_run)
        return run.finish(progress)

    def accept_suggestions(self, *, dry_run: bool = False, progress: Progress | None = None) -> Report:
        """Teach the detections that a listener suggested, through the gate and with a quarter of the weight.

        Raises
        ------
        DataError
            When no suggestion waits.
        """
        from edgecl.operations.suggestions import accept_suggestions

        return accept_suggestions(self._opened, self.inbox(), dry_run=dry_run).finish(progress)

    def learn_items(
        self,
        items: Sequence[Item],
        *,
        label: str,
        force: bool = False,
        label_case: str | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Teach recordings of the inbox under a name, through the gate; those that are taught leave it.

        A recording that a lesson left out is not doubted again.

        Raises
        ------
        SettingError
            When the name cannot be used.
        DataError
            When it is a known class in another spelling, and `label_case` does not settle that, see `learn`.
        """
        from edgecl.operations.questions import taught_items

        run = taught_items(self._opened, self.inbox(), items, label=label, force=force, label_case=label_case)
        return run.finish(progress)
