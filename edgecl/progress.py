"""Long calls that are watched."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator
from functools import wraps
from typing import Generic, ParamSpec, TypeVar

Stage = TypeVar("Stage")
Report = TypeVar("Report")
Arguments = ParamSpec("Arguments")


class Run(Iterator[Stage], Generic[Stage, Report]):
    """A long call that works while it is iterated, and has a report at its end.

    Nothing is done before the first stage is requested. A run that is dropped before its end gives a ResourceWarning,
    as an open file does; `close` gives it up silently.

    Parameters
    ----------
    steps
        Generator of stages that returns the report.

    Examples
    --------
    >>> def count(most):
    ...     yield from range(most)
    ...     return f"{most} done"
    >>> run = Run(count(2))
    >>> list(run), run.report
    ([0, 1], '2 done')
    >>> Run(count(3)).finish(progress=print)
    0
    1
    2
    '3 done'
    """

    def __init__(self, steps: Generator[Stage, None, Report]) -> None:
        self._steps = steps
        self._reports: list[Report] = []
        self._is_over = False

    def __iter__(self) -> Run[Stage, Report]:
        """Return the run itself: a second loop goes on where the first one stopped."""
        return self

    def __next__(self) -> Stage:
        """Work until the next stage; `yield from run` gives the report."""
        try:
            return next(self._steps)
        except StopIteration as end:
            if not self._is_over:
                self._reports.append(end.value)
            self._is_over = True
            raise StopIteration(end.value) from None
        except BaseException:
            self._is_over = True
            raise

    @property
    def report(self) -> Report:
        """The result.

        Raises
        ------
        RuntimeError
            When the run has not come to its end.
        """
        if not self._reports:
            why = "ended without a report" if self._is_over else "has not ended: iterate it, or call finish()"
            raise RuntimeError(f"the run {why}")
        return self._reports[0]

    def finish(self, progress: Callable[[Stage], object] | None = None) -> Report:
        """Run to the end and return the report.

        Parameters
        ----------
        progress
            Called with every stage.
        """
        for stage in self:
            if progress is not None:
                progress(stage)
        return self.report

    def close(self) -> None:
        """Give the run up where it is; what it has open is closed."""
        self._is_over = True
        self._steps.close()

    def __del__(self) -> None:
        """Warn of a run that has not come to its end: what it should have done is not done."""
        if not getattr(self, "_is_over", True):
            warnings.warn(f"a run was dropped before its end: {self!r}", ResourceWarning, source=self, stacklevel=2)


def watched(
    steps: Callable[Arguments, Generator[Stage, None, Report]],
) -> Callable[Arguments, Run[Stage, Report]]:
    """Turn a generator function into one that returns a `Run`."""

    @wraps(steps)
    def started(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Run[Stage, Report]:
        return Run(steps(*args, **kwargs))

    return started
