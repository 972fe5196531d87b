"""A real server in a process of its own: started, asked, killed."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any


class Server:
    """Run ``recency serve`` on a free port of this machine until stopped or killed.

    Args:
        folder: Of the model.
        arguments: Further ones of ``recency serve``.
        log: Where the server's stderr goes.
    """

    def __init__(
        self, folder: Path, arguments: Sequence[str] = (), log: IO[bytes] | None = None
    ) -> None:
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "recency", "serve", str(folder), "--port", "0", "--json"]
            + list(arguments),
            stdout=subprocess.PIPE,
            stderr=log or subprocess.DEVNULL,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended with {self.process.wait()} before it served.")
        self.facts: dict[str, Any] = json.loads(line)
        self.address: str = self.facts["address"]
        self.get("/ready")
        self.start_seconds = time.perf_counter() - started

    @property
    def port(self) -> int:
        """Give the port."""
        return int(self.address.rpartition(":")[2])

    def get(self, path: str) -> Any:
        """Ask and decode the answer."""
        with urllib.request.urlopen(self.address + path, timeout=60) as answer:
            return json.load(answer)

    def post(self, path: str, body: object) -> Any:
        """Send JSON and decode the answer."""
        request = urllib.request.Request(
            self.address + path,
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def kill(self) -> None:
        """End it as a power cut ends a process: without a word."""
        self.process.kill()
        self._wait()

    def stop(self) -> int:
        """End it politely, and give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._wait()

    def _wait(self) -> int:
        code = self.process.wait(timeout=60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code
