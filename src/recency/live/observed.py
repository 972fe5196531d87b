"""What taking events in came to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Observed:
    """Count what `observe` took in.

    Attributes:
        n_events: Events.
        n_new_users: Users seen for the first time.
        n_new_items: Items seen for the first time; recommendable by popularity, and by the model
            after `partial_fit` or `fit`.
        n_late_users: Users of whom an event came later than a newer one.
    """

    n_events: int
    n_new_users: int
    n_new_items: int
    n_late_users: int
