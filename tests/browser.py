"""The page as `make web` builds it, served here and opened in Debian's Chromium."""

from __future__ import annotations

import contextlib
import functools
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# A container has no sandbox of its own to give, and a test does not click before it plays.
ARGUMENTS = [
    *("--no-sandbox", "--autoplay-policy=no-user-gesture-required"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),  # beeps
]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[tuple[Page, list[str]]]:
    """The page of `folder`, and what goes wrong on it: messages, and requests to elsewhere."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    wrong: list[str] = []
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program(), args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1000, "height": 1260})
            page.on("console", lambda message: wrong.append(message.text))
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
            page.on(
                "request",
                lambda request: (
                    None
                    if request.url.startswith((address, "data:", "blob:"))
                    else wrong.append(request.url)
                ),
            )
            page.goto(address)
            page.wait_for_function("!document.getElementById('make').disabled")
            yield page, wrong
            browser.close()
    finally:
        server.shutdown()
        server.server_close()


def program() -> str | None:
    """Chromium, or None."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def vocode(page: Page, voice: str, live: bool, seed: int = 0) -> dict[str, str]:
    """Let the page make a voice again, and return the figures that it then shows."""
    page.check(f"input[value={voice}]")
    page.set_checked("#live", live)
    page.fill("#seed", str(seed))
    page.click("#make")
    page.wait_for_function("document.getElementById('make').disabled")
    page.wait_for_function("!document.getElementById('make').disabled", timeout=120000)
    names = ("status", "speed", "lookahead", "used-seed", "kernels", "gaps", "hash")
    return {name: page.inner_text(f"#{name}") for name in names}
