"""When gRPC has nothing left to do."""

from __future__ import annotations

import asyncio
from typing import Final

_OF_GRPC: Final = ("_handle_status_once_received", "_schedule_rpc_coro", "_handle_exceptions", "rpc_task")


async def grpc_at_rest() -> None:
    """gRPC's own tasks, of client and server, which wait for the end of requests that were left, have ended."""
    tasks = {task for task in asyncio.all_tasks() if any(name in repr(task) for name in _OF_GRPC)}
    if tasks:
        await asyncio.wait(tasks, timeout=5)
