"""``recency restore``: a backup put in place, checked, and what it knows by its hash."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from recency.cli import output


def restore(
    backup: Annotated[Path, typer.Argument(help="Written by 'recency backup'.")],
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet, or is empty.")],
    erased_in: Annotated[
        Path | None,
        typer.Option(help="Event store of today: who was erased there is erased here too."),
    ] = None,
    hash: Annotated[
        bool, typer.Option(help="Start the model once and print the hash of what it knows.")
    ] = True,
    json: output.Json = False,
) -> None:
    """Check a backup, put it in place, and tell what it knows by a hash."""
    from recency.serving.snapshots.backup import restore_backup

    found = restore_backup(backup, folder)
    if erased_in is not None:
        from recency.serving.log.event_store import EventStore
        from recency.serving.users.erasure import carry_erasures

        with EventStore(folder / "serve" / "events.sqlite") as store:
            n_erased = carry_erasures(erased_in, store)
        output.tell(f"Erased again, as in {erased_in}: {n_erased:,} ids.")
    facts = asdict(found) | {"folder": str(folder), "state_hash": None}
    if hash:
        from recency.serving.engine import Engine
        from recency.serving.snapshots.state_hash import state_hash

        output.tell("Starting the model to compute the hash of what it knows ...")
        with closing(Engine.open(folder)) as engine:
            facts["state_hash"] = engine.call(state_hash).result()
    output.result(facts, as_json=json, text=_told)


def _told(facts: dict[str, object]) -> str:
    lines = [
        f"Restored to {facts['folder']}: model {facts['model_version']}, the event log up to seq "
        f"{facts['seq']:,}, as of {facts['taken']}."
    ]
    if facts["state_hash"] is not None:
        lines.append(f"Hash of what it knows: {facts['state_hash']}")
    return "\n".join(lines)
