"""How calls share connections to a gRPC service, and when one is left."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import grpc.aio
import pytest

from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.yandex.channels import Channels, Endpoint, read_roots

pytestmark = pytest.mark.anyio


class Line:
    """A channel that only knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


def channels(lines: list[Line], streams_each: int) -> Channels:
    def connect() -> grpc.aio.Channel:
        lines.append(Line())
        return cast(grpc.aio.Channel, lines[-1])

    return Channels(Endpoint("stt.example.net:443"), None, streams_each=streams_each, connect=connect)


async def test_a_connection_takes_so_many_calls_and_no_more() -> None:
    lines: list[Line] = []
    shared = channels(lines, 2)
    async with AsyncExitStack() as calls:
        got: list[Any] = [await calls.enter_async_context(shared.channel()) for _ in range(5)]
        assert [got.index(line) for line in got] == [0, 0, 2, 2, 4]
    async with shared.channel() as again:
        assert cast(Any, again) in lines, "an open one is used again"
    assert shared.connections == 3
    await shared.aclose()
    await shared.aclose()
    assert all(line.closed for line in lines)


async def test_a_connection_that_hung_gets_no_more_calls_and_goes_with_its_last() -> None:
    lines: list[Line] = []
    shared = channels(lines, 50)
    async with shared.channel() as hung:
        shared.distrust(hung)
        async with shared.channel() as other:
            assert other is not hung
        assert [line.closed for line in lines] == [False, False]
    assert [line.closed for line in lines] == [True, False]
    await shared.aclose()


async def test_after_the_end_a_call_gets_a_connection_of_its_own_which_is_closed_with_it() -> None:
    lines: list[Line] = []
    shared = channels(lines, 50)
    await shared.aclose()
    async with shared.channel():
        pass
    assert lines[0].closed
    assert shared.connections == 0


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_roots_that_are_none_are_refused_when_the_engine_is_opened(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        await read_roots(Endpoint("stt.example.net:443", file))
