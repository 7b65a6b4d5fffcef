"""A gRPC request that failed, told as a `VendorError`; and cancellation that is the server's, not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
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
    "unauthorised": "check the account's credentials and their rights",
    "quota": "raise the quota in the cloud's console, or wait until it is renewed",
    "rate_limited": "fewer requests at once, or a higher quota in the cloud's console",
    "timeout": "check the network",
    "connection": "check the network, the endpoint and the certificates",
    "rejected": "check the engine's options",
    "failed": "a fault of the service; it may pass",
    "broken": "something between may have changed it; check the endpoint and proxies",
}
_NO_SUCH_MESSAGE: Final = ("deserializ", "parsing", "compress")
_STATUS_LOST: Final = "Internal error from Core"
"""What `grpc.aio` puts in place of the service's status when that arrives while a message is being sent."""
_HTTP_STATUS: Final = "http2 header with status: "


class CutOff(Exception):
    """The server cancelled the request."""


class EndedUnseenError(VendorError):
    """The service ended a stream while something was sent to it, and gRPC lost what it said of it."""


async def answered(reading: Awaitable[T]) -> T:
    """Await a call of `grpc.aio`, which tells a request that the server cancelled as if this task had been.

    Raises:
        CutOff: the server cancelled the request.
    """
    try:
        return await reading
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            # What gRPC raises has lost the mark by which a cancel scope, `fail_after` too, knows its own cancellation:
            # have it raised anew.
            await anyio.lowlevel.checkpoint_if_cancelled()
            raise
        raise CutOff from None


@dataclass(frozen=True, slots=True)
class Service:
    """Who is asked, for messages."""

    where: str
    """`Google Speech at eu-speech.googleapis.com:443`."""
    advice: Mapping[Fault, str] = field(default_factory=dict)
    """What to do about a fault, where there is more to say than usual."""
    faults: Mapping[str, Fault] = field(default_factory=dict)
    """What statuses mean with this service, where it is not the usual thing."""

    def failed(self, error: grpc.aio.AioRpcError, secret: str = "") -> VendorError:
        """What a request's status says; an `EndedUnseenError` when gRPC has lost it.

        Args:
            error: as raised by `grpc.aio`.
            secret: what must not be repeated, should the service do so.
        """
        status, details = error.code().name, error.details() or ""
        if details == _STATUS_LOST:
            what = "ended a stream while something was sent to it, for a reason that was lost"
            return EndedUnseenError(self._told(what, "connection"), "connection")
        wait_s = _retry_after_s(error)
        return self.status(status, details.replace(secret, "…") if secret else details, wait_s)

    def status(self, status: str, details: str, retry_after_s: float | None = None) -> VendorError:
        """As `failed`, of a status by its name."""
        fault: Fault = self.faults.get(status) or _FAULTS.get(status, "failed")
        if status == "UNAVAILABLE" and _HTTP_STATUS in details:
            http = details.partition(_HTTP_STATUS)[2][:3]
            fault = "rate_limited" if http == "429" else "failed"
        elif status == "INTERNAL" and any(word in details.casefold() for word in _NO_SUCH_MESSAGE):
            fault = "broken"
        elif status == "RESOURCE_EXHAUSTED" and retry_after_s is None and _is_used_up(details.casefold()):
            fault = "quota"
        said = shown_line(details, LONGEST_REMARK)
        asked = f"; it asks to wait {retry_after_s:g} s" if retry_after_s is not None else ""
        return self._error(f"failed with {status} ({said}){asked}", fault, retry_after_s)

    def timed_out(self, what: str) -> VendorError:
        """Nothing came in time: `what` says what was waited for and how long."""
        return self._error(what, "timeout")

    def cut_off(self, what: str) -> VendorError:
        """The request ended before it was due to."""
        return self._error(what, "connection")

    def broken(self, what: str) -> VendorError:
        """It sent what makes no sense."""
        return self._error(what, "broken")

    def _error(self, what: str, fault: Fault, retry_after_s: float | None = None) -> VendorError:
        return VendorError(self._told(what, fault), fault, retry_after_s=retry_after_s)

    def _told(self, what: str, fault: Fault) -> str:
        return f"{self.where} {what}; {self.advice.get(fault) or _ADVICE[fault]}"


def _is_used_up(details: str) -> bool:
    """Whether a quota is meant that is not given anew within a call: services call their rates quotas as well."""
    return "quota" in details and not any(span in details for span in ("per minute", "per second"))


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
