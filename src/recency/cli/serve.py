"""``recency serve``: a saved model behind REST, with its events in a durable log."""

import ipaddress
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recency.cli import output
from recency.cli import serve_options as options
from recency.errors import ConfigError
from recency.units import parse_duration

if TYPE_CHECKING:
    from socket import socket

    from fastapi import FastAPI

    from recency.serving.engine import Engine
    from recency.serving.http.access import Keys
    from recency.serving.http.traces import Traces
    from recency.serving.server import Tls


def serve(
    folder: options.Folder,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8080,
    admin_port: options.AdminPort = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    studio: options.Studio = True,
    stop_delay: options.StopDelay = "0s",
    api_key: options.ApiKey = None,
    insecure: options.Insecure = False,
    origin: options.Origin = None,
    rate: options.Rate = None,
    user_rate: options.UserRate = 4.0,
    connections: options.Connections = 2048,
    requests: options.Requests = 1000,
    underway: options.Underway = 100_000,
    events: options.Events = None,
    durability: options.Durability = "sync",
    max_skew: options.MaxSkew = "5min",
    snapshot_events: options.SnapshotEvents = 100_000,
    snapshot_every: options.SnapshotEvery = "15min",
    imports: options.Imports = None,
    compat: options.Compat = "",
    log: options.LogFormat = "plain",
    access_log: options.AccessLog = False,
    otlp: options.Otlp = None,
    json: output.Json = False,
) -> None:
    """Serve a model until interrupted; events are kept and seen by the next answer.

    Listening on anything but this machine asks for a key. One is made at the first start, shown
    once and kept as a hash in the folder.
    """
    tls = _checked(insecure, api_key, rate, origin, tls_cert, tls_key)

    from recency.serving.access.rates import RateLimits
    from recency.serving.app import create_app
    from recency.serving.limits import ConnectionLimits, RoomLimits
    from recency.serving.server import run

    delay, every, served = parse_duration(stop_delay), parse_duration(snapshot_every), None
    _prepare(log, access_log, api_key)
    kept = {"durability": durability, "max_underway": underway, "max_skew": max_skew}
    with (
        suppress(KeyboardInterrupt),
        _listening(host, port, admin_port) as taken,
        _traces(otlp) as traces,
        _opened(folder, events, kept, (snapshot_events, every)) as engine,
    ):
        app = create_app(
            engine,
            **_who(folder, host, api_key, insecure, tls),
            rates=RateLimits(key=rate, user=user_rate or None),
            admin_port=taken[1].getsockname()[1] if len(taken) > 1 else None,
            origins=origin or (),
            tracer=traces,
            room=RoomLimits(requests=requests),
            imports=imports,
        )
        _add(app, studio, compat)
        _announce(engine, taken, tls, json)
        served, bounds = engine, ConnectionLimits(connections=connections)
        run(app, taken, limits=bounds, tls=tls, stop_delay=delay)
    _tell_end(served)


def _checked(
    insecure: bool,
    api_key: str | None,
    rate: float | None,
    origins: list[str] | None,
    cert: Path | None,
    key: Path | None,
) -> "Tls | None":
    """Refuse what cannot be meant, before anything is loaded; give the certificate."""
    if insecure and api_key is not None:
        raise ConfigError("--insecure asks for no key, but --api-key gives one; choose one.")
    if rate is not None and not rate > 0:
        raise ConfigError(f"expected a --rate above 0 requests a second, found {rate:g}.")
    for one in origins or ():
        scheme, _, rest = one.partition("://")
        if scheme not in ("http", "https") or not rest or "/" in rest or "*" in rest:
            raise ConfigError(
                f"expected an --origin such as https://shop.example, without a path, found {one!r}."
            )
    if cert is None:
        if key is not None:
            raise ConfigError("--tls-key is of no use without --tls-cert; give both.")
        return None
    from recency.serving.server import Tls

    tls = Tls(cert=cert, key=key)
    tls.check()
    return tls


def _prepare(log: str, access_log: bool, api_key: str | None) -> None:
    import torch

    from recency.serving.logs import set_up_logs
    from recency.serving.server import end_politely

    end_politely()
    set_up_logs(log, requests=access_log, secrets=[api_key or ""])
    torch.set_num_threads(1)  # more would wait for each other at every small product


@contextmanager
def _listening(host: str, port: int, admin_port: int | None) -> "Iterator[list[socket]]":
    """Take the ports before anything is loaded."""
    from recency.serving.server import bind

    with ExitStack() as stack:
        taken = [stack.enter_context(closing(bind(host, port)))]
        if admin_port is not None:
            taken.append(stack.enter_context(closing(bind("127.0.0.1", admin_port))))
        yield taken


