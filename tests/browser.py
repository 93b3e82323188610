"""Chromium without a window, driven through its DevTools protocol over two pipes: nothing to install but Chromium.

Whoever drives it waits for conditions (`until`), never for a time.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PATIENCE = 90.0
"""Seconds in which a page must come to what is waited for: two slow cores, shared, need a tenth of them."""


def chromium() -> str | None:
    """The path of an installed Chromium or Chrome, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """As a context: one window of Chromium, with an empty profile.

    Args:
        profile: a folder for the profile; nothing of the user's own is read.
        width: of the window, in pixels; height: the same.
    """

    def __init__(self, profile: Path, width: int = 1400, height: int = 900) -> None:
        self._profile, self._size = profile, (width, height)
        self._count = 0
        self._unread = b""
        self._session = ""

    def __enter__(self) -> Browser:
        found = chromium()
        assert found is not None, "no chromium on PATH"
        flags = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        flags += ["--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={self._profile}"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium as root starts only without
        # Chromium reads its commands from file 3 and answers in file 4.
        command = ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1', "sh", found, *flags, "about:blank"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        width, height = self._size
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def open(self, url: str) -> None:
        """Go to a page; what it shows comes later."""
        self._call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """What a JavaScript expression is on the page, as far as JSON can hold it."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def text(self) -> str:
        """All that is to be read on the page."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def until(self, expression: str, seconds: float = PATIENCE) -> Any:
        """Wait until a JavaScript expression is true on the page; its value.

        Raises:
            TimeoutError: with the page's text, if it does not become true.
        """
        end = time.monotonic() + seconds
        while True:
            try:
                value = self.evaluate(expression)
            except RuntimeError:  # what it speaks of is not there yet
                value = None
            if value:
                return value
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds:.0f} s for {expression}; the page says:\n{self.text()}")
            time.sleep(0.1)

    def click(self, element: str) -> None:
        """Wait for the element that a JavaScript expression finds, and click on it with the mouse."""
        self.until(f"!!({element})")
        x, y = self.evaluate(
            f"(element => {{ element.scrollIntoView({{block: 'center'}}); const box = element.getBoundingClientRect();"
            f" return [box.x + box.width / 2, box.y + box.height / 2]; }})({element})"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        """What the window shows, as a PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

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
            if answer.get("id") == self._count:  # the others are events
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

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
