"""What a learner's object has of a store's upkeep: settings, budgets, what goes, what comes back, other devices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from edgecl.operations.handle import Progress
from edgecl.operations.inbox_handle import InboxHandle

if TYPE_CHECKING:
    from datetime import date, timedelta

    from edgecl.operations.background import RoomReport
    from edgecl.operations.centring import CentringReport
    from edgecl.operations.data import Data
    from edgecl.operations.forgetting import Receipt
    from edgecl.operations.keeping import KeepReport
    from edgecl.operations.merging import MergeReport
    from edgecl.operations.resizing import ResizeReport
    from edgecl.operations.sharing import PlanReport, ShareReport
    from edgecl.operations.teaching import Report
    from edgecl.store.backup import Backup
    from edgecl.store.records import Revision


class SharingHandle(InboxHandle):
    """The verbs that exchange statistics with other devices."""

    def share(self, output: str | Path, **how: Any) -> ShareReport:
        """Write what the store has itself learnt to a file: counts, means and scatters by class, no samples.

        Parameters
        ----------
        output
            The file.
        **how
            `only` (labels), `at_least` (samples of a class), `half`, `compact`, `name`, `epsilon`, `delta`, `plan`.

        Raises
        ------
        SettingError
            When a label is not known, or nothing is left to share.
        """
        from edgecl.operations.sharing import share

        return share(self._opened, output, **how)

    def plan(self, output: str | Path, files: str | Path | Sequence[str | Path] = (), **how: Any) -> PlanReport:
        """Write the counts of the store, and those of the files of others: the plan of an irreversible sum.

        Parameters
        ----------
        files
            What this has written on other devices.
        **how
            `only`, `at_least` and `name`, as for `share`.

        Raises
        ------
        SettingError
            When a device is there twice with other counts, or has other features.
        DataError
            When a file is not an intact plan.
        """
        from edgecl.operations.sharing import plan

        return plan(self._opened, output, files, **how)

    def merge(self, files: str | Path | Sequence[str | Path] = (), **how: Any) -> MergeReport:
        """Take in what other devices have shared, as a revision that the gate judges.

        Parameters
        ----------
        files
            What `share` has written on other devices.
        **how
            `without` (devices), `dry_run`, `require_proof`, `force`, `same_as`, `distinct`, `screen`, `cap`, `combine`,
            `irreversible`.

        Raises
        ------
        SettingError
            When a share has other features, is the store's own, or would count a device twice.
        DataError
            When a file is not an intact share, or its numbers are not those of samples.
        """
        from edgecl.operations.merging import merge

        return merge(self._opened, files, **how)


class UpkeepHandle(SharingHandle):
    """The verbs that change a store without teaching it a class."""

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

    def keep(self, labels: str | Collection[str], priority: str | date) -> KeepReport:
        """Say of classes how long they are kept, as a revision.

        Parameters
        ----------
        labels
            One or more.
        priority
            "always", "while-used", or the last day on which they matter.

        Raises
        ------
        SettingError
            When a label is not known, the priority is none, or the day is over by a clock that can be trusted.
        """
        from edgecl.operations.keeping import keep

        return keep(self._opened, labels, priority)

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
            One or more, in any Unicode form.
        older_than
            In place of labels: the classes that have not been taught for so long.
        dry_run
            Tell what would be removed, remove nothing.

        Returns
        -------
        Receipt or None
            None where no class is that old. Only times that were read from a clock which could be trusted count:
            `undated` names the others.

        Raises
        ------
        SettingError
            When nothing is known of a label; when no class would be left by `older_than`, since a clock that is wrong
            must not cost everything; when another device has shared a class irreversibly.
        EdgeclError
            When writing or removing fails.
        """
        from edgecl.operations.forgetting import forget

        return forget(self._opened, labels, older_than=older_than, dry_run=dry_run)

    def rollback(self, revision: int | None = None) -> Revision:
        """Make an earlier revision live, by default that before; raises SettingError where it is not kept."""
        from edgecl.operations.recovery import rollback

        return rollback(self._opened, revision)

    def backup(self, file: str | Path, *, sign: str | Path | None = None, overwrite: bool = False) -> Backup:
        """Write the store to one file: every kept revision and the journal, not the recordings of its inbox.

        Parameters
        ----------
        file
            The file to write, with mode 0600: it has what the store has.
        sign
            PEM file of an Ed25519 private key (extra `[sign]`).
        overwrite
            Replace a file that is there.

        Raises
        ------
        SettingError
            When the file is there already, or the key cannot be used.
        StoreDamagedError
            When the store is damaged.
        StoreLockedError
            When another process is writing.
        EdgeclError
            When the file cannot be written.
        """
        from edgecl.operations.backup import backup

        return backup(self._opened, file, sign=sign, overwrite=overwrite)

    @classmethod
    def restore(
        cls,
        file: str | Path,
        path: str | Path,
        *,
        require_signature: str | Path | None = None,
        overwrite: bool = False,
    ) -> Self:
        """Make the store of a backup, whole or not at all, and open it.

        Parameters
        ----------
        file
            What `backup` wrote.
        path
            The folder to make.
        require_signature
            PEM file of the Ed25519 public key that has to have signed it.
        overwrite
            Replace the store that is there: what it has learnt since is lost.

        Raises
        ------
        SettingError
            When the path is taken, or the key cannot be used.
        StoreDamagedError
            When the file is no backup, damaged, or not of an intact store.
        ModelError
            When it is not signed by that key.
        EdgeclError
            When it cannot be read, or the store cannot be written.
        """
        from edgecl.operations.backup import restore

        restore(file, path, require_signature=require_signature, overwrite=overwrite)
        return cls.open(path)

    def repair(self) -> list[str]:
        """Make the store whole from what is intact in it; returns what was done.

        Raises
        ------
        StoreDamagedError
            When no revision is intact: nothing is changed.
        """
        from edgecl.operations.recovery import repair

        return repair(self._opened)
