"""``recency recommend``: ask a saved model."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import options, output
from recency.cli.reading import asked_at

if TYPE_CHECKING:
    from recency.asking.selection import SelectionArgs


def recommend(
    folder: options.Folder,
    user: Annotated[list[str], typer.Option(help="User id; may be given several times.")],
    k: Annotated[int, typer.Option("--k", "-k", help="Items a user.")] = 10,
    at: options.At = None,
    repeats: Annotated[
        bool, typer.Option(help="Whether items of the history may come again.")
    ] = True,
    category: Annotated[
        list[str] | None, typer.Option(help="Only items of these categories.")
    ] = None,
    exclude_category: Annotated[
        list[str] | None, typer.Option(help="No item of any of these categories.")
    ] = None,
    price: Annotated[str | None, typer.Option(help="Least..most, such as 5..20 or ..20.")] = None,
    boost: Annotated[
        list[str] | None,
        typer.Option(help="Category or item and a factor on its chance, such as camping:2."),
    ] = None,
    diversity: Annotated[
        float, typer.Option(help="How much a list avoids items alike, from 0 to 1.")
    ] = 0.0,
    max_per_category: Annotated[
        int | None, typer.Option(help="Most items of one category in a list.")
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="Event type, or several: click:0.7,purchase:0.3.")
    ] = None,
    json: output.Json = False,
) -> None:
    """Rank items for users of a saved model."""
    from recency.loading import load

    rules = _rules(
        exclude_categories=exclude_category,
        price=price,
        boost=",".join(boost) if boost else None,
        diversity=diversity,
        max_per_category=max_per_category,
        objective=objective,
    )
    model = load(folder)
    users = [model.users.coerce(one) for one in user]
    rules["repeats"], rules["categories"] = repeats, category
    found = model.recommend(users, k, at=asked_at(at), **rules)
    frame = output.titled(found.to_frame(), model.catalogue)
    facts = {
        "model_version": found.model_version,
        "at": output.instant(found.at),
        "as_of": None if found.as_of is None else output.instant(found.as_of),
        "recommendations": frame.to_dicts(),
    }
    output.result(facts, as_json=json, text=lambda _: output.table(frame))


def _rules(*, boost: str | None, **rules: Any) -> "SelectionArgs":
    """Read rules as the service reads them in an address; all faults are told together."""
    from recency.errors import ConfigError, raise_all
    from recency.serving.http.rule_checks import boosts_in_text, rules_of

    faults: list[str] = []

    def fault(name: str, detail: str) -> None:
        faults.append(f"--{name.replace('_', '-')}: {detail}")

    boosts = None if boost is None else boosts_in_text(boost, fault)
    found = rules_of({**rules, "boost": boosts}, fault)
    raise_all(faults, ConfigError)
    return found
