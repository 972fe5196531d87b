"""Server: uvicorn around the app, from the bound port to the last drained event.

The port is bound before a model is loaded, so that a port in use is told at once; the engine is
closed after the last answer, so that what was acknowledged is written and what was not is refused.
"""

import errno
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from recency.errors import ConfigError
from recency.serving.connections import bounded
from recency.serving.garbage import Garbage
from recency.serving.limits import ConnectionLimits

_DRAIN_SECONDS = 10
_OTHER_FILES = 256  # the store, the model, libraries
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


def address_of(taken: socket.socket, scheme: str = "http") -> str:
    """Give the address that a browser would open."""
    host, port = taken.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Name the files of a certificate.

    Attributes:
        cert: PEM, with the chain.
        key: PEM; None where it lies in ``cert``.
    """

    cert: Path
    key: Path | None = None

    def check(self) -> None:
        """Read the files once, before anything listens.

        Raises:
            ConfigError: they are no certificate with its key.
        """
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.cert, self.key, password=lambda: "")
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(
                f"expected a certificate and its key, without a passphrase, in {self.cert} and "
                f"{self.key or self.cert}, found: {error.strerror or error}."
            ) from error


def run(
    app: Starlette,
    taken: Sequence[socket.socket],
    *,
    limits: ConnectionLimits | None = None,
    tls: Tls | None = None,
    stop_delay: float = 0.0,
) -> None:
    """Answer until SIGTERM or SIGINT, then finish what is underway and return.

    The order of an end: readiness turns red (``app.state.stopping``); ``stop_delay`` passes, in
    which whoever sends requests here may notice; no connection is taken any more; what is underway
    is answered, for up to ten seconds. What comes after, snapshot and close, is up to the caller. A
    second signal skips the delay.

    Args:
        app: What answers, made by `recency.serving.app.create_app`.
        taken: Where to listen.
        limits: Of connections.
        tls: Certificate of all of them; None for plain HTTP.
        stop_delay: Seconds.
    """
    limits = ConnectionLimits() if limits is None else limits
    _raise_file_limit(limits.connections)
    sys.setswitchinterval(_TURN_SECONDS)
    garbage = Garbage()
    server = _Server(_config(app, limits, tls), app, stop_delay, garbage)
    # From here on a signal ends the server, not the process: the engine is closed afterwards.
    # uvicorn sets the same, and raises the signal once more when it has drained; that is harmless.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, server.handle_exit)
    garbage.begin()
    try:
        with suppress(KeyboardInterrupt):
            server.run(sockets=list(taken))
    finally:
        garbage.end()


@contextmanager
def served(
    app: Starlette, *, port: int = 0, limits: ConnectionLimits | None = None
) -> Iterator[str]:
    """Answer on loopback in a thread, for as long as the block lasts: in tests and notebooks.

    Args:
        app: What answers, made by `recency.serving.app.create_app`; its engine is yours to close.
        port: 0 for any free one.
        limits: Of connections.

    Yields:
        The address.
    """
    with closing(bind("127.0.0.1", port)) as taken:
        server = uvicorn.Server(_config(app, ConnectionLimits() if limits is None else limits))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]}, daemon=True)
        thread.start()
        try:
            yield address_of(taken)
        finally:
            server.should_exit = True
            thread.join()


def end_politely() -> None:
    """Let SIGTERM unwind as Ctrl-C does, in the time before `run`: what is open is closed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _config(app: Starlette, limits: ConnectionLimits, tls: Tls | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=bounded(limits, app.state.metrics.count_refusal),
        ws="none",
        log_config=None,  # recency.serving.logs has its say
        access_log=False,
        server_header=False,
        headers=[("x-content-type-options", "nosniff")],
        proxy_headers=False,  # nothing here depends on who asks
        lifespan="off",
        timeout_keep_alive=round(limits.idle_seconds),
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        ssl_certfile=None if tls is None else tls.cert,
        ssl_keyfile=None if tls is None else tls.key,
    )


class _Server(uvicorn.Server):
    """Turn readiness red and wait a moment before the end; search for garbage in between."""

    def __init__(
        self, config: uvicorn.Config, app: Starlette, delay: float, garbage: Garbage
    ) -> None:
        super().__init__(config)
        self._app, self._delay, self._garbage = app, delay, garbage
        self._stop_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._stop_at is not None or not self._delay:
            super().handle_exit(sig, frame)
        if self._stop_at is None:
            self._stop_at = time.monotonic() + self._delay
            self._app.state.stopping = True

    async def on_tick(self, counter: int) -> bool:
        state = self.server_state
        self._garbage.look(state.total_requests, bool(state.tasks))
        due = self._stop_at is not None and time.monotonic() >= self._stop_at
        return await super().on_tick(counter) or due


def _raise_file_limit(connections: int) -> None:
    """Let the process hold as many files as it may have connections, where the system allows."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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
