"""Ctrl-C: falls only where `Commands` waits for it, and never into the loading of a library.

A compiled library that is interrupted while it is loaded makes an error of its own of that, or forgets it. So an
interrupt is held, by a timer, until nothing is being loaded; a second one does not wait for that.

Until `hold` was called Python itself ends with a traceback, so this is the first module that a start loads, and it
loads none that Python does not have at hand.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Any
else:
    import _signal as signal  # built in; `signal` adds names for people, and loads `enum` and `re`

RETRY_S = 0.002
_LOADER = "<frozen importlib._bootstrap>"


def hold() -> None:
    """From here on hold interrupts until `expected` is running; where they are ignored they stay so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGALRM, _fall)
        signal.signal(signal.SIGINT, _fall)


class asking:  # noqa: N801 (a context manager, used as a function)
    """Let Ctrl-C, SIGTERM and a terminal that is closed ask to stop meanwhile, instead of stopping."""

    def __init__(self, ask: Callable[[int, FrameType | None], None]) -> None:
        self._ask = ask
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        asked = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which nohup has set
            asked.append(signal.SIGHUP)
        self._before = {one: signal.signal(one, self._ask) for one in asked}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)


def ignore() -> None:
    """Ignore interrupts: all is done and printed, and one would only change the exit code."""
    for one in (signal.SIGINT, signal.SIGALRM):
        signal.signal(one, signal.SIG_IGN)


def expected() -> None:
    """Raise the interrupt that was held while the program started."""
    if _is_held():
        _release()


def _fall(number: int, frame: FrameType | None) -> None:
    is_expected, is_loading = _where(frame)
    is_second = number == signal.SIGINT and _is_held()
    if is_expected and (is_second or not is_loading):
        _release()
    signal.setitimer(signal.ITIMER_REAL, RETRY_S, RETRY_S)


def _release() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    raise KeyboardInterrupt


def _is_held() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[1] > 0


def _where(frame: FrameType | None) -> tuple[bool, bool]:
    """Whether a command that expects interrupts is running, and whether it is loading a module."""
    is_loading = False
    while frame is not None:
        if frame.f_code.co_name == "run_interruptibly":
            return True, is_loading
        is_loading = is_loading or frame.f_code.co_filename == _LOADER
        frame = frame.f_back
    return False, is_loading
