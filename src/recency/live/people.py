"""People: profiles brought together with a live model and with the questions of an evaluation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from recency.data.histories import Histories
from recency.data.profiles import People, Profiles
from recency.data.vocab import Id, Vocab
from recency.errors import ConfigError
from recency.evaluation.protocol import Questions
from recency.live.live_model import LiveModel
from recency.live.segments import Segments, recounted
from recency.live.shrinkage import best_shrinkage
from recency.nn.profile import ProfileConfig


def profiles_for(
    config: ProfileConfig | None, users: pl.DataFrame | None, learned: Vocab
) -> Profiles | None:
    """Fit profiles on the users of training; None where none are wanted.

    Raises:
        ConfigError: settings came without a table or a table without settings, or a column cannot
            be learned from.
        DataError: the table's ids are not those of the log.
    """
    if config is None and users is None:
        return None
    if users is None:
        raise ConfigError(
            "profiles: expected fit(log, users=read_users(...)), found no table of users."
        )
    if config is None:
        raise ConfigError(
            "fit(users=...): the model reads no profiles; make it with "
            "SequenceRecommender(profiles=ProfileConfig())."
        )
    return Profiles.fit(users, learned, config.columns, config.least)


def profiles_of(live: LiveModel) -> Profiles | None:
    """Give the profiles that a live model reads; None where it reads none."""
    people = live.timelines.people
    return None if people is None else people.profiles


def know_people(live: LiveModel, profiles: Profiles, config: ProfileConfig) -> None:
    """Let a live model answer by profiles from now on; their users become known.

    Raises:
        ConfigError: the fallback names an attribute that was not learned.
    """
    live.vocabs.users.extend(profiles.users.named)
    people = live.timelines.people
    if people is None or people.profiles is not profiles:
        people = live.timelines.people = People(profiles, live.vocabs.users)
    names = [one.name for one in profiles.attributes]
    wanted: Sequence[str] = names if config.fallback is None else config.fallback
    if unknown := [one for one in wanted if one not in names]:
        raise ConfigError(
            f"ProfileConfig(fallback=...): {', '.join(map(repr, unknown))} not among the "
            f"attributes learned: {', '.join(names)}."
        )
    if not wanted:
        return
    places, half_life = [names.index(one) for one in wanted], live.popularity.half_life
    known, shrinkage = live.timelines.histories(), config.shrinkage
    if isinstance(shrinkage, str):
        shrinkage = best_shrinkage(known, half_life, people.of, places)
    if shrinkage < math.inf:
        live.segments = Segments(half_life, people.of, places, shrinkage).afresh(known)


def shrinkage_of(live: LiveModel) -> float | None:
    """Give the shrinkage of a model's segments; None where none answer."""
    return None if live.segments is None else live.segments.shrinkage


def describe_people(live: LiveModel, users: pl.DataFrame) -> None:
    """Take in profiles of new users, or others of known ones; their states are made anew.

    Raises:
        ConfigError: the model reads no profiles, or a column is none that it learned.
        DataError: the table's ids are not those of the log.
    """
    people = live.timelines.people
    if people is None:
        raise ConfigError(
            "the model reads no profiles; fit it with profiles=ProfileConfig() and users=."
        )
    live.vocabs.users.extend(users["user_id"])
    rows = people.learn(users)
    counted = bool(live.timelines.counts(rows).any())  # else no count says anything of them
    for one in live.models:
        one.states.forget({int(row): 0 for row in rows})
        if counted:
            one.segments = recounted(one.segments, live.timelines.histories)


def describe_as_said(live: LiveModel, said: Mapping[Id, Mapping[str, object]]) -> None:
    """Take in what was said of users, as JSON has it, as far as a model reads any of it.

    Args:
        live: One that reads no profiles stays as it is.
        said: Attributes by name, of each user; those that were not learned are left out.
    """
    profiles = profiles_of(live)
    if profiles is not None and said:
        describe_people(live, profiles.table(list(said), list(said.values())))


def with_profiles(live: LiveModel, questions: Questions, histories: Histories) -> Histories:
    """Give the histories of questions the profiles of their users, where a model knows any."""
    people = live.timelines.people
    if people is None:
        return histories
    return replace(histories, profiles=people.profiles.of(questions.users.ids))


def segments_of(live: LiveModel, questions: Questions) -> Segments | None:
    """Give segments of the users of questions that have counted nothing yet; None without any."""
    people = live.timelines.people
    if live.segments is None or people is None:
        return None
    return live.segments.over(People(people.profiles, questions.users).of)
