"""``recency foretell``: ratings, chances of an event, and the time of the next one."""

from pathlib import Path
from typing import Annotated

import typer

from recency.cli import options, output
from recency.cli.reading import asked_at


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
    at: options.At = None,
    json: output.Json = False,
) -> None:
    """Tell ratings (items), chances (event type) or the time of the next event (neither)."""
    from recency.errors import ConfigError
    from recency.loading import load
    from recency.recommender import SequenceRecommender

    if item and horizon:
        raise ConfigError("--item, --horizon: expected one of them; a horizon is asked of users.")
    model = load(folder)
    if not isinstance(model, SequenceRecommender):
        raise ConfigError(
            f"expected a single model in {folder}, found an ensemble; it has no heads."
        )
    instant = model.instant(asked_at(at))
    users = [model.users.coerce(one) for one in user]
    items = [model.items.coerce(one) for one in item or ()]
    pairs = [one for one in users for _ in items], items * len(users)
    if items and event_type is None:
        frame = model.rate(*pairs, at=instant)
    elif items:
        frame = model.propensity(*pairs, event_type=event_type, at=instant)
    elif event_type is not None:
        frame = model.propensity(
            users, event_type=event_type, horizon=(horizon or ["30d"])[0], at=instant
        )
    else:
        frame = model.next_time(users, at=instant, horizons=horizon or ("1d", "7d", "30d"))
    facts = {
        "model_version": model.model_version,
        "at": output.instant(instant),
        "rows": frame.to_dicts(),
    }
    output.result(facts, as_json=json, text=lambda _: output.table(frame))
