"""Fixtures of every test: the event loop, and the rule that nothing is left behind."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))


@pytest.fixture
def anyio_backend() -> object:
    """Plain asyncio; simulated calls override it with the virtual loop."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """A non-daemon thread that outlives its test fails it."""
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and t.is_alive() and not t.daemon]
    left = [t for t in left if "AnyIO worker" not in t.name and "asyncio_" not in t.name]
    assert not left, f"threads left behind: {left}"


@pytest.fixture
async def task_watch() -> AsyncIterator[None]:
    """A task alive after the test fails it."""
    before = asyncio.all_tasks()
    yield
    left = [t for t in asyncio.all_tasks() if t not in before and not t.done() and "TestRunner" not in repr(t)]
    assert not left, f"tasks left behind: {left}"


@pytest.fixture(autouse=True)
def no_tasks_left(request: pytest.FixtureRequest) -> None:
    """Every async test is watched for tasks it leaves behind."""
    if "anyio_backend" in request.fixturenames and request.node.get_closest_marker("anyio"):
        request.getfixturevalue("task_watch")
