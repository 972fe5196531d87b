"""The recommender: what a person fits, asks, feeds with events, saves and loads.

Its settings are a recipe (`recency.recipe`). What a fit does, step by step, is in
`recency.fitting`; what a model knows beside events, in `recency.surroundings`. A fit leaves a
`LiveModel`, and everything else asks it: `observe` moves memories and leaves weights alone,
`partial_fit` moves both.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import Any, Self, Unpack

import polars as pl

from recency.asking.asking import Asking
from recency.asking.baskets import basket
from recency.asking.foretelling import At, NextTime, Propensity, next_time, propensity, rate
from recency.asking.voices import voices
from recency.content.adaptor import Adaptor
from recency.content.features import Content
from recency.content.item_vectors import ItemVectors
from recency.data.catalogue import Catalogue
from recency.data.domains import domains_named
from recency.data.histories import Histories
from recency.data.intake import Vocabs
from recency.data.log import Log
from recency.data.newest import newest_n_begin
from recency.data.prepared import Prepared
from recency.data.profiles import Profiles
from recency.data.reading.logs import Events, readable
from recency.data.vocab import Id
from recency.errors import ConfigError, FormatError, NotFittedError
from recency.evaluation.protocol import Answer, Questions
from recency.fitting import Fitted, Told, fitted, pretrained, put_to_work, restored, sizes_of
from recency.live.answers import answers
from recency.live.live_model import LiveModel
from recency.live.observed import Observed
from recency.live.people import describe_people
from recency.model_folder import write_model
from recency.nn.banks import HalfLives
from recency.nn.domains import DomainConfig
from recency.nn.encoder import Encoder
from recency.nn.experts import ExpertConfig
from recency.nn.head import Head
from recency.nn.heads import check_heads
from recency.nn.inputs import InputConfig
from recency.nn.model import RequestTime
from recency.nn.profile import ProfileConfig
from recency.nn.tide import Tide
from recency.nn.weights import WEIGHTS_FILE
from recency.recipe import Recipe, checked_half_life, recipe_of
from recency.storage import Manifest, read_manifest
from recency.surroundings import Surroundings
from recency.training.config import Progress, TrainConfig, TrainingResult
from recency.training.continuing import learn_on
from recency.training.pretraining import BehaviourPretraining
from recency.training.tracking.facts import model_version
from recency.training.tracking.trackers import Trackers
from recency.training.transfer import Transferred
from recency.units import Instant

_EXPERTS = ExpertConfig()


class SequenceRecommender(Asking):
    """Recommend the next items of users from their events and the time between them.

    Args:
        encoder: Reads histories, such as ``recency.GRU(dim=64)``; default ``Tide(dim=64)``. Only
            its configuration is used: each `fit` makes a fresh one.
        inputs: What is read of each event.
        training: How weights are learned.
        request_time: ``"known"`` lets scores depend on the instant of the question.
        experts: Simple memories mixed with the encoder's score (`recency.ExpertConfig`); None
            leaves the encoder alone.
        fallback_half_life: Of the decayed popularity that answers for users without a history;
            ``"fit"`` chooses it on the newest tenth of the events.
        seed: Repeats a fit, on a CPU bit by bit.
        heads: What is told beside the next item, such as ``recency.RatingHead()``; each `fit` makes
            fresh ones.
        domains: What is made of several catalogues in one log (`recency.DomainConfig`); None
            ignores which item belongs to which.
        profiles: What is made of what is known of users (`recency.ProfileConfig`); None reads
            events alone.
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        inputs: InputConfig | None = None,
        training: TrainConfig | None = None,
        request_time: RequestTime = "unknown",
        experts: ExpertConfig | None = _EXPERTS,
        fallback_half_life: str | float = "fit",
        seed: int = 0,
        heads: Sequence[Head] = (),
        domains: DomainConfig | None = None,
        profiles: ProfileConfig | None = None,
    ) -> None:
        self.encoder = Tide(dim=64) if encoder is None else encoder
        self.inputs = InputConfig() if inputs is None else inputs
        self.training = TrainConfig() if training is None else training
        self.request_time: RequestTime = request_time
        self.experts, self.heads = experts, check_heads(heads)
        self.fallback_half_life = checked_half_life(fallback_half_life)
        self.domains, self.profiles, self.seed = domains, profiles, seed
        self.catalogue: Catalogue | None = None
        self.cut: int | None = None
        self.model_version = ""
        self.training_result: TrainingResult | None = None
        self.transferred: Transferred | None = None
        self._beside = Surroundings(self.recipe)
        self._live: LiveModel | None = None

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """Make a recommender by a recipe, not fitted."""
        return cls(**vars(recipe))

    @property
    def recipe(self) -> Recipe:
        """Give all settings as one value."""
        return Recipe(**{one.name: getattr(self, one.name) for one in fields(Recipe)})

    @property
    def name(self) -> str:
        """Name the model in reports: the encoder's class in lower case."""
        return self.recipe.name

    @property
    def live(self) -> LiveModel:
        """Give the fitted model.

        Raises:
            NotFittedError: before `fit` or `load`.
        """
        if self._live is None:
            raise NotFittedError("the recommender has learned nothing yet; call fit(log) first.")
        return self._live

    @property
    def adaptor(self) -> Adaptor | None:
        """Give what makes vectors of items' content; None where the model reads none."""
        return self._beside.adaptor

    @property
    def known_profiles(self) -> Profiles | None:
        """Give the profiles of users that the model reads; None where it reads none."""
        return self._beside.profiles

    # --- learning ------------------------------------------------------------------------------

    def fit(
        self,
        log: Log | Prepared,
        items: Catalogue | None = None,
        progress: Progress | None = None,
        *,
        content: Content | None = None,
        users: pl.DataFrame | None = None,
        init_from: "SequenceRecommender | str | Path | None" = None,
        init_items: bool = False,
        tracker: Trackers | None = None,
        run_dir: str | Path | None = None,
    ) -> Self:
        """Learn from a log, forgetting what was learned before.

        Args:
            log: Training events; nothing later is looked at. One from `recency.read_prepared` may
                be larger than memory.
            items: Attributes of items: titles, categories, availability.
            progress: Called after every training batch.
            content: What items are known by beside their events; every item that it or ``items``
                describes can then be recommended, without ever having had an event.
            users: Profiles, as `recency.read_users` gives them, where the model reads any.
            init_from: Start from the weights of another recommender with the same encoder, or of
                its folder, mostly with other items; `transferred` tells what was taken over. It
                must not have seen what this one is to be tested on.
            init_items: Take over the vectors of items with the same id too; only where an id means
                the same item in both.
            tracker: Told of every epoch: ``"tensorboard"``, ``"wandb"``, ``"mlflow"``, an object
                with the methods of `recency.training.tracking.trackers.Tracker`, or a list of them.
            run_dir: Folder to keep the run in, enough to repeat it; see
                `recency.training.tracking.run_folder`.

        Raises:
            ConfigError: the other's encoder is another one, in any setting; a tracker cannot
                begin; ``run_dir`` holds another run; or an encoder of texts that is to be tuned, or
                the words for it, are missing.
            DataError: the log has nothing to learn a next item from, or content says nothing of
                its items.
            TrainingDivergedError: the loss is no longer finite.
        """
        start = self.load(init_from) if isinstance(init_from, str | Path) else init_from
        other = None if start is None else start.live
        told = Told(items, content, users, other, init_items, progress, tracker, run_dir)
        self._begin(fitted(self.recipe, log, told))
        return self

    def pretrain(
        self,
        log: Log | Prepared,
        lessons: BehaviourPretraining | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn what histories teach of themselves, so that a `fit` can start from it.

        Save the result, or pass it as it is: ``fit(log, init_from=..., init_items=True)``.

        Args:
            log: Events that may be known; nothing later than what is to be tested on.
            lessons: Hidden events, next events, alike views; see `recency.BehaviourPretraining`.
            progress: Called after every training batch.

        Raises:
            DataError: the log has nothing to learn from.
            TrainingDivergedError: the loss is no longer finite.
        """
        self._begin(pretrained(self.recipe, log, lessons, progress))
        return self

    def partial_fit(self, events: Events, epochs: int = 1) -> Self:
        """Observe events, give new items and event types weights, and learn on.

        The newest old events, as many as there are new ones, are learned once more with them, so
        that less is forgotten.

        Args:
            events: What happened since.
            epochs: Passes over them.

        Raises:
            DataError: an event cannot be read, or there is nothing to learn from.
        """
        n_new = self.observe(events).n_events
        return self.learn_observed(n_new, epochs) if n_new else self

    def learn_observed(self, n_events: int, epochs: int = 1) -> Self:
        """Learn on from the newest events observed: `partial_fit` without the observing.

        Args:
            n_events: How many of the events known are new; as many older ones are learned with
                them.
            epochs: Passes over them.

        Raises:
            DataError: there is nothing to learn from.
        """
        live, histories = self.live, self.live.timelines.histories()
        since = newest_n_begin(histories.times, 2 * n_events)
        with self.learning_on():
            self.training_result = learn_on(
                live.model, histories, since, self.training, epochs=epochs, seed=self.seed
            )
        self.cut = live.now
        self._stand(live.vocabs, histories)
        return self

    def learning_on(self, n_items: int | None = None) -> AbstractContextManager[None]:
        """Let ``live.model`` grow, and read what is known beside events, while its weights move.

        Args:
            n_items: How many of the items known by now it may know; None is all.
        """
        live = self.live
        return self._beside.learning_on(live.model, live.vocabs, self.catalogue, n_items)

    def relearned(self, *, states_stand: bool) -> None:
        """Go on after the weights of ``live.model`` were moved in place.

        Args:
            states_stand: Nothing moved of what states are made by; else they are made anew.
        """
        live = self.live
        self.cut = live.now
        if states_stand:
            self.model_version = model_version(live.model)
        else:
            self._stand(live.vocabs, live.timelines.histories())

    def add_items(self, vectors: Sequence[ItemVectors] = (), items: Catalogue | None = None) -> int:
        """Take in what is known of items; new ones can be recommended from now on.

        What the weights have learned of an item stays; content makes the vectors of others.

        Args:
            vectors: Of the kinds that the model was fitted with. The words of ``items`` are encoded
                here where the model was fitted with `recency.TextTuning`.
            items: Their attributes, which join the catalogue.

        Returns:
            How many items can be recommended that could not before.

        Raises:
            ConfigError: the model was fitted without content.
            DataError: vectors are of another name or width than in training.
        """
        if self.adaptor is None:
            raise ConfigError(
                "the model knows items by their events alone; fit it with content=Content(...)."
            )
        live, told = self.live, self.adaptor.with_words(vectors, items)
        added = self.adaptor.take_in(live.model, live.vocabs.items, told, items)
        if items is not None:
            self.catalogue = items if self.catalogue is None else self.catalogue.upsert(items.frame)
        self.model_version = model_version(live.model)
        return added

    def observe(self, events: Events) -> Observed:
        """Take events in: memories move, weights do not; the next answer knows them.

        New users and items join; a late event goes where its time belongs.

        Args:
            events: A log, a frame that `recency.read_log` understands, or dictionaries with
                ``user_id``, ``item_id``, ``timestamp``, and ``event_type`` and ``value`` if any.

        Raises:
            DataError: an event cannot be read; then none is taken.
        """
        told = readable(events)
        observed = self.live.observe(told)
        if self.domains is not None and self.catalogue is not None:
            self.catalogue = self.catalogue.merge(domains_named(told, self.catalogue))
        return observed

    def describe_users(self, users: pl.DataFrame) -> None:
        """Take in profiles of new users, or others of known ones; the next answer knows them.

        Raises:
            ConfigError: the model reads no profiles, or a column is none that it learned.
            DataError: the table's ids are not those of the log.
        """
        describe_people(self.live, users)

    # --- asking --------------------------------------------------------------------------------

    def voices(self, users: Sequence[Id], at: Instant | None = None) -> pl.DataFrame:
        """Tell how much each expert is listened to; see `recency.asking.voices.voices`."""
        return voices(self, users, at)

    def rate(self, users: Sequence[Id], items: Sequence[Id], at: At | None = None) -> pl.DataFrame:
        """Tell how users would rate items, pair by pair; see `recency.asking.foretelling.rate`."""
        return rate(self, users, items, at)

    def propensity(
        self,
        users: Sequence[Id] | None = None,
        items: Sequence[Id] | None = None,
        **question: Unpack[Propensity],
    ) -> pl.DataFrame:
        """Tell how likely events are; see `recency.asking.foretelling.propensity`."""
        return propensity(self, users, items, **question)

    def next_time(
        self, users: Sequence[Id], at: At | None = None, **question: Unpack[NextTime]
    ) -> pl.DataFrame:
        """Tell when users come back; see `recency.asking.foretelling.next_time`."""
        return next_time(self, users, at, **question)

    def basket(self, users: Sequence[Id], k: int = 10, at: At | None = None) -> pl.DataFrame:
        """Tell what users' next baskets hold; see `recency.asking.baskets.basket`."""
        return basket(self, users, k, at)

    def half_lives(self) -> list[HalfLives]:
        """Tell how long each bank of a fitted `Tide` remembers; see `Tide.half_lives`.

        Raises:
            ConfigError: the encoder keeps no memory by half-lives.
        """
        encoder = self.live.model.encoder
        if not isinstance(encoder, Tide):
            raise ConfigError(
                f"expected a Tide, whose memories fade by half-lives, found {self.name!r}."
            )
        return encoder.half_lives()

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Answer the questions of `recency.evaluate`; see `recency.evaluation.protocol`."""
        return answers(self.live, questions)

    # --- keeping -------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write the model with all it knows into a folder; see `recency.storage`."""
        known = self._beside
        write_model(
            folder, self.settings(), self.live, self.catalogue, known.adaptor, known.profiles
        )

    @classmethod
    def load(cls, folder: str | Path, encoder: Encoder | None = None) -> Self:
        """Read a model from a folder.

        Args:
            folder: Written by `save`.
            encoder: Of the same configuration, for an encoder that Recency does not bring.

        Raises:
            FormatError: the folder is no model, damaged, or newer than this version.
            ConfigError: the encoder is none of Recency's and was not passed.
        """
        manifest = read_manifest(folder)
        if "encoder" not in manifest.content:
            raise FormatError(
                f"expected one model in {folder}, found an ensemble; read it with recency.load."
            )
        return cls.restored(manifest, manifest.content, encoder=encoder)

    @classmethod
    def restored(
        cls,
        manifest: Manifest,
        settings: dict[str, Any],
        weights: str = WEIGHTS_FILE,
        encoder: Encoder | None = None,
        beside: LiveModel | None = None,
    ) -> Self:
        """Rebuild a fitted model from parts of a folder; that of an ensemble holds several.

        Args:
            manifest: Of the folder.
            settings: As `settings` gave them.
            weights: Name of the part with the weights.
            encoder: As in `load`.
            beside: A live model of the same folder, whose vocabularies and events are shared.
        """
        one = cls.of(recipe_of(settings, encoder))
        one._begin(restored(one.recipe, manifest, settings, weights, beside), beside)
        return one

    def settings(self) -> dict[str, Any]:
        """Give everything but weights and events that a fitted model is made of, as JSON."""
        return {
            "model_version": self.model_version,
            **self.recipe.settings(),
            **self._beside.settings(self.live),
            "fallback_half_life": self.live.popularity.half_life,
            **sizes_of(self.live.model),
            "cut": self.cut,
        }

    def stand_beside(self, other: LiveModel) -> None:
        """Share the vocabularies and events of a live model that was fitted on the same log."""
        self._stand(other.vocabs, other.timelines.histories(), other)

    # --- inside --------------------------------------------------------------------------------

    def _begin(self, found: Fitted, beside: LiveModel | None = None) -> None:
        """Put what was fitted or read to work; only then does what was known before go."""
        self._live = put_to_work(found, self.fallback_half_life, beside)
        self._beside, self.model_version = found.surroundings, model_version(found.model)
        self.catalogue, self.cut = found.catalogue, found.cut
        self.training_result, self.transferred = found.result, found.transferred

    def _stand(self, vocabs: Vocabs, histories: Histories, beside: LiveModel | None = None) -> None:
        """Put the same model to work again; states of older weights go."""
        found = Fitted(
            self.live.model, vocabs, histories, self._beside, self.catalogue, self.cut,
            self.training_result, self.transferred,
        )  # fmt: skip
        self._begin(found, beside)
