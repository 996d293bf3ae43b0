"""Every error that edgecl raises on purpose.

::

    EdgeclError                 exit code 1
    ├── SettingError            2  an option or argument that cannot work, or a budget that is too small
    ├── DataError               4  input that cannot be read or learnt from
    └── ModelError              5  no model, or a damaged one
        ├── StoreMissingError      there is no store at that path
        ├── StoreDamagedError      a file of the store does not match its digest
        ├── StoreLockedError       exit code 1: another process is writing
        └── ContractError          an extractor without a contract, or with a wrong one

A rejected lesson is a `Verdict`, not an error; the command line turns it into exit code 3.
Messages say what was given, what was wanted and what to do.
"""

from __future__ import annotations

LONGEST = 4096  # characters of a message


def shortened(text: str) -> str:
    """Return a message without the middle of what is too long to be read, such as a cell of a megabyte.

    >>> len(shortened("x" * 1_000_000))
    4096
    """
    half = LONGEST // 2 - 3
    return text if len(text) <= LONGEST else f"{text[:half]} .... {text[-half:]}"


class EdgeclError(Exception):
    """Base of all errors raised by edgecl; `exit_code` is what the command line returns.

    Parameters
    ----------
    message
        What was given, what was wanted and what to do, without the words of a command line.
    parameter
        Name of the parameter that is wrong, or that would help: the command line adds the name of its option.
    remedy
        Name of the operation that would help, such as "learn": the command line adds its command.

    Examples
    --------
    >>> error = EdgeclError("more memory is needed", parameter="memory_bytes")
    >>> error.exit_code, error.parameter
    (1, 'memory_bytes')
    """

    exit_code = 1

    def __init__(self, message: str = "", *, parameter: str = "", remedy: str = "") -> None:
        super().__init__(shortened(message))
        self.parameter = parameter
        self.remedy = remedy


class SettingError(EdgeclError):
    """An option or argument that cannot work.

    Examples
    --------
    >>> SettingError("a budget of 2000 bytes is too small", parameter="memory_bytes").exit_code
    2
    """

    exit_code = 2


class DataError(EdgeclError):
    """Input that cannot be read, or that contains nothing to learn from.

    Examples
    --------
    >>> DataError("nothing to learn").exit_code
    4
    """

    exit_code = 4


class ModelError(EdgeclError):
    """There is no usable model.

    Examples
    --------
    >>> ModelError("nothing has been learnt", remedy="learn").exit_code
    5
    """

    exit_code = 5


class StoreMissingError(ModelError):
    """There is no store at the given path.

    Examples
    --------
    >>> issubclass(StoreMissingError, ModelError)
    True
    """


class StoreDamagedError(ModelError):
    """A file of the store is missing, or does not match its digest.

    Examples
    --------
    >>> StoreDamagedError("store.json is damaged").exit_code
    5
    """


class StoreLockedError(ModelError):
    """Another process holds the writer lock.

    Examples
    --------
    >>> StoreLockedError("another process is writing").exit_code
    1
    """

    exit_code = 1


class ContractError(ModelError):
    """An extractor file has no contract, or one that does not fit.

    Examples
    --------
    >>> issubclass(ContractError, ModelError)
    True
    """
