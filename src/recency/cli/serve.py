"""``recency serve``: a saved model behind REST, with its events in a durable log."""

import ipaddress
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recency.cli import output
from recency.errors import ConfigError

if TYPE_CHECKING:
    from recency.serving.engine import Engine
    from recency.serving.keys import KeyRing


def serve(
    folder: Annotated[Path, typer.Argument(help="Folder of the model.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any free one.", min=0, max=65535)] = 8080,
    events: Annotated[
        Path | None, typer.Option(help="Event store; default FOLDER/serve/events.sqlite.")
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            help="Key that requests must bear; better given in the environment.",
            envvar="RECENCY_API_KEY",
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Ask for no key, wherever it listens.")
    ] = False,
    max_skew: Annotated[
        str, typer.Option(help="How far an event may lie ahead of this machine's clock.")
    ] = "5min",
    studio: Annotated[bool, typer.Option(help="Offer the studio's page at /studio/.")] = True,
    json: output.Json = False,
) -> None:
    """Serve a model until interrupted; events are kept and seen by the next answer.

    Listening on anything but this machine asks for a key. One is made at the first start, shown
    once and kept as a hash in the folder.
    """
    if insecure and api_key is not None:
        raise ConfigError("--insecure asks for no key, but --api-key gives one; choose one.")

    import torch

    from recency.serving.app import create_app
    from recency.serving.engine import Engine
    from recency.serving.http.access import LOOPBACK
    from recency.serving.server import address_of, bind, run
    from recency.studio import mount

    torch.set_num_threads(1)  # more would wait for each other at every small product
    taken = bind(host, port)
    with closing(taken), closing(Engine.open(folder, events, max_skew=max_skew)) as engine:
        local = _is_local(host)
        keys = _keys(folder, api_key, insecure or local)
        if keys is None and not local:
            output.tell("Warning: no key is asked for; whoever reaches this port may do anything.")
        app = create_app(engine, keys=keys, hosts=LOOPBACK if keys is None and local else None)
        if studio:
            mount(app)
        address = address_of(taken)
        facts = {"address": address, **_standing(engine)}
        output.result(facts, as_json=json, text=lambda _: f"Serving at {address}")
        output.tell(_told(engine, address))
        run(app, taken)
    output.tell(f"Stopped; the event log ends at seq {engine.last_seq:,}.")


def _keys(folder: Path, api_key: str | None, unguarded: bool) -> "KeyRing | None":
    from recency.serving.keys import KeyRing

    if api_key is not None:
        return KeyRing.of(api_key)
    if unguarded:
        return None
    path = folder / "serve" / "api_keys.json"
    ring, fresh = KeyRing.kept_in(path)
    if fresh is None:
        output.tell(f"Requests need the API key of {path}; remove the file to have a new one made.")
    else:
        output.tell(f"API key, shown only now: {fresh}\nSend it as 'X-API-Key: KEY'.")
    return ring


def _is_local(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _standing(engine: "Engine") -> dict[str, object]:
    return {
        "model_version": engine.model_version,
        "n_users": engine.n_users,
        "n_items": engine.n_items,
        "n_replayed": engine.follower.n_replayed,
        "n_absorbed": engine.follower.n_absorbed,
    }


def _told(engine: "Engine", address: str) -> str:
    follower = engine.follower
    lines = [
        f"Model {engine.model_version}: {engine.n_users:,} users, {engine.n_items:,} items.",
        f"{follower.n_replayed:,} events applied from the event log.",
    ]
    if follower.n_absorbed:
        lines.append(f"{follower.n_absorbed:,} more were left out: the model learned from them.")
    lines.append(f"Page: {address}/studio/   Routes: {address}/docs   Stop with Ctrl-C.")
    return "\n".join(lines)
