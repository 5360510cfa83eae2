"""The machine's own Chromium or Chrome, for tests of pages; playwright brings none of its own."""

import shutil

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
