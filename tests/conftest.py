"""Fixtures of every test: the event loop, and the rule that nothing is left behind."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

from grpc_rest import grpc_at_rest

LATE_S = 0.05
"""gRPC's thread hands over what it has within a few milliseconds."""


@pytest.fixture(scope="module")
def anyio_backend() -> object:
    """Plain asyncio; simulated calls override it with the virtual loop."""
    return "asyncio"


@pytest.fixture(scope="module")
async def one_loop(anyio_backend: object) -> AsyncIterator[None]:
    """All tests of a module share an event loop; before it closes, what is late may still come."""
    yield
    await asyncio.sleep(LATE_S)


@pytest.fixture
async def grpc_settles(one_loop: None) -> AsyncIterator[None]:
    """Modules that speak gRPC over sockets use it: after each test gRPC has nothing left to do, and the loop stays.

    gRPC has one queue of events in a process. What comes late for a loop that was closed meanwhile is raised in
    whichever loop reads the queue then, and fails a test that has nothing to do with it.
    """
    yield
    await grpc_at_rest()


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
