"""A real browser, driven over a pipe by Chromium's own protocol: no driver, no port."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip

PLUMBER = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for place, end in enumerate(ends, 3):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Puts the ends of the pipes where Chromium looks for them (3 and 4), and becomes Chromium."""


class Browser:
    """One tab of a Chromium. What pages ask before they do something is kept, and answered with yes."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._rest, self._number, self._session = b"", 0, ""
        self.complaints: list[str] = []
        self.questions: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def look(self, width: int, height: int = 900, scheme: Literal["light", "dark"] = "light") -> None:
        """Look at pages through a window of that size, in that colour scheme."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is there."""
        self._call("Page.navigate", url=url)
        self._until("Page.loadEventFired")

    def tell(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        text = {"Enter": "\r"}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, text=text, windowsVirtualKeyCode=13)

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """A picture of the page, as a PNG."""
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        file.write_bytes(base64.b64decode(shot["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 9000), "scale": 1}}

    def _call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._number:
                assert "error" not in heard, (method, heard)
                return heard["result"]

    def _until(self, event: str) -> None:
        while self._hear().get("method") != event:
            pass

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._back, 1 << 20)
            assert more, "the browser has gone"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        heard: dict[str, Any] = json.loads(message)
        if heard.get("method") == "Log.entryAdded" and heard["params"]["entry"]["level"] == "error":
            self.complaints.append(heard["params"]["entry"]["text"])
        if heard.get("method") == "Page.javascriptDialogOpening":
            self._agree(heard["params"]["message"])
        return heard

    def _agree(self, question: str) -> None:
        """Say yes; the answer to that comes under a number that nobody waits for."""
        self.questions.append(question)
        told = {
            "id": 0,
            "method": "Page.handleJavaScriptDialog",
            "params": {"accept": True},
            "sessionId": self._session,
        }
        os.write(self._to, json.dumps(told).encode() + b"\0")


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium with nothing remembered; skips where none is installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed here")
    read_commands, write_commands = os.pipe()
    read_answers, write_answers = os.pipe()
    profile = tempfile.mkdtemp(prefix="chromium-")
    started = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PLUMBER,
            str(read_commands),
            str(write_answers),
            program,
            *FLAGS,
            f"--user-data-dir={profile}",
        ],
        pass_fds=(read_commands, write_answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_commands)
    os.close(write_answers)
    try:
        yield Browser(write_commands, read_answers)
    finally:
        os.close(write_commands)
        os.close(read_answers)
        started.kill()
        started.wait()
        shutil.rmtree(profile, ignore_errors=True)
