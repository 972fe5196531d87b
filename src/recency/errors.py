"""Every error and warning that Recency raises.

A message says what was expected, what was found, where, and what to do. All faults of one call are
reported together (`raise_all`), so that nobody repairs a file one complaint at a time.

    RecencyError
    ├── DataError                 the log is not usable            (also ValueError)
    │   └── UnitError             times in another unit than said
    ├── ConfigError               unknown or impossible setting    (also ValueError)
    ├── NotFittedError            used before fit or load
    ├── UnknownIdError            user or item never seen          (also KeyError)
    ├── TrainingDivergedError     the loss is not finite
    ├── FormatError               a saved file that this version cannot read
    └── StoreError                an event could not be made durable

    RecencyWarning (UserWarning)
    ├── LeakWarning               the protocol lets the future in
    └── DataWarning               rows were changed, dropped or look wrong
"""

from collections.abc import Sequence


class RecencyError(Exception):
    """Say that Recency could not do what was asked."""


class DataError(RecencyError, ValueError):
    """Say that a log cannot be used as it is."""


class UnitError(DataError):
    """Say that times are in another unit than stated."""


class ConfigError(RecencyError, ValueError):
    """Say that a setting is unknown or impossible."""


class NotFittedError(RecencyError):
    """Say that a model was used before `fit` or `load`."""


class UnknownIdError(RecencyError, KeyError):
    """Say that a user or an item was never seen."""

    def __str__(self) -> str:
        # KeyError would show the repr of the message.
        return str(self.args[0]) if self.args else ""


class TrainingDivergedError(RecencyError):
    """Say at which step the loss stopped being finite."""


class FormatError(RecencyError):
    """Say that a saved file is damaged or of another version."""


class StoreError(RecencyError):
    """Say that an event could not be made durable."""


class RecencyWarning(UserWarning):
    """Tell of something that will mislead."""


class LeakWarning(RecencyWarning):
    """Tell that a protocol lets the future into the past."""


class DataWarning(RecencyWarning):
    """Tell that rows were changed, dropped or look wrong."""


def raise_all(faults: Sequence[str], error: type[RecencyError]) -> None:
    """Raise one error that lists every fault; do nothing when there is none.

    Args:
        faults: One sentence a fault.
        error: Class to raise.

    Raises:
        RecencyError: of class ``error``, if there is any fault.
    """
    if not faults:
        return
    if len(faults) == 1:
        raise error(faults[0])
    raise error(f"{len(faults)} faults:\n" + "\n".join(f"  - {fault}" for fault in faults))
