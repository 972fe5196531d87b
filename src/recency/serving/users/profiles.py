"""Profiles of users in the service: kept in the event log, and read by models that learned to.

What a client says of a user is kept whole, in place of what was said before, and shown to every
model that reads profiles. A model reads the attributes that it was fitted with and leaves the
others; they wait in the log for one that was fitted with them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from recency.data.vocab import Id
from recency.errors import DataError, raise_all
from recency.live.people import profiles_of
from recency.serving.intake.values import shown
from recency.serving.questions import LiveRecommender

if TYPE_CHECKING:
    from recency.serving.engine import Engine

Value = str | int | float | bool
_MOST = 100  # attributes of a user
_TEXT_LENGTH = 1_000  # characters of a name or a value


class Described(msgspec.Struct, frozen=True):
    """Say what became of a profile.

    ``user_id`` is the id that it is kept under: another than was given, where that was merged.
    ``seq`` is its place in the log; ``read`` names the attributes that the model in use learned to
    read, ``left`` those that are kept without effect.
    """

    user_id: Id
    seq: int
    read: list[str]
    left: list[str]


def describe_user(engine: "Engine", user: object, said: Mapping[str, object]) -> Described:
    """Keep what is known of a user, durably and known to the next answer.

    Waits until that is done; in a coroutine: ``await asyncio.to_thread(describe_user, …)``.

    Args:
        engine: Keeps and shows it.
        user: Id; need not be known, and has its profile from the first event on.
        said: Attributes by name: texts, numbers and flags; None says nothing. Empty forgets.

    Raises:
        DataError: the id can be none, or was erased, or an attribute is nothing of these; all
            faults together.
        StoreError: it could not be written; nothing was done.
    """
    one, known = engine.checks.user(user), checked(said)
    document = msgspec.json.encode(known).decode()
    done = engine.store.describe_user(one, document).result()
    assert done.seq is not None
    read = engine.call(lambda model: _understood(model, known)).result()
    left = [name for name in known if name not in read]
    return Described(engine.store.identities.of(one), done.seq, read, left)


def checked(said: Mapping[str, object]) -> dict[str, Value]:
    """Give the attributes that say something.

    Raises:
        DataError: there are too many, or one is no text, number or flag; all faults together.
    """
    faults = []
    if len(said) > _MOST:
        faults.append(f"expected at most {_MOST} attributes, found {len(said):,}.")
    known: dict[str, Value] = {}
    for name, value in said.items():
        if value is None:
            continue
        if not isinstance(value, Value):
            faults.append(f"{name}: expected a text, a number or a flag, found {shown(value)}.")
        elif len(name) > _TEXT_LENGTH or (isinstance(value, str) and len(value) > _TEXT_LENGTH):
            faults.append(f"{name[:40]}: expected at most {_TEXT_LENGTH:,} characters.")
        else:
            known[name] = value
    raise_all(faults, DataError)
    return known


def _understood(model: LiveRecommender, said: Mapping[str, object]) -> list[str]:
    profiles = profiles_of(model.live.models[0])
    return [] if profiles is None else profiles.understood(said)
