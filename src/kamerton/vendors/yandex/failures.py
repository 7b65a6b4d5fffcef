"""A gRPC call that failed, told as a `VendorError`; and cancellation that is the server's, not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio.lowlevel

from kamerton.domain.errors import Fault, VendorError
from kamerton.domain.foreign_text import LONGEST_REMARK, shown_line

if TYPE_CHECKING:
    import grpc.aio

T = TypeVar("T")

_FAULTS: Final[Mapping[str, Fault]] = {
    "UNAUTHENTICATED": "unauthorised",
    "PERMISSION_DENIED": "unauthorised",
    "RESOURCE_EXHAUSTED": "rate_limited",
    "DEADLINE_EXCEEDED": "timeout",
    "UNAVAILABLE": "connection",
    "CANCELLED": "connection",
    "INVALID_ARGUMENT": "rejected",
    "NOT_FOUND": "rejected",
    "FAILED_PRECONDITION": "rejected",
    "OUT_OF_RANGE": "rejected",
    "UNIMPLEMENTED": "rejected",
    "ALREADY_EXISTS": "rejected",
}
"""By name of the gRPC status; any other is `failed`."""

_ADVICE: Final[Mapping[Fault, str]] = {
    "unauthorised": "check accounts.yandex: the key, its scope and the service account's roles for SpeechKit; and the "
    "folder",
    "quota": "raise the quota in the cloud's console, or wait until it is renewed",
    "rate_limited": "fewer requests at once, or a higher quota in the cloud's console",
    "timeout": "check the network",
    "connection": "check the network, the endpoint and the certificates",
    "rejected": "check the engine's options",
    "failed": "a fault of the service; it may pass",
    "broken": "the service, or something between, sent what is no answer",
}
_NO_SUCH_MESSAGE: Final = ("deserializ", "parsing", "compress")
_STATUS_LOST: Final = "Internal error from Core"
"""What `grpc.aio` puts in place of the service's status when that arrives while a message is being sent."""
_HTTP_STATUS: Final = "http2 header with status: "


class CutOff(Exception):
    """The server cancelled the call."""


async def answered(reading: Awaitable[T]) -> T:
    """Await a call of `grpc.aio`, which tells a call that the server cancelled as if this task had been.

    Raises:
        CutOff: the server cancelled the call.
    """
    try:
        return await reading
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise CutOff from None
        # What gRPC raises has lost the mark by which a cancel scope knows its own cancellation: have it raised anew.
        await anyio.lowlevel.checkpoint_if_cancelled()
        raise


def call_failed(error: grpc.aio.AioRpcError, where: str, secret: str = "") -> VendorError:
    """What a call's status says.

    Args:
        error: as raised by `grpc.aio`.
        where: who was asked and at which address: `Yandex SpeechKit at host:443`.
        secret: what must not be repeated, should the service do so.
    """
    status, details = error.code().name, error.details() or ""
    if details == _STATUS_LOST:
        return cut_off(where, "ended the request while something was sent to it, for a reason that was lost")
    fault: Fault = _FAULTS.get(status, "failed")
    if status == "UNAVAILABLE" and _HTTP_STATUS in details:
        http = details.partition(_HTTP_STATUS)[2][:3]
        fault = "rate_limited" if http == "429" else "failed"
    elif status == "INTERNAL" and any(word in details.casefold() for word in _NO_SUCH_MESSAGE):
        fault = "broken"
    elif status == "RESOURCE_EXHAUSTED" and "quota" in details.casefold():
        fault = "quota"
    said = shown_line(details.replace(secret, "…") if secret else details, LONGEST_REMARK)
    wait_s = _retry_after_s(error)
    asked = f"; it asks to wait {wait_s:g} s" if wait_s is not None else ""
    return VendorError(f"{where} failed with {status} ({said}){asked}; {_ADVICE[fault]}", fault, retry_after_s=wait_s)


def timed_out(where: str, what: str) -> VendorError:
    """Nothing came in time: `what` says what was waited for and how long."""
    return VendorError(f"{where} {what}; {_ADVICE['timeout']}", "timeout")


def cut_off(where: str, what: str) -> VendorError:
    """The call ended before it was due to."""
    return VendorError(f"{where} {what}; {_ADVICE['connection']}", "connection")


def nonsense(where: str, what: str) -> VendorError:
    """It answered with something that cannot be read."""
    return VendorError(f"{where} {what}; {_ADVICE['broken']}", "broken")


def _retry_after_s(error: grpc.aio.AioRpcError) -> float | None:
    """How long the service asks to be left alone: in gRPC's rich status, or in a header as of HTTP."""
    trailing: Any = error.trailing_metadata() or ()
    values = {str(key): value for key, value in trailing}
    header = values.get("retry-after")
    if isinstance(header, str) and header.isdecimal():
        return float(header)
    details = values.get("grpc-status-details-bin")
    return _rich_retry_s(details) if isinstance(details, bytes) else None


def _rich_retry_s(details: bytes) -> float | None:
    from google.protobuf.message import DecodeError
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    try:
        for detail in Status.FromString(details).details:
            retry = RetryInfo()
            if detail.Unpack(retry):
                return float(retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
    except DecodeError:
        return None
    return None
