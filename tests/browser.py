"""A real browser for tests: Debian's chromium, a fresh profile for each test, and what no page of ours may ever do.

Without chromium a test is skipped.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    WebError,
    expect,
    sync_playwright,
)

__all__ = ["Visit", "Visitor", "chromium", "violations", "visitors"]

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
"""How Debian, Ubuntu and Google call the program."""

ARGUMENTS: Final = (
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)

PATIENCE: Final = 15_000.0
"""Milliseconds that anything may take on a loaded machine, where the test does not say less."""

AXE: Final = Path(__file__).parent / "vendor" / "axe.min.js"
"""axe-core 4.14.1 (MPL-2.0), which finds what hinders people in using a page."""

RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
"""What axe-core looks for: all of WCAG A and AA, and what is good besides."""

COLOURS: Final = ("color-contrast", "link-in-text-block")
"""Its rules that depend on the colours."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser of its own, which takes two seconds to start: one is enough for all tests of a module."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"needs a browser: none of {', '.join(NAMES)} is on the PATH (Debian: apt install chromium)")
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # whose sandbox chromium refuses
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, headless=True, args=[*ARGUMENTS, *(["--no-sandbox"] if root else [])]
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """Somebody with a profile of their own, who sees all that the pages do.

    `wrong` has what no page may do: ask another server, raise an error, write an error or a warning to the console. What a
    test brings about itself, it names in `expected`, patterns of such texts.
    """

    context: BrowserContext
    url: str
    expected: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The paths of all requests, each with its query."""

    def __post_init__(self) -> None:
        self.context.set_default_timeout(PATIENCE)
        self.context.on("request", self._request)
        self.context.on("console", self._console)
        self.context.on("weberror", self._error)

    def open(self, address: str = "") -> Page:
        """Open a tab: `address` is a hash route such as `#/alerts`."""
        page = self.context.new_page()
        page.goto(f"{self.url}/{address}")
        return page

    def sign_in(self, token: str, name: str = "Ada") -> None:
        """Sign in without the page, which has a test of its own."""
        answer = self.context.request.post(f"{self.url}/api/session", data={"token": token, "name": name})
        assert answer.ok, answer.text()

    def _request(self, request: Request) -> None:
        at = urlsplit(request.url)
        if self.url.startswith(f"{at.scheme}://{at.netloc}"):
            self.asked.append(at.path + (f"?{at.query}" if at.query else ""))
        elif at.scheme not in ("data", "blob"):
            self.wrong.append(f"request to {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._note(f"console {message.type}: {message.text} ({message.location.get('url', '')})")

    def _error(self, error: WebError) -> None:
        self._note(f"page error: {error.error}")

    def _note(self, text: str) -> None:
        if not any(re.search(pattern, text) for pattern in self.expected):
            self.wrong.append(text)


Visit = Callable[..., Visitor]
"""Gives a visitor of the program; the options are those of Playwright's `new_context`."""


@contextmanager
def visitors(browser: Browser, url: str) -> Iterator[Visit]:
    """Visitors of the program at `url`, whose pages did nothing wrong by the end, which is before the program's."""
    entered: list[Visitor] = []

    def enter(**options: Any) -> Visitor:  # Any: the options of a library
        given = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", "timezone_id": "UTC", **options}
        entered.append(Visitor(browser.new_context(**given), url.rstrip("/")))
        return entered[-1]

    try:
        yield enter
    finally:
        for visitor in entered:
            visitor.context.close()
    wrong = [text for visitor in entered for text in visitor.wrong]
    assert not wrong, "\n".join(wrong)


def violations(page: Page) -> list[str]:
    """Give what axe-core finds on the page, in the light and, of colours, in the dark; it needs `bypass_csp=True`."""
    if not page.evaluate("() => 'axe' in window"):
        page.add_script_tag(path=AXE)
    found = list[str]()
    for scheme, only in (("light", {"type": "tag", "values": RULES}), ("dark", {"type": "rule", "values": COLOURS})):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two
        answer = page.evaluate("(only) => axe.run(document, { runOnly: only, resultTypes: ['violations'] })", only)
        found += [
            f"{scheme}: {violation['help']}: {node['html'][:200]} {node['failureSummary']}"
            for violation in answer["violations"]
            for node in violation["nodes"]
        ]
    page.emulate_media(color_scheme="light")
    return found
