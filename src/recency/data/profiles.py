"""Profiles: what is known of users, as small whole numbers that a model and a count can take.

Each attribute becomes a column of codes (`recency.data.user_attributes`).
"""

import difflib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from recency.data.histories import Ints
from recency.data.user_attributes import NOTHING, Attribute, chosen
from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError, DataError, DataWarning, raise_all


@dataclass(frozen=True)
class FrozenProfiles:
    """Hold codes as they were at one moment; stay as they are while others are learned.

    Attributes:
        ids: [n] of users.
        codes: [n, n_attributes].
    """

    ids: pl.Series
    codes: Ints

    def frame(self) -> pl.DataFrame:
        """Give the codes as a table: ``user_id``, and one column an attribute."""
        columns = {f"{n}": self.codes[:, n] for n in range(self.codes.shape[1])}
        return pl.DataFrame({"user_id": self.ids, **columns})


class Profiles:
    """Hold the codes of users, by id.

    Args:
        attributes: How columns become codes.
        users: Ids of whom something is known.
        codes: [len(users), len(attributes)].
    """

    def __init__(self, attributes: Sequence[Attribute], users: Vocab, codes: Ints) -> None:
        self.attributes, self.users, self._codes = tuple(attributes), users, codes

    @classmethod
    def fit(
        cls, frame: pl.DataFrame, learned: Vocab, columns: Sequence[str] | None, least: int
    ) -> Self:
        """Choose codes by the users of training, and give them to all users of a table.

        Args:
            frame: As `recency.read_users` gives it.
            learned: Users of training.
            columns: Which attributes to read; None reads all that have values to learn from, and
                warns of the others.
            least: Users of training that must share a value.

        Raises:
            ConfigError: a column is unknown, or one asked for cannot be read.
            DataError: ids are missing or of another type than the log's, or no user of training is
                in the table.
        """
        checked_ids(frame, learned)
        if unknown := [one for one in columns or () if one not in frame.columns]:
            raise ConfigError(_unknown(unknown, [one for one in frame.columns if one != "user_id"]))
        known = frame.filter(pl.Series(learned.rows(frame["user_id"]) >= 0))
        if not known.height:
            raise DataError(
                f"expected profiles of users of the log, found none among {frame.height:,} rows; "
                f"are ids written alike in both?"
            )
        names = [one for one in frame.columns if one != "user_id"] if columns is None else columns
        found = {name: chosen(known[name], least) for name in names}
        useless = [name for name, one in found.items() if one is None]
        if useless:
            told = (
                f"profiles: {', '.join(useless)} cannot be learned from: no text, number or flag "
                f"with at least two values that {least} users of training share"
            )
            if columns is not None or len(useless) == len(names):
                raise ConfigError(f"{told}. Leave it out, or group its values.")
            warnings.warn(f"{told}; left out.", DataWarning, stacklevel=4)
        attributes = [one for one in found.values() if one is not None]
        users = Vocab.from_ids(frame["user_id"])
        return cls(attributes, users, _codes(attributes, frame))

    def __len__(self) -> int:
        return len(self.users)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Count the codes of each attribute."""
        return tuple(one.n_codes for one in self.attributes)

    def of(self, ids: pl.Series | Sequence[Id]) -> Ints:
        """Give the codes [n, n_attributes] of users; those without a profile have `NOTHING`."""
        rows = self.users.rows(ids)
        found = np.full((len(rows), len(self.attributes)), NOTHING)
        found[rows >= 0] = self._codes[rows[rows >= 0]]
        return found

    def table(self, users: Sequence[Id], said: Sequence[Mapping[str, object]]) -> pl.DataFrame:
        """Lay out what was said of users, each as a JSON object, for `learn`.

        What is no attribute that was learned, or no value of its kind, is left out.
        """
        ids = pl.Series("user_id", users, dtype=self.users.dtype)
        return pl.DataFrame([ids, *self._columns(said)])

    def understood(self, said: Mapping[str, object]) -> list[str]:
        """Name what of all that was said of a user a model learned to read."""
        codes = _codes(self.attributes, pl.DataFrame(self._columns([said])))[0]
        known = [one.name for one, code in zip(self.attributes, codes, strict=True) if code]
        return [name for name in said if name in known]

    def _columns(self, said: Sequence[Mapping[str, object]]) -> list[pl.Series]:
        return [
            pl.Series(
                one.name,
                [one.said(each.get(one.name)) for each in said],
                dtype=pl.String if one.values else pl.Float64,
            )
            for one in self.attributes
        ]

    def learn(self, frame: pl.DataFrame) -> list[Id]:
        """Take in profiles of new users, or others of known ones; give their ids.

        Attributes that the table lacks become `NOTHING`.

        Raises:
            DataError: ids are missing or of another type.
            ConfigError: a column is none of those that were learned.
        """
        checked_ids(frame, self.users)
        known = [one.name for one in self.attributes]
        if unknown := [one for one in frame.columns if one not in ("user_id", *known)]:
            raise ConfigError(_unknown(unknown, known))
        before = len(self.users)
        rows = self.users.extend(frame["user_id"])
        more = np.full((len(self.users) - before, len(known)), NOTHING)
        codes = np.concatenate((self._codes, more))  # a copy: what was frozen stays
        codes[rows] = _codes(self.attributes, frame)
        self._codes = codes
        return [self.users.id_of(int(row)) for row in rows]

    def forget(self, one: Id) -> None:
        """Know nothing of a user any more, the id included."""
        row = self.users.row(one)
        if row >= 0:
            self._codes = self._codes.copy()
            self._codes[row] = NOTHING
            self.users.retire(row)

    # --- keeping -------------------------------------------------------------------------------

    def facts(self) -> list[dict[str, Any]]:
        """Give how attributes become codes, as JSON."""
        return [asdict(one) for one in self.attributes]

    def freeze(self) -> FrozenProfiles:
        """Give the codes of all users as they are now, in no time."""
        return FrozenProfiles(self.users.ids, self._codes)

    def frame(self) -> pl.DataFrame:
        """Give the codes of all users as a table: ``user_id``, and one column an attribute."""
        return self.freeze().frame()

    def restore(self, frame: pl.DataFrame) -> None:
        """Know what a `frame` of the same attributes holds, in place of what was known."""
        codes = frame.drop("user_id").to_numpy().astype(np.int64)
        self.users = Vocab.from_ids(frame["user_id"])
        self._codes = codes.reshape(frame.height, len(self.attributes))

    @classmethod
    def restored(cls, facts: Sequence[Mapping[str, Any]], frame: pl.DataFrame) -> Self:
        """Rebuild profiles from their `facts` and `frame`."""
        attributes = [
            Attribute(one["name"], tuple(one["values"]), tuple(one["edges"])) for one in facts
        ]
        one = cls(
            attributes, Vocab(frame["user_id"].dtype), np.empty((0, len(attributes)), np.int64)
        )
        one.restore(frame)
        return one


class People:
    """Give the codes of users by the rows of a vocabulary, which may grow.

    Args:
        profiles: By id.
        users: The vocabulary.
    """

    def __init__(self, profiles: Profiles, users: Vocab) -> None:
        self.profiles, self._users = profiles, users
        self._codes: Ints = profiles.of(users.ids)

    def over(self, users: Vocab) -> "People":
        """Give the same by the rows of another vocabulary."""
        return People(self.profiles, users)

    def of(self, rows: Ints | None) -> Ints:
        """Give the codes [n, n_attributes] of rows, or of all; `NOTHING` for negative rows."""
        if len(self._codes) < len(self._users):
            new = self._users.take(range(len(self._codes), len(self._users)))
            self._codes = np.concatenate((self._codes, self.profiles.of(new)))
        if rows is None:
            return self._codes
        found: Ints = (
            self._codes[np.maximum(rows, 0)]
            if len(self._codes)
            else np.zeros((len(rows), len(self.profiles.attributes)), np.int64)
        )
        return np.where((rows >= 0)[:, None], found, NOTHING)

    def forget(self, one: Id, row: int) -> None:
        """Know nothing of a user any more; a negative row is that of somebody without one."""
        self.profiles.forget(one)
        if row >= 0:
            self._codes[row : row + 1] = NOTHING

    def learn(self, frame: pl.DataFrame) -> Ints:
        """Take in profiles; give the rows of the users that have one."""
        ids = pl.Series(self.profiles.learn(frame), dtype=self._users.dtype)
        rows = self._users.rows(ids)
        ids, rows = ids.filter(pl.Series(rows >= 0)), rows[rows >= 0]
        self.of(None)[rows] = self.profiles.of(ids)
        return rows


def forget_person(people: People | None, one: Id, row: int) -> None:
    """Know nothing of a user any more, where anything is known of any."""
    if people is not None:
        people.forget(one, row)


def sizes_of(facts: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    """Count the codes of each attribute, from the facts of profiles."""
    return tuple(
        Attribute(one["name"], tuple(one["values"]), tuple(one["edges"])).n_codes for one in facts
    )


def checked_ids(frame: pl.DataFrame, users: Vocab) -> None:
    """Refuse a table of users whose ids cannot be those of a log; all faults together."""
    if "user_id" not in frame.columns:
        raise DataError(
            f"expected a column user_id, found {', '.join(frame.columns) or 'none'}; "
            f"read_users(columns={{'user_id': ...}}) names yours."
        )
    ids = frame["user_id"]
    faults = []
    if ids.dtype != users.dtype:
        faults.append(
            f"user_id: expected {users.dtype} as in the log, found {ids.dtype}; convert it first."
        )
    if ids.null_count():
        faults.append(f"user_id is null in {ids.null_count():,} of {len(ids):,} rows.")
    if n_twice := int(ids.is_duplicated().sum()):
        faults.append(f"user_id: {n_twice:,} rows name a user that another row names too.")
    raise_all(faults, DataError)


def _codes(attributes: Sequence[Attribute], frame: pl.DataFrame) -> Ints:
    nothing = np.full(frame.height, NOTHING)
    columns = [
        one.codes(frame[one.name]) if one.name in frame.columns else nothing for one in attributes
    ]
    return np.stack(columns, axis=1) if columns else np.empty((frame.height, 0), np.int64)


def _unknown(names: Sequence[str], known: Sequence[str]) -> str:
    close = difflib.get_close_matches(names[0], known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return (
        f"profiles have no attribute {', '.join(map(repr, names))}{hint} "
        f"Known: {', '.join(known) or 'none'}."
    )
