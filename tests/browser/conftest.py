"""Fixtures of the browser tests: Chromium, a page that must not complain, and the scripted server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from call_page import CallPage
from chromium_flags import FLAGS, MICROPHONE_TONE_HZ
from playwright.sync_api import Browser, Playwright, sync_playwright
from scripted_server import ScriptedServer, scripted_server, tone, wav

Launch = Callable[..., Browser]


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Debian's Chromium; without it these tests fail, they are not skipped."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("Chromium is missing: install it (apt-get install -y chromium) and run the browser tests again")
    return path


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def launch(playwright: Playwright, chromium_path: str) -> Iterator[Launch]:
    """Starts browsers with further flags; one per set of flags, all closed at the end."""
    browsers: dict[tuple[str, ...], Browser] = {}

    def start(*flags: str) -> Browser:
        if flags not in browsers:
            browsers[flags] = playwright.chromium.launch(executable_path=chromium_path, args=[*FLAGS, *flags])
        return browsers[flags]

    yield start
    for browser in browsers.values():
        browser.close()


@pytest.fixture
def new_page(launch: Launch) -> Iterator[Callable[..., CallPage]]:
    """Opens a fresh page of a browser started with these flags."""
    with ExitStack() as contexts:

        def open_page(*flags: str, width: int = 1280, height: int = 800) -> CallPage:
            context = launch(*flags).new_context(viewport={"width": width, "height": height}, locale="ru-RU")
            contexts.callback(context.close)
            return CallPage(context.new_page())

        yield open_page


@pytest.fixture
def call_page(new_page: Callable[..., CallPage]) -> Iterator[CallPage]:
    """A page without a microphone, which must end without a complaint of the browser."""
    page = new_page()
    yield page
    assert page.console_errors == []


@pytest.fixture(scope="session")
def microphone_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone hears: a steady tone at 48 kHz."""
    path = tmp_path_factory.mktemp("microphone") / "tone.wav"
    path.write_bytes(wav(tone(MICROPHONE_TONE_HZ, 5, 48000), 48000))
    return path


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running
