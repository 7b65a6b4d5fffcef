"""Where a gRPC service may be, how calls share connections to it, and when one is left."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import grpc.aio
import pytest

from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.rpc.channels import Channels, read_roots
from kamerton.vendors.rpc.endpoint import Endpoint


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


@pytest.mark.parametrize("address", ["", "host", "host:", ":443", "host:0", "host:99999", "https://host:443"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="is no host:port"):
        Endpoint(address)


@pytest.mark.anyio
@pytest.mark.parametrize(("content", "why"), [(None, "cannot be read"), ("no certificate", "holds no PEM certificate")])
async def test_roots_that_are_none_are_refused_when_the_engine_is_opened(
    content: str | None, why: str, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=rf"ca\.pem {why}"):
        await read_roots(file)


@pytest.mark.anyio
async def test_without_a_file_the_roots_are_grpcs_own() -> None:
    assert await read_roots(None) is None


def test_roots_for_a_connection_without_tls_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="tls is off"):
        Endpoint("stt.example.net:443", Path("ca.pem"), tls=False)


@pytest.mark.anyio
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


@pytest.mark.anyio
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


@pytest.mark.anyio
async def test_after_the_end_a_call_gets_a_connection_of_its_own_which_is_closed_with_it() -> None:
    lines: list[Line] = []
    shared = channels(lines, 50)
    await shared.aclose()
    async with shared.channel():
        pass
    assert lines[0].closed
    assert shared.connections == 0


@pytest.mark.anyio
async def test_connections_of_grpc_are_counted_until_they_are_closed() -> None:
    shared = Channels(Endpoint("127.0.0.1:9", tls=False), None, streams_each=2)
    async with shared.channel() as first, shared.channel() as second, shared.channel() as third:
        assert first is second
        assert third is not first
        assert shared.connections == 2
        shared.distrust(first)
    assert shared.connections == 1
    await shared.aclose()
    assert shared.connections == 0
    async with shared.channel():
        assert shared.connections == 1
    assert shared.connections == 0


@pytest.mark.anyio
async def test_the_fullest_connection_is_filled_first() -> None:
    lines: list[Line] = []
    shared = channels(lines, 2)
    async with AsyncExitStack() as calls:
        leaving = [shared.channel() for _ in range(3)]
        async with AsyncExitStack() as brief:
            for one in leaving[:2]:
                await brief.enter_async_context(one)
            await calls.enter_async_context(leaving[2])
        async with shared.channel() as next_one, shared.channel() as another:
            assert next_one is cast(Any, lines[1]), "so that the emptier one may fall idle"
            assert another is cast(Any, lines[0])
    await shared.aclose()


@pytest.mark.anyio
async def test_a_connection_that_is_distrusted_after_its_last_request_does_not_stay_open() -> None:
    lines: list[Line] = []
    shared = channels(lines, 2)
    for _ in range(5):
        async with shared.channel() as hung:
            pass
        shared.distrust(hung)
    assert shared.connections == 1
    async with shared.channel():
        pass
    assert [line.closed for line in lines] == [True] * 5 + [False]
    await shared.aclose()
