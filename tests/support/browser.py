"""Drive Chromium without a window, through its DevTools protocol over two pipes; only Chromium must be installed.

Callers wait for conditions (`Browser.until`), never for a fixed time.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from support.waiting import until

PATIENCE = 90.0
"""The longest wait for a page, in seconds; two slow cores that other work shares need a tenth of it."""


def chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


def element(selector: str, text: str) -> str:
    """Return a JavaScript expression for the first element that matches a CSS selector and has exactly this text."""
    return (
        f"[...document.querySelectorAll({json.dumps(selector)})].find(e => e.innerText?.trim() === {json.dumps(text)})"
    )


def texts(selector: str) -> str:
    """Return a JavaScript expression for the texts of all elements that match a CSS selector."""
    return f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent.trim())"


class Browser:
    """A window of Chromium with an empty profile, open while the context lasts.

    Args:
        profile: a folder for the profile; the user's own profile is not read.
        width: the window's width in pixels.
        height: the window's height in pixels.
    """

    def __init__(self, profile: Path, width: int = 1400, height: int = 900) -> None:
        self._profile, self._size = profile, (width, height)
        self._count = 0
        self.errors: list[str] = []  # of scripts, and what pages write to the console as errors
        self._unread = b""
        self._session = ""

    def __enter__(self) -> Browser:
        found = chromium()
        assert found is not None, "no chromium on PATH"
        flags = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        # Plots show their buttons only under a mouse, so the page must believe that there is one.
        mouse = "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4"
        flags += [f"--blink-settings={mouse}", "--disable-background-networking", "--remote-debugging-pipe"]
        flags.append(f"--user-data-dir={self._profile}")
        flags.append("--no-sandbox")  # Chromium needs it as root and in many containers; the pages are our own
        # Chromium reads commands from file descriptor 3 and answers on 4.
        command = ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1', "sh", found, *flags, "about:blank"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        width, height = self._size
        self._call("Runtime.enable")
        self.resize(width, height)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # Chromium and its child processes
        self._process.communicate()

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        """Prefer the colour scheme "light" or "dark"."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def go_offline(self) -> None:
        """Cut off the network."""
        self._call("Network.enable")
        self._call(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
        )

    def open(self, url: str) -> None:
        """Go to a page, without waiting for what it shows."""
        self._call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression on the page, as far as JSON can hold it."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def text(self) -> str:
        """Return the page's visible text."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def until(self, expression: str, seconds: float = PATIENCE) -> Any:
        """Wait until a JavaScript expression is true on the page, and return its value.

        Raises:
            TimeoutError: The expression has not become true; the message holds the page's text.
        """

        def value() -> Any:
            try:
                return self.evaluate(expression)
            except RuntimeError:  # an element that it names is not there yet
                return None

        return until(value, seconds, state=lambda: f"{expression}; the page says:\n{self.text()}")

    def click(self, found: str) -> None:
        """Wait until the element of a JavaScript expression is visible and no longer moves, and click on its middle."""
        x, y = self.until(
            f"(async () => {{ const e = {found}; e.scrollIntoView({{block: 'center'}});"
            " const at = () => { const r = e.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; };"
            " const before = at(); await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);"
            " const [x, y, width, height] = at(), point = [x + width / 2, y + height / 2];"
            " const hit = document.elementFromPoint(...point);"
            " return String(before) === String(at()) && hit && (e.contains(hit) || hit.contains(e)) && point; })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def point(self, x: float, y: float) -> None:
        """Move the pointer to a place in the window."""
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def drag(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """Press at a place, move to another one, and release there."""
        self.point(x, y)
        self._call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
        for share in (0.5, 1):
            between = {"x": x + share * (to_x - x), "y": y + share * (to_y - y)}
            self._call("Input.dispatchMouseEvent", type="mouseMoved", button="left", buttons=1, **between)
        self._call("Input.dispatchMouseEvent", type="mouseReleased", x=to_x, y=to_y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Type at the cursor, where the last click has put it."""
        self._call("Input.insertText", text=text)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write what the window shows, or the whole page, to a PNG file."""
        found = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(found["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while True:
            answer = json.loads(self._line(end))
            self._note(answer)
            if answer.get("id") == self._count:  # other messages are events
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _note(self, event: dict[str, Any]) -> None:
        given = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        if event.get("method") == "Runtime.consoleAPICalled" and given["type"] in ("error", "assert"):
            self.errors.append(" ".join(str(one.get("value", one.get("description"))) for one in given["args"]))

    def _line(self, end: float) -> bytes:
        assert self._process.stdout is not None
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._process.stdout], [], [], max(end - time.monotonic(), 0))
            if not ready:
                raise TimeoutError("chromium does not answer")
            chunk = os.read(self._process.stdout.fileno(), 1 << 20)
            if not chunk:
                raise RuntimeError("chromium has ended")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\0")
        return line
