"""Fitting: from a log, or a folder, to a model that can be put to work.

What a fit does stands here in its order. Nothing of the recommender changes before all of it is
done, so a fit that fails leaves what was learned before.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recency.content.features import Content
from recency.data.catalogue import Catalogue
from recency.data.domains import with_domains
from recency.data.histories import Histories
from recency.data.intake import Vocabs
from recency.data.log import Log
from recency.data.prepared import Prepared, rows_of
from recency.errors import DataError
from recency.live.live_model import LiveModel
from recency.model_folder import read_catalogue, read_histories, read_vocabs
from recency.nn.inputs import SPECIAL
from recency.nn.model import SequenceModel
from recency.nn.scored_items import untie
from recency.nn.weights import read_weights
from recency.recipe import Recipe
from recency.storage import Manifest
from recency.surroundings import Surroundings
from recency.training.config import Progress, TrainingResult
from recency.training.fallback import best_half_life
from recency.training.guard import train_guarded
from recency.training.head_lessons import study_heads
from recency.training.pretraining import BehaviourPretraining, pretrain
from recency.training.tracking.run_folder import RunFolder
from recency.training.tracking.trackers import Trackers, trackers_of
from recency.training.transfer import Known, Transferred, start_from


@dataclass(frozen=True)
class Told:
    """Hold what a fit is told beside events; see `recency.SequenceRecommender.fit`.

    Attributes:
        items, content, users: As there.
        start: The model to start from; None starts afresh.
        start_items: Whether vectors of items with the same id are taken over from it.
        progress, tracker, run_dir: As there.
    """

    items: Catalogue | None = None
    content: Content | None = None
    users: pl.DataFrame | None = None
    start: LiveModel | None = None
    start_items: bool = False
    progress: Progress | None = None
    tracker: Trackers | None = None
    run_dir: str | Path | None = None


@dataclass(frozen=True)
class Fitted:
    """Hold a trained model and what belongs to it.

    Attributes:
        model: Trained.
        vocabs: Its rows.
        histories: The events known.
        surroundings: What it knows beside them.
        catalogue: What is known about items.
        cut: Nothing at or after this instant was learned from (microseconds).
        result: What happened in training; None for one that comes from a folder.
        transferred: What was taken over from another model.
    """

    model: SequenceModel
    vocabs: Vocabs
    histories: Histories
    surroundings: Surroundings
    catalogue: Catalogue | None
    cut: int | None
    result: TrainingResult | None = None
    transferred: Transferred | None = None


def fitted(recipe: Recipe, log: Log | Prepared, told: Told) -> Fitted:
    """Learn from a log; what is raised is said at `recency.SequenceRecommender.fit`."""
    trackers = trackers_of(told.tracker, told.run_dir)
    if told.run_dir is not None:
        trackers.insert(0, RunFolder(told.run_dir, recipe.beyond_training()))
    vocabs, histories = _rows(log)
    items = with_domains(log, told.items)
    model = recipe.model(len(vocabs.items), len(vocabs.types))
    surroundings, transferred = Surroundings(recipe), None
    histories = surroundings.meet(model, vocabs, histories, told.users)
    if told.start is not None:
        known = Known(told.start.model, told.start.vocabs)
        transferred = start_from(known, Known(model, vocabs), items=told.start_items)
    study_heads(model, histories, vocabs)
    surroundings.join(model, vocabs, items, told.content)
    result = train_guarded(
        model,
        histories,
        recipe.training,
        seed=recipe.seed,
        progress=told.progress,
        tracker=trackers,
    )
    surroundings.settle(model, vocabs, histories, items)
    return Fitted(model, vocabs, histories, surroundings, items, log.end, result, transferred)


def pretrained(
    recipe: Recipe,
    log: Log | Prepared,
    lessons: BehaviourPretraining | None,
    progress: Progress | None,
) -> Fitted:
    """Learn what histories teach of themselves; see `recency.SequenceRecommender.pretrain`."""
    vocabs, histories = _rows(log)
    model = recipe.model(len(vocabs.items), len(vocabs.types))
    result = pretrain(
        model, histories, lessons, recipe.training, seed=recipe.seed, progress=progress
    )
    return Fitted(model, vocabs, histories, Surroundings(recipe), None, log.end, result)


def restored(
    recipe: Recipe,
    manifest: Manifest,
    settings: dict[str, Any],
    weights: str,
    beside: LiveModel | None,
) -> Fitted:
    """Rebuild a fitted model from the parts of a folder.

    Args:
        recipe: Of the same settings.
        manifest: Of the folder.
        settings: As the recommender gave them.
        weights: Name of the part with the weights.
        beside: A live model of the same folder; its vocabularies and events are shared.

    Raises:
        FormatError: a part is damaged, or does not fit the settings.
    """
    model = recipe.model(settings.get("n_read", settings["n_items"]), settings["n_types"])
    if "n_read" in settings:
        untie(model, settings["n_items"])
    surroundings = Surroundings(recipe)
    surroundings.restore(model, manifest, settings)
    read_weights(manifest.path(weights), model)
    if beside is None:
        vocabs, histories = read_vocabs(manifest), read_histories(manifest)
    else:
        vocabs, histories = beside.vocabs, beside.timelines.histories()
    catalogue = read_catalogue(manifest)
    return Fitted(model, vocabs, histories, surroundings, catalogue, settings["cut"])


def put_to_work(
    found: Fitted, half_life: str | float, beside: LiveModel | None = None
) -> LiveModel:
    """Make the live model that answers by a trained one.

    Args:
        found: What was fitted or read.
        half_life: Of the fallback's counts, seconds; a word has it chosen on the events.
        beside: Stands on the same vocabularies and events already; shares them from now on.
    """
    if isinstance(half_life, str):
        half_life = best_half_life(found.histories)
    live = LiveModel(found.model, found.vocabs, found.histories, half_life, beside)
    found.surroundings.put_to_work(live)
    return live


def sizes_of(model: SequenceModel) -> dict[str, int]:
    """Give the sizes by which `restored` makes room for the weights of a model, as JSON."""
    types = model.events.types
    sizes = {"n_items": model.n_items, "n_types": 0 if types is None else len(types) - SPECIAL}
    if model.scored_items is not None:
        sizes["n_read"] = len(model.items) - SPECIAL
    return sizes


def _rows(log: Log | Prepared) -> tuple[Vocabs, Histories]:
    if not len(log):
        raise DataError("expected a log with events, found an empty one.")
    return rows_of(log)
