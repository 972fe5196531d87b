"""Surroundings: what a model knows beside events, joined with it around a training.

Content and attributes of items, domains of the catalogue, profiles of users: each changes a model
before it learns, and some of it is folded into the rows of items afterwards, so that asking knows
nothing of it. What is needed for items and users that come later stays here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from recency.content.adaptor import Adaptor
from recency.content.attributes import (
    Attributes,
    attributes_for,
    attributes_of_settings,
    attributes_to_settings,
)
from recency.content.features import Content
from recency.data.catalogue import Catalogue
from recency.data.domains import domain_codes
from recency.data.histories import Histories
from recency.data.intake import Vocabs
from recency.data.profiles import Profiles, sizes_of
from recency.data.vocab import Vocab
from recency.live.live_model import LiveModel
from recency.live.people import know_people, profiles_for, shrinkage_of
from recency.model_folder import read_adaptor, read_profiles
from recency.nn.domains import fold, join
from recency.nn.model import SequenceModel
from recency.nn.profile import profile_settings, start_from_profiles
from recency.recipe import Recipe
from recency.storage import Manifest


class Surroundings:
    """Join a model with what is known beside events.

    Attributes:
        profiles: Of users, where they are read.
        attributes: Of items, read event by event.
        adaptor: Makes vectors of items' content.

    Args:
        recipe: Says what is read of items and made of domains and profiles; nothing is known yet.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._columns, self._seed = recipe.inputs.attributes, recipe.seed
        self._domains, self._people = recipe.domains, recipe.profiles
        self.profiles: Profiles | None = None
        self.attributes: Attributes | None = None
        self.adaptor: Adaptor | None = None

    # --- around a training ---------------------------------------------------------------------

    def meet(
        self,
        model: SequenceModel,
        vocabs: Vocabs,
        histories: Histories,
        users: pl.DataFrame | None,
    ) -> Histories:
        """Let a fresh model read profiles of users, where any are read.

        Returns:
            The histories with those profiles.

        Raises:
            ConfigError: settings came without a table, or a table without settings.
            DataError: the table's ids are not those of the log.
        """
        self.profiles = profiles_for(self._people, users, vocabs.users)
        if self.profiles is None or self._people is None:
            return histories
        start_from_profiles(model, self.profiles.sizes, self._people, self._seed)
        return replace(histories, profiles=self.profiles.of(vocabs.users.ids))

    def join(
        self,
        model: SequenceModel,
        vocabs: Vocabs,
        items: Catalogue | None,
        content: Content | None,
    ) -> None:
        """Let a model that is to be trained read what is known of items, until `settle`.

        Raises:
            ConfigError: an attribute is missing in the catalogue.
            DataError: content says nothing of the items.
        """
        self.attributes = attributes_for(self._columns, model, items, vocabs.items)
        self.adaptor = None
        if content is not None:
            self.adaptor = Adaptor.fit(content, items, vocabs.items, model.dim, self._seed)
            self.adaptor.join(model, content, self._seed)
        if self._domains is not None:
            join(model, domain_codes(vocabs.items, items)[0], self._domains, self._seed)

    def settle(
        self,
        model: SequenceModel,
        vocabs: Vocabs,
        histories: Histories,
        items: Catalogue | None,
    ) -> None:
        """Keep what a trained model has learned of items in their rows; those described join."""
        if self.adaptor is not None:
            counts = np.bincount(histories.items[histories.items >= 0], minlength=model.n_items)
            self.adaptor.settle(model, vocabs.items, counts)
            if self.attributes is not None:
                self.attributes.join(model, items, vocabs.items)
        if self._domains is not None:
            fold(model, domain_codes(vocabs.items, items)[0])

    @contextmanager
    def learning_on(
        self,
        model: SequenceModel,
        vocabs: Vocabs,
        items: Catalogue | None,
        n_items: int | None = None,
    ) -> Iterator[None]:
        """Give a model rows for what is new, made of what is known of it; then let it learn on.

        Args:
            model: Changed in place.
            vocabs: Its rows, and those of what came since.
            items: What is known of items.
            n_items: How many items of the vocabulary may be known to it; None is all.
        """
        n_known = model.n_items
        rows = vocabs.items
        if n_items is not None and n_items < len(rows):
            rows = Vocab.from_ids(rows.ids.head(n_items))
        model.grow(len(rows), len(vocabs.types), seed=self._seed)
        if self.adaptor is not None:
            self.adaptor.fill(model, rows, n_known)
        if self.attributes is not None:
            self.attributes.join(model, items, rows)
        if self._domains is not None:
            join(model, domain_codes(rows, items)[0], self._domains, self._seed)
        try:
            yield
        finally:
            model.domains = None

    def put_to_work(self, live: LiveModel) -> None:
        """Let a live model answer by profiles, where any are read."""
        if self.profiles is not None and self._people is not None:
            know_people(live, self.profiles, self._people)

    # --- keeping -------------------------------------------------------------------------------

    def settings(self, live: LiveModel) -> dict[str, Any]:
        """Give what `restore` needs, as JSON."""
        return {
            **attributes_to_settings(self.attributes, live.model),
            **profile_settings(self._people, self.profiles, shrinkage_of(live)),
        }

    def restore(
        self, model: SequenceModel, manifest: Manifest, settings: Mapping[str, Any]
    ) -> None:
        """Make room in a fresh model for what its folder knows, and read the rest of it."""
        if self._people is not None:
            facts = settings["attributes"]
            self.profiles = read_profiles(manifest, facts)
            start_from_profiles(model, sizes_of(facts), self._people, self._seed)
        self.attributes = attributes_of_settings(settings, model)
        self.adaptor = read_adaptor(manifest)
