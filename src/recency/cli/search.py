"""``recency search``: items of a saved model by words, or like an item."""

from typing import Annotated

import typer

from recency.cli import options, output


def search(
    folder: options.Folder,
    words: Annotated[str | None, typer.Argument(help="What to look for.")] = None,
    like: Annotated[str | None, typer.Option(help="An item to find others like.")] = None,
    by: Annotated[str, typer.Option(help="With --like: behaviour, content or both.")] = "behaviour",
    k: Annotated[int, typer.Option("--k", "-k", help="Most items.")] = 10,
    json: output.Json = False,
) -> None:
    """Find items by words, or like an item."""
    from typing import cast

    from recency.asking.likeness import By
    from recency.errors import ConfigError
    from recency.loading import load

    if (words is None) == (like is None):
        raise ConfigError("expected words to look for, or an item with --like; one of the two.")
    model = load(folder)
    if like is not None:
        found = model.similar_items(model.items.coerce(like), k, by=cast(By, by))
    else:
        found = model.search(str(words), k)
    frame = output.titled(found.to_frame().select("rank", "item_id", "score"), model.catalogue)
    asked = {"words": words} if like is None else {"like": like, "by": by}
    facts = {**asked, "model_version": found.model_version, "items": frame.to_dicts()}
    output.result(facts, as_json=json, text=lambda _: output.table(frame))
