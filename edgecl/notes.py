"""Messages of the library through `logging`, which is loaded by the first message: most lessons have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

AT_FIRST: list[Callable[[], None]] = []
"""Called once before the first message, such as what puts a handler in place."""


class Logger:
    """A logger of `logging` by its name; loaded when it is first used.

    >>> Logger("edgecl.example").name
    'edgecl.example'
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def debug(self, message: str, *arguments: object, **options: Any) -> None:
        """Log what a developer wants to know; arguments and options as in `logging`."""
        self._log("debug", message, arguments, options)

    def info(self, message: str, *arguments: object, **options: Any) -> None:
        """Log what was chosen."""
        self._log("info", message, arguments, options)

    def warning(self, message: str, *arguments: object, **options: Any) -> None:
        """Log what a user should look at."""
        self._log("warning", message, arguments, options)

    def exception(self, message: str, *arguments: object, **options: Any) -> None:
        """Log an error with its traceback."""
        self._log("exception", message, arguments, options)

    def _log(self, level: str, message: str, arguments: tuple[object, ...], options: dict[str, Any]) -> None:
        import logging

        while AT_FIRST:
            AT_FIRST.pop()()
        getattr(logging.getLogger(self.name), level)(message, *arguments, stacklevel=3, **options)
