"""``recency explain``: why an item stands where it stands in a user's list."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recency.cli import options, output
from recency.cli.reading import asked_at

if TYPE_CHECKING:
    from recency.explaining.explanation import Explanation

_SHOWN = 10  # events, those that bring most


def explain(
    folder: options.Folder,
    user: Annotated[str, typer.Option(help="User id.")],
    item: Annotated[
        str | None, typer.Option(help="Item id; default: the first of the user's list.")
    ] = None,
    at: options.At = None,
    without: Annotated[
        list[int] | None,
        typer.Option(help="Event to leave out, by how many events ago (1: the newest); repeats."),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="in_turn, leave_one_out, gradients or integrated_gradients: how it is found "
            "what an event brings."
        ),
    ] = "in_turn",
    window: Annotated[int, typer.Option(help="Newest events looked at one by one.")] = 50,
    plot: Annotated[
        Path | None, typer.Option(help="Draw it into a .png, .svg or .pdf file.")
    ] = None,
    json: output.Json = False,
) -> None:
    """Say what an item's place in a user's list rests on."""
    from typing import cast

    from recency.explaining.contributions import Method
    from recency.explaining.explain import explain as asked
    from recency.explaining.picture import check_path
    from recency.loading import load

    if plot is not None:
        check_path(plot)
    model = load(folder)
    instant = asked_at(at)
    who = model.users.coerce(user)
    if item is None:
        what = model.recommend([who], 1, at=instant, unknown="raise").items[0][0]
    else:
        what = model.items.coerce(item)
    told = asked(
        model, who, what, instant,
        without=without or (), method=cast(Method, method), window=window,
    )  # fmt: skip
    if plot is not None:
        told.plot(plot)
        output.tell(f"Drawn into {plot}.")
    output.result(told.to_dict(), as_json=json, text=lambda _: _text(told))


def _text(told: "Explanation") -> str:
    """Write sentences, then the events that bring most, either way."""
    import polars as pl

    shown = ["turn", "ago", "item_id", "title", "timestamp", "contribution", "rank_without"]
    events = told.to_frame().select(shown)
    most = events.sort(pl.col("contribution").abs(), descending=True, nulls_last=True).head(_SHOWN)
    text = f"{told}\n\n{output.table(most)}"
    if events.height > _SHOWN:
        text += f"\n{events.height - _SHOWN} events that bring less are left out; --json has all."
    return text
