"""``recency keys``: who may use a service. Made, replaced and revoked while it runs.

A key is shown once, when it is made. The folder keeps its hash, and a running server reads that
again within a second; each change is written to the audit log.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recency.cli import output
from recency.errors import ConfigError

if TYPE_CHECKING:
    from recency.serving.access.keys import KeyRing

app = typer.Typer(
    help="Make, list, replace and revoke the keys of a service.", no_args_is_help=True
)

Folder = Annotated[Path, typer.Argument(help="Folder of the model.")]
Name = Annotated[str, typer.Argument(help="Whom the key is for.")]


@app.command("list")
def list_keys(folder: Folder, json: output.Json = False) -> None:
    """List the keys: their ids, names and scopes, never the keys."""
    ring = _ring(folder)
    lines = [
        {"id": key.id, "name": key.name, "scopes": sorted(key.scopes), "rate": key.rate,
         "made": key.made}
        for key in ring.keys
    ]  # fmt: skip
    output.result({"keys": lines}, as_json=json, text=_listed)


@app.command("make")
def make(
    folder: Folder,
    name: Name,
    scope: Annotated[
        list[str],
        typer.Option(help="events:write, recommend:read, catalog:write or admin; repeat for more."),
    ],
    rate: Annotated[
        float | None, typer.Option(help="Most requests a second; as the server says unless said.")
    ] = None,
    json: output.Json = False,
) -> None:
    """Make a key, and show it this once. One with events:write alone is fit for browsers."""
    ring, key = _ring(folder).with_new(name, scope, rate=rate, made=_now())
    _keep(folder, ring, "make-key", name, ring.keys[-1].id)
    _show(ring, key, json)


@app.command("rotate")
def rotate(folder: Folder, name: Name, json: output.Json = False) -> None:
    """Make a second key of a name, for the same; the first lives on until you revoke it."""
    ring, key = _ring(folder).rotated(name, made=_now())
    _keep(folder, ring, "rotate-key", name, ring.keys[-1].id)
    _show(ring, key, json)


@app.command("revoke")
def revoke(
    folder: Folder,
    key: Annotated[str, typer.Argument(help="Its id, or its name where that has one key only.")],
    json: output.Json = False,
) -> None:
    """Make a key worthless."""
    ring, gone = _ring(folder).without(key)
    _keep(folder, ring, "revoke-key", gone.name, gone.id)
    output.result(
        {"revoked": gone.id, "name": gone.name},
        as_json=json,
        text=lambda _: f"Revoked {gone.id} of {gone.name}; {len(ring.keys)} are left.",
    )


def _ring(folder: Path) -> "KeyRing":
    from recency.serving.access.keys import FILE, KeyRing

    if not folder.is_dir():
        raise ConfigError(f"expected the folder of a model, found none: {folder}.")
    path = folder / "serve" / FILE
    return KeyRing.read(path) if path.exists() else KeyRing(())


def _keep(folder: Path, ring: "KeyRing", action: str, name: str, key_id: str) -> None:
    """Write a change down, then make it."""
    from recency.serving.access.audit import FILE as AUDIT
    from recency.serving.access.audit import Audit
    from recency.serving.access.keys import FILE

    Audit(folder / "serve" / AUDIT).note(action, name=name, key=key_id)
    ring.write(folder / "serve" / FILE)


def _show(ring: "KeyRing", key: str, json: bool) -> None:
    made = ring.keys[-1]
    facts = {"key": key, "id": made.id, "name": made.name, "scopes": sorted(made.scopes)}
    output.tell("Shown only now; keep it where secrets are kept. Send it as 'X-API-Key: KEY'.")
    output.result(facts, as_json=json, text=lambda _: key)


def _now() -> str:
    from recency.serving.intake.event_checks import wall_clock
    from recency.units import format_instant

    return format_instant(wall_clock())


def _listed(facts: dict[str, Any]) -> str:
    rows = [["id", "name", "scopes", "requests a second", "made"]]
    for one in facts["keys"]:
        rate = "" if one["rate"] is None else f"{one['rate']:g}"
        rows.append([one["id"], one["name"], " ".join(one["scopes"]), rate, one["made"] or ""])
    if len(rows) == 1:
        return "There are no keys."
    return output.align(rows, [False, False, False, True, False])
