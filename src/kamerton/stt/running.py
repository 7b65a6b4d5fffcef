"""A call's stream with the task that serves it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

import anyio


class OwnStream(Protocol):
    """A stream that is served by a task of its own."""

    async def run(self) -> None:
        """Serve it until cancelled; what goes wrong is told by the iteration."""
        ...

    def close(self) -> None:
        """End the iteration."""
        ...


StreamT = TypeVar("StreamT", bound=OwnStream)


@asynccontextmanager
async def running(stream: StreamT) -> AsyncIterator[StreamT]:
    """Serve a stream while the context is open; leaving ends the iteration and cancels the task.

    What the block raises comes out as it is: a task group would wrap it.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(stream.run)
        try:
            yield stream
        except Exception as error:
            failure = error
        finally:
            stream.close()
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure
