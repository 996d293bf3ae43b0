"""The learner: one object with a method for each thing that can be done to a store.

Every method is one call of a function in `edgecl.operations` or `edgecl.live`, loaded when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from edgecl.operations.handle import Progress
from edgecl.operations.inbox_handle import InboxHandle

if TYPE_CHECKING:
    from datetime import timedelta

    from numpy.typing import NDArray

    from edgecl.learning.strategies import RefineSettings
    from edgecl.live.events import Event, Summary
    from edgecl.live.inputs.chunks import Piece
    from edgecl.live.novelty import Noticer
    from edgecl.live.options import Listening
    from edgecl.operations.background import RoomReport
    from edgecl.operations.centring import CentringReport
    from edgecl.operations.data import Data
    from edgecl.operations.forgetting import Receipt
    from edgecl.operations.resizing import ResizeReport
    from edgecl.operations.teaching import Report
    from edgecl.store.records import Revision


class Learner(InboxHandle):
    """A store that is open for work.

    Verbs that take `data` take samples as `read_samples` yields them; or signals as numpy arrays at the rate and in the
    units of `contract`: an array (n, samples) or (n, samples, channels), rows (n, columns) of a table, a list of such
    signals, one signal alone, a list of texts; or a mapping from label to signals. With `latents=True` the data is
    latents (n, D). Signals are checked as files are: one that is silent or not finite is skipped, and a DataError says
    why where none is left.

    Attributes
    ----------
    run
        The verbs that take long, each returning a `Run` that can be watched.

    Examples
    --------
    >>> import tempfile
    >>> from edgecl.demo.clips import voice_clips
    >>> folder = tempfile.TemporaryDirectory()
    >>> clips = [one for one in voice_clips("new") if one.label == "coffee"]
    >>> learner = Learner.create(folder.name + "/kitchen", extractor="voice")
    >>> report = learner.learn({"coffee": [one.signal for one in clips]})
    >>> report.verdict.accepted, report.revision, learner.classes
    (True, 2, ('coffee',))
    >>> [answer.label for answer in learner.predict(clips[0].signal)]
    ['coffee']
    >>> folder.cleanup()
    """

    def learn(
        self,
        data: Data,
        labels: Iterable[str] | None = None,
        *,
        latents: bool = False,
        strategy: str = "auto",
        refine: RefineSettings | None = None,
        dry_run: bool = False,
        require_proof: bool = False,
        force: bool = False,
        seed: int = 0,
        same_as: str | None = None,
        distinct: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Teach one lesson: committed only if nothing known suffers.

        Parameters
        ----------
        data, latents
            What is taught, see the class; with a label for each.
        labels
            One for each signal, where the data has none of its own.
        strategy
            How the head is updated; "auto" chooses, and adjusts when a candidate is rejected.
        refine, seed
            Settings and seed of gradient steps.
        dry_run
            Commit nothing.
        require_proof
            Reject what is only unproven, for lack of samples to judge by.
        force
            Commit whatever the verdict.
        same_as
            The known class that new names are which sound like it.
        distinct
            New names that sound like known ones are classes of their own; remembered for each pair.
        progress
            Called with every stage.

        Returns
        -------
        Report
            `report.revision` is None where nothing was committed. `report.set_aside` are samples that do not fit their
            name, `report.asks` new names that may be known classes; both wait in the inbox, see `answer`.

        Raises
        ------
        DataError
            When there is nothing to learn, or a label cannot be used.
        SettingError
            When the strategy is unknown, or needs more memory than was granted.
        StoreLockedError
            When another process is writing.
        """
        run = self.run.learn(
            data,
            labels,
            latents=latents,
            strategy=strategy,
            refine=refine,
            dry_run=dry_run,
            require_proof=require_proof,
            force=force,
            seed=seed,
            same_as=same_as,
            distinct=distinct,
        )
        return run.finish(progress)

    def learn_background(self, data: Data, *, progress: Progress | None = None) -> RoomReport | Report:
        """Learn the sound of a room without taught words, or movement that is none of the taught classes.

        Movement becomes the class "_background_", which makes no events; its lesson is judged as any other.

        Raises
        ------
        SettingError
            When the store takes neither words nor movement.
        DataError
            When no stretch of sound is as long as a clip.
        """
        if self.contract.modality == "imu":
            from edgecl.operations.background import as_rest

            return self.run.learn(as_rest(self.run.samples(data))).finish(progress)
        return self.run.learn_background(data).finish(progress)

    def centre(
        self,
        data: Data,
        *,
        latents: bool = False,
        dry_run: bool = False,
        force: bool = False,
        progress: Progress | None = None,
    ) -> CentringReport:
        """Fit the store to its user or place, with samples that need no labels.

        Raises
        ------
        SettingError
            When the store cannot be centred.
        DataError
            When there is no sample.
        """
        return self.run.centre(data, latents=latents, dry_run=dry_run, force=force).finish(progress)

    def uncentre(self) -> Revision:
        """Take latents as they are from now on; raises SettingError where they are."""
        from edgecl.operations.centring import uncentre

        return uncentre(self._opened)

    def set(self, *, unknown_above: float | Literal["auto"]) -> Revision:
        """Set the novelty above which an answer is "unknown", as a revision.

        Parameters
        ----------
        unknown_above
            0 to 1, 1 for never; "auto" for the threshold that the store finds by itself.

        Raises
        ------
        SettingError
            When it is neither, or set already.
        """
        from edgecl.operations.setting import set_unknown_above

        return set_unknown_above(self._opened, unknown_above)

    def resize(
        self,
        *,
        memory_bytes: int | None = None,
        disk_bytes: int | None = None,
        max_classes: int | None = None,
        dry_run: bool = False,
        force: bool = False,
    ) -> ResizeReport:
        """Give the store other budgets, as a revision that the gate judges.

        Raises
        ------
        SettingError
            When they cannot work, or have room for richer features, which need every class to be taught again.
        """
        from edgecl.operations.resizing import resize

        given = {"memory_bytes": memory_bytes, "disk_bytes": disk_bytes, "max_classes": max_classes}
        return resize(self._opened, **given, dry_run=dry_run, force=force)

    def forget(
        self, labels: str | Collection[str] = (), *, older_than: timedelta | None = None, dry_run: bool = False
    ) -> Receipt | None:
        """Take classes out for good, and every revision that knew them.

        Parameters
        ----------
        labels
            One or more.
        older_than
            In place of labels: the classes that have not been taught for so long.
        dry_run
            Tell what would be removed.

        Returns
        -------
        Receipt or None
            None where no class is that old.

        Raises
        ------
        SettingError
            When nothing is known of a label, or no class would be left by `older_than`.
        EdgeclError
            When writing or removing fails.
        """
        from edgecl.operations.forgetting import forget

        return forget(self._opened, labels, older_than=older_than, dry_run=dry_run)

    def rollback(self, revision: int | None = None) -> Revision:
        """Make an earlier revision live, by default that before; raises SettingError where it is not kept."""
        from edgecl.operations.recovery import rollback

        return rollback(self._opened, revision)

    def repair(self) -> list[str]:
        """Make the store whole from what is sound in it; returns what was done.

        Raises
        ------
        StoreDamagedError
            When no revision is sound: nothing is changed.
        """
        from edgecl.operations.recovery import repair

        return repair(self._opened)

    def listen(
        self,
        chunks: Iterable[Piece | NDArray[Any]],
        *,
        how: Listening | None = None,
        summary: Summary | None = None,
        noticer: Noticer | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> Iterator[Event]:
        """Yield the events of a stream, each as soon as it is known.

        Parameters
        ----------
        chunks
            Arrays (samples,) or (samples, channels) that follow each other, of any length, at the rate and in the units
            of `contract`; of pictures one frame (height, width, 3) uint8 each.
        how
            Thresholds and the like.
        summary, noticer
            Kept up to date; keeps surprises and detections in the inbox.
        beat
            Called after every chunk.

        Raises
        ------
        DataError
            When a chunk does not fit the extractor.
        """
        from edgecl.live.listener import listen

        return listen(self._opened, chunks, how=how, summary=summary, noticer=noticer, beat=beat)
