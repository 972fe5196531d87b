"""``recency models``: the versions of a model, listed, published, promoted and taken back.

All of it works on the folder alone. A server that runs on it notices within a second, puts what was
promoted through its gate, and serves it without a pause or writes down why not.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from recency.cli import output

if TYPE_CHECKING:
    from recency.serving.models.registry import Registry


class _ListUnlessSaid(TyperGroup):
    """Take ``recency models FOLDER`` for ``recency models list FOLDER``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in where none is named."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ListUnlessSaid,
    help="List, publish, promote and take back the versions of a model.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Argument(help="What 'recency serve' is given: model or registry.")]
Version = Annotated[str, typer.Argument(help="Name of the version, as in the list.")]
Reason = Annotated[str, typer.Option(help="Kept in the history.")]


@app.command("list")
def list_versions(
    folder: Folder,
    history: Annotated[bool, typer.Option(help="What happened to them, too.")] = False,
    json: output.Json = False,
) -> None:
    """List the versions, the one that serves, and why others were refused."""
    from dataclasses import asdict

    from recency.serving.models.registry import Registry

    registry = Registry.of(folder)
    facts: dict[str, Any] = {"versions": _lines(registry)}
    if history:
        facts["history"] = [
            asdict(act) | {"at": output.instant(act.at)} for act in registry.history.acts()
        ]
    output.result(facts, as_json=json, text=_listed)


@app.command("publish")
def publish(
    folder: Annotated[Path, typer.Argument(help="Model or registry; made where there is none.")],
    model: Annotated[Path, typer.Argument(help="Folder of the model to publish.")],
    candidate: Annotated[
        bool, typer.Option("--candidate", help="Let it take over as soon as the gate lets it.")
    ] = False,
    reason: Reason = "",
    json: output.Json = False,
) -> None:
    """Copy a model in as a version, whole or not at all. The first one of a registry serves."""
    from recency.serving.models.gate import folder_faults
    from recency.serving.models.registry import Registry
    from recency.serving.refusals import RefusedModelError

    fresh = not folder.exists() or not any(folder.iterdir())
    registry = Registry(folder) if fresh else Registry.of(folder)
    if faults := folder_faults(model):
        raise RefusedModelError(f"{model} is not published: {' '.join(faults)}")
    version = registry.publish(model, {"reason": reason} if reason else None, candidate=candidate)
    if registry.pointer().version is None:
        registry.promote(version, "the first one")
    current = registry.pointer().version
    output.result(
        {"version": version, "current": current},
        as_json=json,
        text=lambda _: f"Published {version}; {current} is the current version.",
    )


@app.command("promote")
def promote(
    folder: Folder, version: Version, reason: Reason = "by hand", json: output.Json = False
) -> None:
    """Make a version the current one."""
    from recency.serving.models.registry import Registry

    registry = Registry.of(folder)
    registry.promote(version, reason)
    _tell_current(registry, json)


@app.command("rollback")
def rollback(folder: Folder, reason: Reason = "", json: output.Json = False) -> None:
    """Make the version before the current one again."""
    from recency.serving.models.registry import Registry

    registry = Registry.of(folder)
    registry.rollback(reason)
    _tell_current(registry, json)


def _tell_current(registry: "Registry", json: bool) -> None:
    pointer = registry.pointer()
    output.result(
        {"current": pointer.version, "previous": pointer.previous},
        as_json=json,
        text=lambda _: f"{pointer.version} is the current version.",
    )


def _lines(registry: "Registry") -> list[dict[str, Any]]:
    pointer = registry.pointer()
    roles = {pointer.previous: "previous", pointer.version: "current"}
    return [
        {
            "version": one.version,
            "role": roles.get(one.version),
            "published": output.instant(one.published) if one.published else None,
            "candidate": one.candidate,
            "refused": one.refused,
            "facts": dict(one.facts),
            "folder": str(one.folder),
        }
        for one in registry.versions()
    ]


def _listed(facts: dict[str, Any]) -> str:
    rows = [("version", "role", "published", "note")]
    for one in facts["versions"]:
        note = one["refused"] and f"refused: {one['refused']}"
        waits = "candidate" if one["candidate"] and one["role"] is None else ""
        rows.append(
            (one["version"], one["role"] or "", one["published"] or "", str(note or waits)[:100])
        )
    text = output.align(rows, [False] * 4)
    if "history" in facts:
        acts = [("at", "what", "version", "reason")]
        acts += [
            (one["at"], one["what"], one["version"], one["reason"][:100])
            for one in facts["history"]
        ]
        text += "\n\n" + output.align(acts, [False] * 4)
    return text
