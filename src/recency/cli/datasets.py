"""``recency datasets``: list well-known public logs, fetch one from its official address."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import output

if TYPE_CHECKING:
    from recency.data.unpacking import Prepared

app = typer.Typer(help="List well-known public logs, or fetch one.", invoke_without_command=True)


@app.callback()
def datasets(context: typer.Context, json: output.Json = False) -> None:
    """List well-known public logs, or fetch one."""
    if context.invoked_subcommand is None:
        list_sets(json)


@app.command("list")
def list_sets(json: output.Json = False) -> None:
    """List the public logs that can be fetched."""
    from dataclasses import asdict

    from recency.data.public import PUBLIC_SETS

    sets = [asdict(one) for one in PUBLIC_SETS.values()]
    output.result({"datasets": sets}, as_json=json, text=_listed)


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(help="Name, as in the list.")],
    out: Annotated[Path, typer.Option(help="A folder of the set's name is made in it.")] = Path(
        "data"
    ),
    base_url: Annotated[
        str | None, typer.Option(help="A mirror that holds the archive under its own name.")
    ] = None,
    json: output.Json = False,
) -> None:
    """Fetch a public log, check it, and write it as events.parquet (and items.parquet)."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from recency.data.public import public_set
    from recency.data.unpacking import prepare

    wanted = public_set(name)
    output.tell(f"{name}: {wanted.about}\n  from   {wanted.address}")
    output.tell(f"  terms  {wanted.terms}\n  cite   {wanted.cite}")
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        prepared = prepare(
            name,
            out,
            base_url=base_url,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    output.tell_reading(prepared.report)
    output.result(_facts(prepared), as_json=json, text=_text)


def _facts(prepared: "Prepared") -> dict[str, Any]:
    return {
        "events": str(prepared.events),
        "items": str(prepared.items) if prepared.items is not None else None,
        "n_events": prepared.n_events,
        "sha256": prepared.sha256,
        "checked_by": prepared.checked_by,
    }


def _text(facts: dict[str, Any]) -> str:
    checked = {
        "sha256": "the archive has the known SHA-256",
        "md5": "the archive has the MD5 that its publisher gives",
        "nothing": "its publisher gives no checksum",
    }[facts["checked_by"]]
    lines = [f"{facts['n_events']:,} events: {facts['events']}"]
    lines += [f"Items: {facts['items']}"] if facts["items"] else []
    lines += [f"Checked: {checked} (SHA-256 {facts['sha256']})."]
    return "\n".join([*lines, f"Next: recency inspect {facts['events']}"])


def _listed(facts: dict[str, Any]) -> str:
    rows = [["name", "what", "archive", "checked by"]]
    for one in facts["datasets"]:
        size = f"{one['size'] / 1e6:,.0f} MB" if one["size"] else ""
        checked = "SHA-256" if one["sha256"] else "publisher's MD5" if one["md5_address"] else ""
        rows.append([one["name"], one["about"], size, checked or "nothing (none is published)"])
    listed = output.align(rows, [False, False, True, False])
    return f"{listed}\n\nFetch one: recency datasets get ml-100k --out data. Mind its terms."
