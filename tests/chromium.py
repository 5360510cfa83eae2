"""The machine's own Chromium or Chrome, for tests of pages; playwright brings none of its own.

Where there is none, tests of pages are skipped and the summary of `make test` says so. With
SVAE_REQUIRE_BROWSER=1 (.ci/run sets it) they fail instead. `python tests/chromium.py` prints where
the browser is, or nothing with exit status 1.
"""

import contextlib
import importlib.util
import os
import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
EXECUTABLE = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NO_BROWSER = "No browser:"  # how the reason of every such skip begins


def missing() -> str | None:
    """What pages cannot be tested without, in a sentence; None if all is there."""
    if importlib.util.find_spec("playwright") is None:
        return f"{NO_BROWSER} the Python package playwright is not installed (extra `test`)."
    if EXECUTABLE is None:
        return f"{NO_BROWSER} none of {', '.join(NAMES)} is on the PATH. Install one of them."
    return None


@contextlib.contextmanager
def started():
    """The browser with an empty user data folder of its own; skips or fails without one."""
    import pytest

    if reason := missing():
        required = os.environ.get("SVAE_REQUIRE_BROWSER") == "1"
        (pytest.fail if required else pytest.skip)(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=EXECUTABLE, args=FLAGS)
        yield browser
        browser.close()


class Watch:
    """What a page does that it must not: errors, and requests that leave the machine."""

    def __init__(self, page):
        self.errors, self.requests = [], []
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        page.on("response", lambda response: self._judge(response.status, response.url))
        page.on("request", lambda request: self._see(request.url))

    def _hear(self, kind, text):
        if kind in ("error", "warning"):
            self.errors.append(text)

    def _judge(self, status, url):
        if status >= 400:
            self.errors.append(f"{status}: {url}")

    def _see(self, url):
        if not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:")):
            self.requests.append(url)


if __name__ == "__main__":
    if EXECUTABLE is None:
        sys.exit(1)
    print(EXECUTABLE)
