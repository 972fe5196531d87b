"""The ensemble: several members that answer as one, in one folder.

Fitting learns what each member is worth on the newest slice of the log (`weighing`), then teaches
every member everything, with the weights kept. From there on it is used like one model: asked,
told of events, saved, served.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from json import dumps
from pathlib import Path
from time import perf_counter
from typing import Self, get_args

from recency.asking.asking import Asking
from recency.data.catalogue import Catalogue
from recency.data.domains import domains_named, with_domains
from recency.data.log import Log
from recency.data.prepared import Prepared
from recency.data.reading.logs import Events, readable
from recency.ensemble.answering import mixed_answers
from recency.ensemble.folder import read_members, write_ensemble
from recency.ensemble.fusion import Fusion, Kind
from recency.ensemble.live import LiveEnsemble
from recency.ensemble.members import (
    Member,
    faults_of,
    labels_of,
    parameters_of,
    reseeded,
    teach,
    voice_of,
)
from recency.ensemble.report import EnsembleReport, MemberReport
from recency.ensemble.weighing import Judgement, newest_slice, weigh
from recency.errors import ConfigError, DataError, FormatError, NotFittedError, raise_all
from recency.evaluation.protocol import Answer, Questions
from recency.live.observed import Observed
from recency.nn.encoder import Encoder
from recency.nn.model import RequestTime
from recency.recommender import SequenceRecommender
from recency.storage import Manifest, read_manifest
from recency.training.config import Progress


class Ensemble(Asking):
    """Mix what several members recommend, by weights learned on the newest slice of the log.

    Args:
        members: `SequenceRecommender`s of other encoders, seeds or settings, and baselines of
            `recency.baselines` that answer from what they learned and a history alone. They belong
            to the ensemble from now on.
        fusion: ``"scores"`` mixes the members' chances of items; ``"ranks"`` looks only at the
            order in which each member ranks the items that it has learned.
        valid_share: Newest share of the log that weights are learned and judged on, in (0, 1).

    Raises:
        ConfigError: the members cannot work together; all faults at once.
    """

    name = "ensemble"

    def __init__(
        self, members: Sequence[Member], fusion: Kind = "scores", *, valid_share: float = 0.1
    ) -> None:
        faults = faults_of(members)
        if fusion not in get_args(Kind):
            faults.append(f"Ensemble(fusion={fusion!r}): expected 'scores' or 'ranks'.")
        if not 0 < valid_share < 1:
            faults.append(f"Ensemble(valid_share={valid_share!r}): expected a share in (0, 1).")
        raise_all(faults, ConfigError)
        self.members = list(members)
        self.fusion: Kind = fusion
        self.valid_share = valid_share
        self.catalogue: Catalogue | None = None
        self.cut: int | None = None
        self.model_version = ""
        self._weighed: Fusion | None = None
        self._report: EnsembleReport | None = None
        self._live: LiveEnsemble | None = None
        self._n_fitted = 0

    @classmethod
    def of_seeds(
        cls, recommender: SequenceRecommender, seeds: int = 3, fusion: Kind = "scores"
    ) -> Self:
        """Make an ensemble of one recommender under several seeds, its own and those that follow.

        Raises:
            ConfigError: fewer than two seeds.
        """
        return cls([reseeded(recommender, recommender.seed + n) for n in range(seeds)], fusion)

    @property
    def models(self) -> list[SequenceRecommender]:
        """List the members that have weights and states."""
        return [one for one in self.members if isinstance(one, SequenceRecommender)]

    @property
    def request_time(self) -> RequestTime:
        """Tell whether scores may depend on the instant of the question."""
        return self.models[0].request_time

    @property
    def live(self) -> LiveEnsemble:
        """Give the fitted ensemble.

        Raises:
            NotFittedError: before `fit` or `load`.
        """
        if self._live is None:
            raise NotFittedError("the ensemble has learned nothing yet; call fit(log) first.")
        return self._live

    @property
    def report(self) -> EnsembleReport:
        """Tell what each member is worth and costs, and what mixing gains; ``print`` shows it.

        Raises:
            NotFittedError: before `fit` or `load`.
        """
        if self._report is None:
            raise NotFittedError("the ensemble has learned nothing yet; call fit(log) first.")
        return self._report

    # --- learning ------------------------------------------------------------------------------

    def fit(
        self,
        log: Log | Prepared,
        items: Catalogue | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn the weights on the newest slice, then every member on everything.

        Each model is so fitted twice. Where the slice is too small to learn weights on, all members
        count the same, and the report says so.

        Args:
            log: Training events, read into memory; nothing later is looked at.
            items: Attributes of items: titles, categories, availability.
            progress: Called after every training batch; the member's name stands in the stage.

        Raises:
            ConfigError: the log is a prepared folder.
            DataError: the log has nothing to learn a next item from.
            TrainingDivergedError: a member's loss is no longer finite.
        """
        if isinstance(log, Prepared):
            raise ConfigError(
                "expected a log, found a prepared folder, of which no newest slice can be cut to "
                "weigh members on; fit the ensemble on the events, recency.read_log(...)."
            )
        if not len(log):
            raise DataError("expected a log with events, found an empty one.")
        began, labels = perf_counter(), labels_of(self.members)
        items = with_domains(log, items)
        self._live, self._weighed, self._report = None, None, None
        fusion, judgement, notes = self._weights(log, items, progress)
        seconds = [
            teach(member, log, items, label, progress, f"{place}-all")
            for place, (member, label) in enumerate(zip(self.members, labels, strict=True))
        ]
        self.catalogue, self.cut, self._weighed = items, log.end, fusion
        self._start(log.n_items)
        told = [
            MemberReport(label, weight, spent, parameters_of(one))
            for one, label, weight, spent in zip(
                self.members, labels, fusion.weights, seconds, strict=True
            )
        ]
        took = perf_counter() - began
        self._report = EnsembleReport(self.fusion, tuple(told), took, judgement, notes)
        return self

    def partial_fit(self, events: Events, epochs: int = 1) -> Self:
        """Observe events, and let every model learn on; weights and baselines stay as they are.

        Args:
            events: What happened since.
            epochs: Passes over them.

        Raises:
            DataError: an event cannot be read, or there is nothing to learn from.
        """
        n_new = self.observe(events).n_events
        if n_new:
            for model in self.models:
                model.catalogue = self.catalogue
                model.learn_observed(n_new, epochs)
            self.cut = self.models[0].cut
            self._start(self._n_fitted)
        return self

    def observe(self, events: Events) -> Observed:
        """Take events in; see `SequenceRecommender.observe`.

        Raises:
            DataError: an event cannot be read; then none is taken.
        """
        told = readable(events)
        observed = self.live.observe(told)
        if self.catalogue is not None and any(one.domains is not None for one in self.models):
            self.catalogue = self.catalogue.merge(domains_named(told, self.catalogue))
        return observed

    # --- asking --------------------------------------------------------------------------------

    def answer(self, questions: Questions) -> Iterator[Answer]:
        """Answer the questions of `recency.evaluate`; see `recency.evaluation.protocol`."""
        return mixed_answers(self.members, self._fitted(), self._n_fitted, questions)

    # --- keeping -------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write all members and what they share into one folder; see `recency.storage`."""
        content = {
            "model_version": self.model_version,
            "fusion": self.fusion,
            "mixture": self._fitted().to_dict(),
            "valid_share": self.valid_share,
            "n_fitted": self._n_fitted,
            "report": self.report.to_dict(),
            "cut": self.cut,
        }
        write_ensemble(folder, self.members, content, self.models[0].live, self.catalogue)

    @classmethod
    def load(cls, folder: str | Path, encoder: Encoder | None = None) -> Self:
        """Read an ensemble from a folder; `recency.load` reads single models too.

        Args:
            folder: Written by `save`.
            encoder: Of the same configuration, for members whose encoder is not Recency's.

        Raises:
            FormatError: the folder is no ensemble, damaged, or newer than this version.
            ConfigError: an encoder is none of Recency's and was not passed.
        """
        return cls.restored(read_manifest(folder), encoder)

    @classmethod
    def restored(cls, manifest: Manifest, encoder: Encoder | None = None) -> Self:
        """Rebuild a fitted ensemble from a folder whose manifest was read."""
        content = manifest.content
        if "members" not in content:
            raise FormatError(
                f"expected an ensemble in {manifest.folder}, found one model; read it with "
                f"recency.load."
            )
        one = cls(
            read_members(manifest, encoder), content["fusion"], valid_share=content["valid_share"]
        )
        one._weighed = Fusion.from_dict(content["mixture"])
        one._report = EnsembleReport.from_dict(content["report"])
        one.catalogue, one.cut = one.models[0].catalogue, content["cut"]
        one._start(content["n_fitted"])
        return one

    # --- inside --------------------------------------------------------------------------------

    def _weights(
        self, log: Log, items: Catalogue | None, progress: Progress | None
    ) -> tuple[Fusion, Judgement | None, tuple[str, ...]]:
        """Learn the weights on the newest slice, from members fitted on what is before it."""
        voices = [voice_of(member, self.fusion) for member in self.members]
        newest = newest_slice(log, self.valid_share)
        if isinstance(newest, str):
            return Fusion.even(voices), None, (newest,)
        for place, (member, label) in enumerate(
            zip(self.members, labels_of(self.members), strict=True)
        ):
            teach(member, newest.older, items, f"{label}, to weigh", progress, f"{place}-older")
        return *weigh(self.members, voices, newest), ()

    def _start(self, n_fitted: int) -> None:
        """Let the members share what they know, and answer together."""
        lead, *others = self.models
        for model in others:
            if model.live.timelines is not lead.live.timelines:
                model.stand_beside(lead.live)
        parts = [one.live if isinstance(one, SequenceRecommender) else one for one in self.members]
        self._n_fitted = n_fitted
        self._live = LiveEnsemble(parts, self._fitted(), n_fitted)
        versions = [getattr(one, "model_version", one.name) for one in self.members]
        told = dumps([versions, self._fitted().to_dict()])
        self.model_version = sha256(told.encode()).hexdigest()[:12]

    def _fitted(self) -> Fusion:
        if self._weighed is None:
            raise NotFittedError("the ensemble has learned nothing yet; call fit(log) first.")
        return self._weighed