@contextmanager
def _opened(
    folder: Path, events: Path | None, kept: dict[str, Any], rhythm: tuple[int, float]
) -> "Iterator[Engine]":
    from recency.serving.engine import Engine
    from recency.serving.snapshots.snapshot_taker import SnapshotConfig

    with closing(Engine.open(folder, events, snapshots=SnapshotConfig(*rhythm), **kept)) as engine:
        yield engine


def _who(
    folder: Path, host: str, api_key: str | None, insecure: bool, tls: "Tls | None"
) -> dict[str, Any]:
    """Say who is let in, and where the changes that they make are written down."""
    from recency.serving.access.audit import FILE, Audit
    from recency.serving.http.access import LOOPBACK

    local = _is_local(host)
    keys = _keys(folder, api_key, insecure=insecure, local=local)
    _warn(keyed=keys is not None, local=local, tls=tls is not None)
    hosts = LOOPBACK if keys is None and local else None
    return {"keys": keys, "hosts": hosts, "audit": Audit(folder / "serve" / FILE)}


def _add(app: "FastAPI", studio: bool, compat: str) -> None:
    """Add what is offered beside the service's own routes."""
    from recency.serving.http.compat_routes import add_compat
    from recency.studio import mount

    add_compat(app, [one.strip() for one in compat.split(",") if one.strip()])
    if studio:
        mount(app)


def _announce(engine: "Engine", taken: "list[socket]", tls: "Tls | None", json: bool) -> None:
    """Say where the service is, and what it serves."""
    from recency.serving.server import address_of

    addresses = [address_of(one, "http" if tls is None else "https") for one in taken]
    facts = {"address": addresses[0], **_standing(engine)}
    if len(addresses) > 1:
        facts["admin_address"] = addresses[1]
    output.result(facts, as_json=json, text=lambda _: f"Serving at {addresses[0]}")
    output.tell(_told(engine, addresses))


@contextmanager
def _traces(address: str | None) -> "Iterator[Traces | None]":
    if address is None:
        yield None
        return
    from recency.serving.http.traces import Traces

    traces = Traces.to(address)
    try:
        yield traces
    finally:
        traces.close()


def _keys(folder: Path, api_key: str | None, *, insecure: bool, local: bool) -> "Keys | None":
    """Give who may come: whoever bears the key given, one of the folder's, or anybody.

    A folder's keys guard this machine's own address too, once somebody has made some; the first
    one is made here where others can listen.
    """
    from recency.serving.access.key_file import KeyFile
    from recency.serving.access.keys import FILE, KeyRing

    if api_key is not None:
        return KeyRing.of(api_key)
    path = folder / "serve" / FILE
    if insecure or (local and not path.exists()):
        return None
    ring, fresh = KeyRing.kept_in(path)
    if fresh is None:
        output.tell(f"Requests need the API key of {path}; remove the file to have a new one made.")
    else:
        output.tell(f"API key, shown only now: {fresh}\nSend it as 'X-API-Key: KEY'.")
    return KeyFile(path, ring)


def _warn(*, keyed: bool, local: bool, tls: bool) -> None:
    if local:
        return
    if not keyed:
        output.tell("Warning: no key is asked for; whoever reaches this port may do anything.")
    elif not tls:
        output.tell(
            "Notice: plain HTTP; whoever listens on the way reads the key. Put a proxy with TLS "
            "before it, or give --tls-cert."
        )


def _tell_end(engine: "Engine | None") -> None:
    if engine is None:
        output.tell("Stopped before it served.")
    else:
        output.tell(f"Stopped; the event log ends at seq {engine.last_seq:,}.")


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


def _told(engine: "Engine", addresses: list[str]) -> str:
    from recency.serving.measures import searches

    follower = engine.follower
    lines = [
        f"Model {engine.model_version}: {engine.n_users:,} users, {engine.n_items:,} items.",
        f"{follower.n_replayed:,} events applied from the event log.",
    ]
    if follower.n_absorbed:
        lines.append(f"{follower.n_absorbed:,} more were left out: the model learned from them.")
    lines += [f"Search: {one}." for one in engine.call(searches).result(timeout=60)]
    if len(addresses) > 1:
        lines.append(f"Metrics: {addresses[1]}/metrics")
    lines.append(f"Page: {addresses[0]}/studio/   Routes: {addresses[0]}/docs   Stop with Ctrl-C.")
    return "\n".join(lines)
