"""Why the service did not take something: each a kind of `recency.errors.StoreError`."""

from recency.errors import RecencyError, StoreError


class StoreFullError(StoreError):
    """Say that the disk is full: the event is not kept."""


class OverloadedError(StoreError):
    """Say that too much waits already: nothing was taken, try again soon."""


class StoppedError(StoreError):
    """Say that the service stops or has stopped: nothing was taken."""


class RefusedModelError(RecencyError):
    """Say that a version of the model may not serve, and why."""
