from __future__ import annotations

import asyncio

import anyio
import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from kamerton.vendors.google.endpoints import address_of, asked_at
from kamerton.vendors.rpc.failures import CutOff, EndedUnseenError, Service, answered
from kamerton.vendors.yandex.failures import speechkit_at

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


def test_a_status_that_was_lost_while_something_was_sent_is_told_as_such() -> None:
    # As `grpc.aio` puts it, whatever the service said.
    lost = SERVICE.failed(failed("UNKNOWN", "Internal error from Core"))
    assert isinstance(lost, EndedUnseenError)
    assert (lost.fault, "for a reason that was lost" in str(lost)) == ("connection", True)
    assert not isinstance(SERVICE.failed(failed("UNKNOWN", "Internal error")), EndedUnseenError)


@pytest.mark.parametrize(
    ("status", "details", "fault", "advice"),
    [
        ("PERMISSION_DENIED", "", "unauthorised", "check accounts.yandex"),
        ("RESOURCE_EXHAUSTED", "Quota ai.speechSynthesis exceeded", "quota", "Yandex Cloud's console"),
        (
            "RESOURCE_EXHAUSTED",
            "Quota limit exceeded: 40 requests per second",
            "rate_limited",
            "fewer requests at once",
        ),
        ("INTERNAL", "Exception deserializing response!", "broken", "a fault of the service, or of something between"),
    ],
)
def test_speechkit_says_what_can_be_done_in_yandex_cloud(status: str, details: str, fault: str, advice: str) -> None:
    error = speechkit_at("stt.example.net:443").failed(failed(status, details))
    assert (error.fault, str(error).startswith("Yandex SpeechKit at stt.example.net:443 failed")) == (fault, True)
    assert advice in str(error)


def test_each_location_has_its_host() -> None:
    assert address_of("texttospeech.googleapis.com", "global") == "texttospeech.googleapis.com:443"
    assert address_of("texttospeech.googleapis.com", "eu") == "eu-texttospeech.googleapis.com:443"


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
        with pytest.raises(TimeoutError), anyio.fail_after(0):
            await answered(forgetful())
