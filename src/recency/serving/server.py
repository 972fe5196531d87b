"""Server: uvicorn around the app, from the bound port to the last drained event.

The port is bound before a model is loaded, so that a port in use is told at once; the engine is
closed after the last answer, so that what was acknowledged is written and what was not is refused.
"""

import errno
import gc
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from recency.errors import ConfigError

_DRAIN_SECONDS = 10
# Threads take turns of this length when all have work; the usual 5 ms would show in every answer.
_TURN_SECONDS = 0.0005


def bind(host: str, port: int) -> socket.socket:
    """Take a port, 0 for any free one, and listen: who connects early waits until `run`.

    Raises:
        ConfigError: it is in use, not allowed, or the host is no address of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"expected an address of this machine as host, found {host!r}: {error}."
        ) from error
    family, kind, protocol, _, address = found[0]
    taken = socket.socket(family, kind, protocol)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(address)
        taken.listen(1024)
    except OSError as error:
        taken.close()
        raise ConfigError(_reason(error, host, port)) from error
    return taken


def address_of(taken: socket.socket) -> str:
    """Give the address that a browser would open."""
    host, port = taken.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: ASGIApp, taken: socket.socket) -> None:
    """Answer until SIGTERM or SIGINT, then finish what is underway and return."""
    sys.setswitchinterval(_TURN_SECONDS)
    # What was loaded stays for good. Left among the rest, each full garbage collection would walk
    # through all of it, and every request of that moment would wait.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # nothing here depends on who asks
        lifespan="off",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    # uvicorn raises the signal again after it has drained; here that must not end the process,
    # because the engine is closed afterwards.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, _ignore)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[taken])


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing."""


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use by another program. "
            f"Choose another with --port, or --port 0 for any free one."
        )
    if error.errno == errno.EACCES:
        return f"port {port} may not be used by this user; choose one above 1023 with --port."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine; 127.0.0.1 and 0.0.0.0 always work."
    return f"could not listen on {host} port {port}: {error.strerror}."
