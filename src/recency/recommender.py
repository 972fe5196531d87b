"""The recommender: what a person fits, asks, feeds with events, saves and loads.

Fitting makes a `LiveModel`; everything else asks it. `observe` moves memories and leaves weights
alone, `partial_fit` moves both, `fit` starts afresh.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, Unpack

import polars as pl
import torch

from recency.asking.asking import Asking, refuse_strangers
from recency.asking.foretelling import At, NextTime, Propensity, next_time, propensity, rate
from recency.content.adaptor import Adaptor
from recency.content.features import Content
from recency.content.item_vectors import ItemVectors
from recency.data.catalogue import Catalogue
from recency.data.domains import domains_named, with_domains
from recency.data.histories import Histories
from recency.data.intake import EventRow, Vocabs
from recency.data.log import Log
from recency.data.prepared import Prepared, rows_of
from recency.data.profiles import Profiles
from recency.data.reading import read_log
from recency.data.vocab import Id
from recency.errors import ConfigError, DataError, FormatError, NotFittedError
from recency.evaluation.protocol import Answer, Questions
from recency.live.answers import answers
from recency.live.live_model import LiveModel
from recency.live.observed import Observed
from recency.live.people import describe_people
from recency.model_folder import (
    load_weights,
    read_catalogue,
    read_histories,
    read_vocabs,
    write_model,
)
from recency.nn.banks import HalfLives
from recency.nn.domains import DomainConfig, domains_of_settings
from recency.nn.encoder import Encoder
from recency.nn.encoders import make_encoder
from recency.nn.experts import ExpertConfig
from recency.nn.head_kinds import attach, check_heads, of_settings, to_settings, to_tables
from recency.nn.heads import Head
from recency.nn.inputs import SPECIAL, InputConfig
from recency.nn.model import RequestTime, SequenceModel
from recency.nn.profile import (
    ProfileConfig,
    profiles_of_settings,
)
from recency.nn.tide import Tide
from recency.nn.untied import untie
from recency.storage import Manifest, read_manifest
from recency.surroundings import Surroundings
from recency.training.config import Progress, TrainConfig, TrainingResult
from recency.training.continuing import learn_on
from recency.training.fallback import best_half_life
from recency.training.guard import train_guarded
from recency.training.head_lessons import study_heads
from recency.training.pretraining import BehaviourPretraining, pretrain
from recency.training.tracking.facts import model_version
from recency.training.tracking.run_folder import RunFolder
from recency.training.tracking.trackers import Trackers, trackers_of
from recency.training.transfer import Known, Transferred, start_from
from recency.units import Instant, parse_duration

_EXPERTS = ExpertConfig()
Events = Log | pl.DataFrame | Sequence[EventRow]


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
        self.experts = experts
        self.heads = check_heads(heads)
        self.domains, self.profiles = domains, profiles
        self.fallback_half_life = fallback_half_life
        if fallback_half_life != "fit":
            self.fallback_half_life = parse_duration(fallback_half_life)
            if self.fallback_half_life <= 0:
                raise ConfigError("fallback_half_life: expected more than 0 seconds, or 'fit'.")
        self.seed = seed
        self.catalogue: Catalogue | None = None
        self.cut: int | None = None
        self.model_version = ""
        self.training_result: TrainingResult | None = None
        self.transferred: Transferred | None = None
        self._beside = self._alone()
        self._live: LiveModel | None = None

    @property
    def name(self) -> str:
        """Name the model in reports: the encoder's class in lower case."""
        return type(self.encoder).__name__.lower()

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
                begin; or ``run_dir`` holds another run.
            DataError: the log has nothing to learn a next item from, or content says nothing of
                its items.
            TrainingDivergedError: the loss is no longer finite.
        """
        if not len(log):
            raise DataError("expected a log with events, found an empty one.")
        trackers = trackers_of(tracker, run_dir)
        if run_dir is not None:
            model_kept: dict[str, Any] = {"fallback_half_life": self.fallback_half_life}
            if self.heads:
                model_kept["heads"] = to_tables(self.heads)
            kept = {"model": model_kept}
            trackers.insert(0, RunFolder(run_dir, kept))
        vocabs, histories = rows_of(log)
        items = with_domains(log, items)
        model, self._beside = self._new_model(len(vocabs.items), len(vocabs.types)), self._alone()
        histories = self._beside.meet(model, vocabs, histories, users)
        self.transferred = None
        if init_from is not None:
            other = _recommender(init_from).live
            known = Known(other.model, other.vocabs)
            self.transferred = start_from(known, Known(model, vocabs), items=init_items)
        study_heads(model, histories, vocabs)
        self._beside.join(model, vocabs, items, content)
        self.training_result = train_guarded(
            model, histories, self.training, seed=self.seed, progress=progress, tracker=trackers
        )
        self._beside.settle(model, vocabs, histories, items)
        self.catalogue, self.cut = items, log.end
        self._start(model, vocabs, histories)
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
        vocabs, histories = rows_of(log)
        model = self._new_model(len(vocabs.items), len(vocabs.types))
        self.training_result = pretrain(
            model, histories, lessons, self.training, seed=self.seed, progress=progress
        )
        self.transferred, self.catalogue, self._beside = None, None, self._alone()
        self.cut = log.end
        self._start(model, vocabs, histories)
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
        self._beside.grow(live.model, live.vocabs, self.catalogue)
        self.training_result = learn_on(
            live.model, histories, n_events, self.training, epochs=epochs, seed=self.seed
        )
        live.model.domains = None
        self.cut = live.now
        self._start(live.model, live.vocabs, histories)
        return self

    def add_items(self, vectors: Sequence[ItemVectors] = (), items: Catalogue | None = None) -> int:
        """Take in what is known of items; new ones can be recommended from now on.

        What the weights have learned of an item stays; content makes the vectors of others.

        Args:
            vectors: Of the kinds that the model was fitted with.
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
        live = self.live
        added = self.adaptor.take_in(live.model, live.vocabs.items, vectors, items)
        if items is not None:
            self.catalogue = items if self.catalogue is None else self.catalogue.upsert(items.frame)
        self.model_version = model_version(live.model)
        return added

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
            self._start(live.model, live.vocabs, live.timelines.histories())

    def observe(self, events: Events) -> Observed:
        """Take events in: memories move, weights do not; the next answer knows them.

        New users and items join; a late event goes where its time belongs.

        Args:
            events: A log, a frame that `recency.read_log` understands, or dictionaries with
                ``user_id``, ``item_id``, ``timestamp``, and ``event_type`` and ``value`` if any.

        Raises:
            DataError: an event cannot be read; then none is taken.
        """
        events = read_log(events) if isinstance(events, pl.DataFrame) else events
        observed = self.live.observe(events)
        if self.domains is not None and self.catalogue is not None:
            self.catalogue = self.catalogue.merge(domains_named(events, self.catalogue))
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
        """Tell how much each expert is listened to: what a user, and a log, lives on.

        Returns:
            ``user_id``, then one column an expert, ``encoder`` first: shares that sum to 1. Users
            without events before ``at`` have none: nulls.

        Raises:
            ConfigError: the model has no experts.
            UnknownIdError: a user was never seen.
        """
        rows = self.users.rows([self.users.coerce(one) for one in users])
        refuse_strangers(users, rows)
        names, shares = self.live.voices(rows, self.instant(at))
        columns = {name: shares[:, place] for place, name in enumerate(names)}
        return pl.DataFrame({"user_id": list(users), **columns}).fill_nan(None)

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
        beside = self._beside
        write_model(
            folder, self.settings(), self.live, self.catalogue, beside.adaptor, beside.profiles
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
        weights: str = "weights.safetensors",
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
        if encoder is None:
            made_of = dict(settings["encoder"])
            encoder = make_encoder(made_of.pop("name"), made_of)
        experts = settings.get("experts")  # folders from before there were experts say nothing
        one = cls(
            encoder,
            inputs=InputConfig(**settings["inputs"]),
            training=TrainConfig(**settings["training"]),
            request_time=settings["request_time"],
            experts=None if experts is None else ExpertConfig(**experts),
            fallback_half_life=settings["fallback_half_life"],
            seed=settings["seed"],
            heads=of_settings(settings.get("heads", ())),
            domains=domains_of_settings(settings),
            profiles=profiles_of_settings(settings),
        )
        model = one._new_model(settings.get("n_read", settings["n_items"]), settings["n_types"])
        if "n_read" in settings:
            untie(model, settings["n_items"])
        one._beside.restore(model, manifest, settings)
        load_weights(model, manifest, weights)
        one.catalogue, one.cut = read_catalogue(manifest), settings["cut"]
        if beside is None:
            one._start(model, read_vocabs(manifest), read_histories(manifest))
        else:
            one._start(model, beside.vocabs, beside.timelines.histories(), beside)
        return one

    def settings(self) -> dict[str, Any]:
        """Give everything but weights and events that a fitted model is made of, as JSON."""
        model = self.live.model
        types = model.events.types
        return {
            "model_version": self.model_version,
            "encoder": {"name": self.name, **self.encoder.config()},
            "inputs": asdict(self.inputs),
            "training": self.training.what_is_learned(),
            "request_time": self.request_time,
            "experts": None if self.experts is None else asdict(self.experts),
            "fallback_half_life": self.live.popularity.half_life,
            "seed": self.seed,
            "heads": to_settings(self.heads),
            **self._beside.settings(self.live),
            "n_items": model.n_items,
            **({} if model.heads is None else {"n_read": len(model.items) - SPECIAL}),
            "n_types": 0 if types is None else len(types) - SPECIAL,
            "cut": self.cut,
        }

    # --- inside --------------------------------------------------------------------------------

    def _alone(self) -> Surroundings:
        """Give surroundings in which nothing is known yet."""
        return Surroundings(self.inputs.attributes, self.domains, self.profiles, self.seed)

    def _new_model(self, n_items: int, n_types: int) -> SequenceModel:
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            model = SequenceModel(
                self.encoder.clone(),
                n_items,
                n_types,
                self.inputs,
                self.request_time,
                self.experts,
                self.training.temperature,
            )
            attach(model, self.heads, learned=self.training.head_weights == "learned")
            model.scored_apart = self.domains is not None and self.domains.rank > 0
            return model

    def stand_beside(self, other: LiveModel) -> None:
        """Share the vocabularies and events of a live model that was fitted on the same log."""
        self._start(self.live.model, other.vocabs, other.timelines.histories(), other)

    def _start(
        self,
        model: SequenceModel,
        vocabs: Vocabs,
        histories: Histories,
        beside: LiveModel | None = None,
    ) -> None:
        """Put a trained model to work; states of older weights go with the old live model."""
        half_life = self.fallback_half_life
        if isinstance(half_life, str):
            half_life = best_half_life(histories)
        self._live = LiveModel(model, vocabs, histories, half_life, beside)
        self._beside.put_to_work(self._live)
        self.model_version = model_version(model)


def _recommender(one: SequenceRecommender | str | Path) -> SequenceRecommender:
    """Give a recommender as it is, or read it from its folder."""
    return one if isinstance(one, SequenceRecommender) else SequenceRecommender.load(one)
