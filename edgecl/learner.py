"""The learner: one object with a method for each thing that can be done to a store.

Every method is one call of a function in `edgecl.operations` or `edgecl.live`, loaded when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from edgecl.operations.handle import Progress
from edgecl.operations.upkeep_handle import UpkeepHandle

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgecl.learning.strategies import RefineSettings
    from edgecl.live.evaluating import Played
    from edgecl.live.events import Event, Summary
    from edgecl.live.inputs.chunks import Piece
    from edgecl.live.novelty import Noticer
    from edgecl.live.options import Listening
    from edgecl.live.spotted import StreamEvaluation
    from edgecl.operations.data import Data
    from edgecl.operations.teaching import Report
    from edgecl.operations.upgrading import UpgradeReport
    from edgecl.sources.spans import Span


class Learner(UpkeepHandle):
    """A store that is open for work.

    Verbs that take `data` take samples as `read_samples` yields them; or signals as numpy arrays at the rate and in the
    units of `contract`: an array (n, samples) or (n, samples, channels), rows (n, columns) of a table, a DataFrame,
    a list of such signals, one signal alone, a list of texts; or a mapping from label to signals. With `latents=True`
    the data is latents (n, D). Signals are checked as files are: one that is silent or not finite is skipped,
    and a DataError says why where none is left.

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
        again: bool = False,
        detect_for: str | None = None,
        label_case: str | None = None,
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
        again
            Teach also samples that were taught before; by default they are skipped.
        detect_for
            "me" where a stream is to detect these words of the people who teach them, "anyone" of others too; None
            leaves that as it is, which is "anyone" to begin with.
        label_case
            "keep" or "lower" labels that are a known class, or each other, in another spelling; by default refused.
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
            When there is nothing to learn, or a label cannot be used or is a known class in another spelling.
        SettingError
            When the strategy is unknown, or needs more memory than was granted.
        EdgeclError
            When another process is writing (StoreLockedError), or the store cannot be written or changed meanwhile.
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
            again=again,
            detect_for=detect_for,
            label_case=label_case,
        )
        return run.finish(progress)

    def upgrade(
        self,
        extractor: str | Path,
        data: Path | Data,
        labels: Iterable[str] | None = None,
        *,
        drop_missing: bool = False,
        dry_run: bool = False,
        force: bool = False,
        progress: Progress | None = None,
    ) -> UpgradeReport:
        """Put another extractor under the store, and teach its classes again from recordings.

        The gate compares old and new on the same recordings, each left out; a rollback brings the old extractor back.

        Parameters
        ----------
        extractor
            "voice", "imu" or the file of one, of the modality that the store has.
        data, labels
            The recordings: a Path that is read as each of the two extractors wants it, or what `learn` takes.
        drop_missing
            Go on without the classes that have no recordings; by default that is refused.
        dry_run, force
            As of `learn`.

        Raises
        ------
        SettingError
            When it is the same extractor or of another modality, or a class has no recordings.
        DataError
            When there is nothing to learn from.
        """
        run = self.run.upgrade(extractor, data, labels, drop_missing=drop_missing, dry_run=dry_run, force=force)
        return run.finish(progress)

    def noticer(
        self,
        *,
        capacity_bytes: int | None = None,
        novelty: float | None = None,
        suggestions_per_day: int | None = None,
    ) -> Noticer:
        """Return what keeps surprises and the latest detections of `listen` in the inbox.

        Parameters
        ----------
        capacity_bytes
            Of the inbox; by default 2 MiB.
        novelty
            0 to 1, from which a sample is a surprise; by default what suits the modality.
        suggestions_per_day
            Also keep so many detections a day that are sure and new in kind: see `accept_suggestions`.
        """
        from edgecl.live.novelty import Noticer
        from edgecl.live.suggesting import Suggester

        inbox = self.inbox(capacity_bytes=capacity_bytes)
        wanted = suggestions_per_day is not None
        suggester = Suggester(self._opened, inbox, per_day=suggestions_per_day or 0) if wanted else None
        return Noticer(inbox, self.extractor, novelty=novelty, suggester=suggester)

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
            Arrays (samples,) or (samples, channels) that follow each other, at the rate and in the units of `contract`;
            of any length, and answered soonest a hop at a time. Of pictures one frame (height, width, 3) uint8 each.
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
        EdgeclError
            When the store cannot be read to begin with.
        """
        from edgecl.live.listener import listen

        return listen(self._opened, chunks, how=how, summary=summary, noticer=noticer, beat=beat)

    def evaluate_stream(
        self,
        file: str | Path,
        *,
        words: str | Path | Sequence[Span] = (),
        clips: Data | None = None,
        progress: Callable[[Played], object] | None = None,
        **how: Any,
    ) -> StreamEvaluation:
        """Measure misses against false accepts an hour in a sound file, scored as `listen` scores.

        Parameters
        ----------
        file
            A recording of any length; it is never held whole.
        words
            When which word is spoken in it: a label file (see `edgecl.sources.spans`), or what it has.
        clips
            In place of `words`: labelled clips that are mixed into the stream, which must not hold any itself.
        progress
            Called with what has been played, about once a second of the stream.
        how
            `levels_db` of the clips above the stream, (20, 10); `false_per_hour` that are wished at most, 1; `preset`
            in place of both; `seed` of the places; `label_case` as of `learn`.

        Raises
        ------
        DataError
            When the stream or the label file cannot be used, or no word is taught.
        ModelError
            When nothing has been learnt.
        """
        from pathlib import Path

        from edgecl.live.evaluating import evaluate_stream
        from edgecl.sources.spans import read_spans

        spans = read_spans(Path(words)) if isinstance(words, str | Path) else words
        samples = () if clips is None else self.run.samples(clips)
        return evaluate_stream(self._opened, Path(file), words=spans, clips=samples, **how).finish(progress)
