"""Chromium by its own driver, over plain HTTP on loopback: as much of WebDriver as one test takes."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import requests

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Browser:
    """One window."""

    def __init__(self, driver: str, folder: Path) -> None:
        options = {"args": [*FLAGS, f"--user-data-dir={folder}"]}
        wanted = {
            "capabilities": {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
        }
        made = requests.post(f"{driver}/session", json=wanted, timeout=100).json()["value"]
        self._session = f"{driver}/session/{made['sessionId']}"

    def _post(self, path: str, **body: object):
        answer = requests.post(f"{self._session}/{path}", json=body, timeout=100).json()["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def devtools(self, command: str, **parameters: object):
        return self._post("goog/cdp/execute", cmd=command, params=parameters)

    def look(self, *, width: int, mode: str) -> None:
        """Look at pages with a window so wide, in this mode."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": mode}])

    def open(self, url: str) -> None:
        self._post("url", url=url)

    def ask(self, script: str):
        return self._post("execute/sync", script=script, args=[])

    def picture(self, path: Path) -> None:
        """Save what the whole page looks like."""
        data = self.devtools("Page.captureScreenshot", captureBeyondViewport=True, format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """Return what the browser found wrong: blocked styles, files that aren't there."""
        return [entry["message"] for entry in self._post("se/log", type="browser")]

    def close(self) -> None:
        requests.delete(self._session, timeout=100)


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    with subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True) as driver:
        try:
            port = next(m[1] for line in driver.stdout if (m := re.search(r"started successfully on port (\d+)", line)))
            with closing(Browser(f"http://127.0.0.1:{port}", folder)) as made:  # else the window outlives its driver
                yield made
        finally:
            driver.terminate()
