from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.google.endpoints import address_of, asked_at
from kamerton.vendors.rpc.channels import Channels, read_roots
from kamerton.vendors.rpc.endpoint import Endpoint
from kamerton.vendors.rpc.failures import CutOff, Service, answered

SERVICE = Service("Something at host:443")


def failed(status: str, details: str, trailing: tuple[tuple[str, str | bytes], ...] = ()) -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata(*trailing)
    return grpc.aio.AioRpcError(grpc.StatusCode[status], grpc.aio.Metadata(), metadata, details)


def rich(seconds: float) -> bytes:
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(round(seconds * 1000))
    details = AnyMessage()
    details.Pack(info)
    return bytes(Status(code=8, details=[details]).SerializeToString())


@pytest.mark.parametrize(
    ("status", "details", "fault"),
    [
        ("UNAUTHENTICATED", "", "unauthorised"),
        ("PERMISSION_DENIED", "", "unauthorised"),
        ("RESOURCE_EXHAUSTED", "too many streams", "rate_limited"),
        ("RESOURCE_EXHAUSTED", "Quota exceeded for limit 'Requests per minute'", "rate_limited"),
        ("RESOURCE_EXHAUSTED", "Quota exceeded for limit 'Seconds per day'", "quota"),
        ("UNAVAILABLE", "Socket closed", "connection"),
        ("UNAVAILABLE", "Received http2 header with status: 429", "rate_limited"),
        ("UNAVAILABLE", "Received http2 header with status: 502", "failed"),
        ("INTERNAL", "oops", "failed"),
        ("INTERNAL", "Exception deserializing response!", "broken"),
        ("DEADLINE_EXCEEDED", "", "timeout"),
        ("INVALID_ARGUMENT", "no such model", "rejected"),
        ("DATA_LOSS", "", "failed"),
    ],
)
def test_a_status_says_what_is_wrong(status: str, details: str, fault: str) -> None:
    error = SERVICE.failed(failed(status, details))
    assert error.fault == fault
    assert str(error).startswith(f"Something at host:443 failed with {status} ({details})")
    assert "; " in str(error), "and what to do"


def test_the_time_to_wait_is_read_from_the_rich_status_and_from_a_header() -> None:
    assert SERVICE.failed(failed("RESOURCE_EXHAUSTED", "", (("retry-after", "7"),))).retry_after_s == 7.0
    told = SERVICE.failed(failed("RESOURCE_EXHAUSTED", "", (("grpc-status-details-bin", rich(1.5)),)))
    assert (told.retry_after_s, "asks to wait 1.5 s" in str(told)) == (1.5, True)
    broken = failed("RESOURCE_EXHAUSTED", "", (("grpc-status-details-bin", b"\xff\xff"),))
    assert SERVICE.failed(broken).retry_after_s is None


def test_secrets_and_escapes_of_the_service_are_not_repeated() -> None:
    said = str(SERVICE.failed(failed("INTERNAL", "token abc\x1b[31m\nrefused"), "abc"))
    assert "token … refused" in said


def test_a_service_may_mean_something_else_by_a_status() -> None:
    assert asked_at("Google Speech", "x:1").failed(failed("OUT_OF_RANGE", "too old")).fault == "failed"
    assert SERVICE.failed(failed("OUT_OF_RANGE", "")).fault == "rejected"
    assert "accounts.google" in str(asked_at("Google Speech", "x:1").failed(failed("UNAUTHENTICATED", "")))


def test_each_location_has_its_host() -> None:
    assert address_of("texttospeech.googleapis.com", "global") == "texttospeech.googleapis.com:443"
    assert address_of("texttospeech.googleapis.com", "eu") == "eu-texttospeech.googleapis.com:443"


@pytest.mark.parametrize("address", ["", "host", "host:", ":443", "host:0", "host:99999", "https://host:443"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="is no host:port"):
        Endpoint(address)


@pytest.mark.anyio
class TestCalls:
    async def test_a_cancellation_by_the_server_is_told_from_our_own(self) -> None:
        async def cancelled_by_the_server() -> None:
            raise asyncio.CancelledError

        with pytest.raises(CutOff):
            await answered(cancelled_by_the_server())
        with anyio.CancelScope() as scope:
            scope.cancel()
            await answered(anyio.sleep_forever())
        assert scope.cancelled_caught

    async def test_a_scope_knows_its_cancellation_although_grpc_put_another_in_its_place(self) -> None:
        async def forgetful() -> None:
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError:
                raise asyncio.CancelledError from None

        with anyio.CancelScope() as scope:
            scope.cancel()
            await answered(forgetful())
        assert scope.cancelled_caught

    async def test_roots_that_are_none_are_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "roots.pem"
        with pytest.raises(ConfigurationError, match="cannot be read"):
            await read_roots(file)
        file.write_text("nothing")
        with pytest.raises(ConfigurationError, match="holds no PEM certificate"):
            await read_roots(file)
        assert await read_roots(None) is None


@pytest.mark.anyio
class TestChannels:
    async def test_a_connection_takes_so_many_requests_and_the_fullest_is_filled_first(self) -> None:
        channels = Channels(Endpoint("127.0.0.1:9", tls=False), None, streams_each=2)
        async with channels.channel() as first, channels.channel() as second, channels.channel() as third:
            assert first is second
            assert third is not first
            assert channels.connections == 2
        async with channels.channel(), channels.channel():
            assert channels.connections == 2
        await channels.aclose()
        assert channels.connections == 0

    async def test_one_that_hung_gets_no_more_and_is_closed_with_its_last_request(self) -> None:
        channels = Channels(Endpoint("127.0.0.1:9", tls=False), None)
        async with channels.channel() as first:
            channels.distrust(first)
            async with channels.channel() as second:
                assert second is not first
            assert channels.connections == 2
        assert channels.connections == 1
        await channels.aclose()
        await channels.aclose()

    async def test_after_the_end_a_connection_lives_for_one_request(self) -> None:
        channels = Channels(Endpoint("127.0.0.1:9", tls=False), None)
        await channels.aclose()
        async with channels.channel():
            assert channels.connections == 1
        assert channels.connections == 0
