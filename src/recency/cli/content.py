"""What items are known by, as ``[content]`` of ``run.toml`` and the flags of a fit say."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recency.cli.progress import encoding_bar
from recency.cli.run_config import ContentSection
from recency.errors import ConfigError

if TYPE_CHECKING:
    from recency.content.encoding import Progress
    from recency.content.features import Content
    from recency.content.item_vectors import ItemVectors
    from recency.content.text_tuning import TextTuning
    from recency.data.catalogue import Catalogue


def content_of(section: ContentSection, catalogue: "Catalogue | None") -> "Content":
    """Read vectors and encode texts.

    Raises:
        ConfigError: there are no items to encode the words of, or an encoder is missing.
        DataError: vectors are damaged or do not fit the items.
    """
    from recency.content.features import Content

    tuned = _tuning_of(section)  # first: what is wrong with it shall not wait for texts
    vectors = [] if section.text is None else [_of_texts(section, section.text, catalogue)]
    vectors += [_read(file, catalogue) for file in section.vectors]
    return Content(
        vectors,
        dims=section.dims,
        learned=section.learned,
        hidden=section.hidden,
        categories=section.categories,
        numbers=section.numbers,
        tuned=tuned,
    )


def showing(content: "Content | None", progress: "Progress") -> "Content | None":
    """Have a fit tell of texts that it encodes anew, if it does."""
    if content is None or content.tuned is None:
        return content
    return replace(content, tuned=replace(content.tuned, progress=progress))


def _tuning_of(section: ContentSection) -> "TextTuning | None":
    if section.tuned is None:
        return None
    from recency.content.text_tuning import TextTuning

    return TextTuning(**vars(section.tuned), cache=section.cache)


def _of_texts(
    section: ContentSection, encoder: str, catalogue: "Catalogue | None"
) -> "ItemVectors":
    if catalogue is None:
        raise ConfigError(
            f"--text {encoder} encodes the words of items, and there are none; "
            f"name a file with their titles with --items FILE."
        )
    from recency.content.item_texts import TEMPLATE
    from recency.content.item_vectors import ItemVectors
    from recency.content.text_source import encoder_named

    with encoding_bar() as progress:
        return ItemVectors.of_texts(
            catalogue,
            encoder_named(encoder),
            columns=section.columns or TEMPLATE,
            cache=section.cache,
            progress=progress,
        )


def _read(file: str, catalogue: "Catalogue | None") -> "ItemVectors":
    """Read a file of vectors under its own name, so that several can stand side by side."""
    from recency.content.item_vectors import ItemVectors

    path = Path(file)
    ids = None
    if path.suffix == ".npy":
        if catalogue is None:
            raise ConfigError(
                f"{file} holds no ids; its rows are those of the item file: name it with "
                f"--items FILE, or write vectors as Parquet with item_id and vector."
            )
        ids = catalogue.frame["item_id"].to_list()
    return replace(ItemVectors.read(path, ids), name=path.stem)
