"""A headless browser driven through the DevTools protocol over two pipes: no driver, no library."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-extensions",
    "--disable-sync",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
# The browser reads commands from descriptor 3 and writes answers to 4; a subprocess cannot be given
# descriptors under chosen numbers, so a line of Python moves them and becomes the browser.
_LAUNCH = (
    "import fcntl, os, sys; "
    "r, w = (fcntl.fcntl(int(one), fcntl.F_DUPFD, 10) for one in sys.argv[1:3]); "
    "os.dup2(r, 3); os.dup2(w, 4); os.execv(sys.argv[3], sys.argv[3:])"
)


_STILL = 8  # looks at the page, one a poll, that must agree before a click


class Browser:
    """A running browser; a context manager, it goes at the end.

    Args:
        program: The browser.
        profile: An empty folder for it.
    """

    def __init__(self, program: Path, profile: Path) -> None:
        down, up = os.pipe(), os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(down[0]), str(up[1]), str(program), *_FLAGS,
             f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(down[0], up[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(down[0])
        os.close(up[1])
        self._out, self._in = os.fdopen(down[1], "wb"), os.fdopen(up[0], "rb")
        self._rest, self._number = b"", 0
        self._told: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.send("", "Browser.close")
            self._process.wait(10)
        except (OSError, EOFError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._out.close()
        self._in.close()

    def page(
        self, width: int = 1400, height: int = 900, dark: bool = False, calm: bool = False
    ) -> "Page":
        """Open a page that shares no storage with any other.

        Args:
            width, height: Of the page; below 600 it is a phone's.
            dark: Whether the person prefers dark colours.
            calm: Whether the person prefers little movement.
        """
        context = self.send("", "Target.createBrowserContext")["browserContextId"]
        target = self.send("", "Target.createTarget", url="about:blank", browserContextId=context)[
            "targetId"
        ]
        found = self.send("", "Target.attachToTarget", targetId=target, flatten=True)
        session = found["sessionId"]
        page = Page(self, session, self._told.setdefault(session, []))
        for domain in ("Page", "Runtime", "Log"):
            self.send(session, f"{domain}.enable")
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"},
        ]
        self.send(session, "Emulation.setEmulatedMedia", features=features)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send(session, "Emulation.setDeviceMetricsOverride", **size)
        self.send(session, "Emulation.setFocusEmulationEnabled", enabled=True)
        return page

    def send(self, session: str, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command to a session, or to the browser where that is empty; give its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._in.fileno(), 2**20)
            if not piece:
                raise EOFError("the browser has gone")
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _note(self, answer: dict[str, Any]) -> None:
        """Remember what a page complains of."""
        told, given = self._told.get(answer.get("sessionId", ""), []), answer.get("params", {})
        if answer.get("method") == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            told.append(details.get("exception", {}).get("description", details["text"]))
        if answer.get("method") == "Log.entryAdded" and given["entry"]["level"] == "error":
            told.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")


@dataclass(frozen=True)
class Page:
    """One page; ``told`` collects the errors of its console."""

    browser: Browser
    session: str
    told: list[str]

    def close(self) -> None:
        """Close the page."""
        self._send("Page.close")

    def open(self, address: str) -> None:
        """Go to an address; use `wait_for` to know that it is there."""
        self._send("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """Evaluate JavaScript, awaiting promises; give its value.

        Raises:
            AssertionError: the script threw.
        """
        found = self._send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, script: str, seconds: float = 30) -> Any:
        """Evaluate until the value is truthy; give it.

        Raises:
            AssertionError: it never was.
        """
        value = None

        def holds() -> object:
            nonlocal value
            value = self.run(script)
            return value

        self.wait_until(holds, seconds)
        return value

    def text(self, selector: str) -> str:
        """Give the text of the first element that a selector finds."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).textContent"))

    def texts(self, selector: str) -> list[str]:
        """Give the texts of all elements that a selector finds."""
        every = f"[...document.querySelectorAll({json.dumps(selector)})]"
        return list(self.run(f"{every}.map((one) => one.textContent)"))

    def count(self, selector: str) -> int:
        """Count the elements that a selector finds."""
        return int(self.run(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def wait_until(self, holds: Callable[[], object], seconds: float = 30) -> None:
        """Ask again and again until something holds.

        Raises:
            AssertionError: it never did.
        """
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"not within {seconds} s; console: {self.told}"
            time.sleep(0.03)

    def click(self, selector: str) -> None:
        """Click the middle of the first element that a selector finds, once all stands still.

        A list that is about to be drawn anew would take the element away between press and release,
        so nothing may move, nor any animation run, for a while.
        """
        script = (
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'nearest', behavior: 'instant'});"
            " const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2, document.body.innerHTML.length,"
            " document.getAnimations().length] })()"
        )
        seen = [self.run(script)]

        def still() -> bool:
            seen.append(self.run(script))
            return len(seen) > _STILL and all(one == seen[-1] for one in seen[-_STILL:])

        self.wait_until(still)
        x, y, *_ = seen[-1]
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, code: int) -> None:
        """Press and release a key, given its name and its code."""
        for kind in ("keyDown", "keyUp"):
            self._send("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path, whole: bool = False) -> None:
        """Save what is to be seen, or the whole page, as PNG."""
        found = self._send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.send(self.session, method, **parameters)
