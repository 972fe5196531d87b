"""``recency recommend``: ask a saved model."""

from pathlib import Path
from typing import Annotated

import typer

from recency.cli import output


def recommend(
    folder: Annotated[Path, typer.Argument(help="Folder of the model.")],
    user: Annotated[list[str], typer.Option(help="User id; may be given several times.")],
    k: Annotated[int, typer.Option("--k", "-k", help="Items a user.")] = 10,
    at: Annotated[
        str | None,
        typer.Option(help="Instant of the question, or 'now'; default: after the newest event."),
    ] = None,
    repeats: Annotated[
        bool, typer.Option(help="Whether items of the history may come again.")
    ] = True,
    category: Annotated[
        list[str] | None, typer.Option(help="Only items of these categories.")
    ] = None,
    json: output.Json = False,
) -> None:
    """Rank items for users of a saved model."""
    from datetime import UTC, datetime

    from recency.loading import load

    model = load(folder)
    instant = datetime.now(UTC) if at == "now" else at
    users = [model.users.coerce(one) for one in user]
    found = model.recommend(users, k, at=instant, repeats=repeats, categories=category)
    frame = found.to_frame()
    if model.catalogue is not None:
        items = frame["item_id"].to_list()
        titles = [model.catalogue.describe(item).get("title") for item in items]
        frame = frame.with_columns(title=output.series(titles))
    facts = {
        "model_version": found.model_version,
        "at": output.instant(found.at),
        "as_of": None if found.as_of is None else output.instant(found.as_of),
        "recommendations": frame.to_dicts(),
    }
    output.result(facts, as_json=json, text=lambda _: output.table(frame))
