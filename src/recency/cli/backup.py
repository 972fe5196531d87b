"""``recency backup``: a copy of a model, its versions and its events, while they are served."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from recency.cli import output


def backup(
    folder: Annotated[Path, typer.Argument(help="What 'recency serve' is given.")],
    to: Annotated[Path, typer.Argument(help="A folder that does not exist yet, or is empty.")],
    events: Annotated[
        Path | None, typer.Option(help="Event store; default FOLDER/serve/events.sqlite.")
    ] = None,
    json: output.Json = False,
) -> None:
    """Copy a model, its versions and its event log; a server may be using them meanwhile."""
    from recency.serving.snapshots.backup import back_up

    found = back_up(folder, to, events)
    facts = asdict(found) | {"folder": str(found.folder)}
    output.result(
        facts,
        as_json=json,
        text=lambda one: (
            f"Backed up {one['n_files']} files, {one['n_bytes'] / 1e6:,.1f} MB, to "
            f"{one['folder']}: the event log up to seq {one['seq']:,}, model "
            f"{one['model_version']}."
        ),
    )
