"""``recency foretell``: ratings, chances of an event, the time of the next one, and baskets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recency.cli import options, output
from recency.cli.reading import asked_at

if TYPE_CHECKING:
    import polars as pl

    from recency.recommender import SequenceRecommender


def foretell(
    folder: Annotated[Path, typer.Argument(help="Folder of a model with heads.")],
    user: Annotated[list[str], typer.Option(help="User id; may be given several times.")],
    item: Annotated[
        list[str] | None, typer.Option(help="Item id; each user is asked about each item.")
    ] = None,
    event_type: Annotated[
        str | None, typer.Option(help="Chance of an event of this type; else ratings or times.")
    ] = None,
    horizon: Annotated[
        list[str] | None, typer.Option(help="Chance of an event within it, such as 30d.")
    ] = None,
    basket: Annotated[
        bool, typer.Option("--basket", help="What the next basket holds, and how much.")
    ] = False,
    k: Annotated[int, typer.Option("-k", "--k", help="Most items of a basket.")] = 10,
    at: options.At = None,
    json: output.Json = False,
) -> None:
    """Tell ratings (items), chances (event type), baskets, or the time of the next event."""
    from recency.errors import ConfigError
    from recency.loading import load
    from recency.recommender import SequenceRecommender

    if basket and (item or horizon or event_type is not None):
        raise ConfigError("--basket: expected no --item, --event-type or --horizon beside it.")
    if item and horizon:
        raise ConfigError("--item, --horizon: expected one of them; a horizon is asked of users.")
    if event_type is not None and len(horizon or ()) > 1:
        raise ConfigError("--horizon: expected one of them with --event-type, found several.")
    model = load(folder)
    if not isinstance(model, SequenceRecommender):
        raise ConfigError(
            f"expected a single model in {folder}, found an ensemble; it has no heads."
        )
    instant = model.instant(asked_at(at))
    if basket:
        frame = model.basket([model.users.coerce(one) for one in user], k, at=instant)
    else:
        frame = _told(model, user, item or [], event_type, horizon, instant)
    facts = {
        "model_version": model.model_version,
        "at": output.instant(instant),
        "rows": frame.to_dicts(),
    }
    output.result(facts, as_json=json, text=lambda _: output.table(frame))


def _told(
    model: "SequenceRecommender",
    user: list[str],
    item: list[str],
    event_type: str | None,
    horizon: list[str] | None,
    at: int,
) -> "pl.DataFrame":
    """Ask what the flags stand for: of each user about each item, or of each user."""
    users = [model.users.coerce(one) for one in user]
    items = [model.items.coerce(one) for one in item]
    pairs = [one for one in users for _ in items], items * len(users)
    if items and event_type is None:
        return model.rate(*pairs, at=at)
    if items:
        return model.propensity(*pairs, event_type=event_type, at=at)
    if event_type is not None:
        within = "30d" if not horizon else horizon[0]
        return model.propensity(users, event_type=event_type, horizon=within, at=at)
    return model.next_time(users, at=at, horizons=horizon or ("1d", "7d", "30d"))
