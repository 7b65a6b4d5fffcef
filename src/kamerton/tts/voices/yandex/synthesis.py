"""One request to the vendor and the answers to it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio

from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.tts.voices.yandex.engine import YandexVoiceOptions
from kamerton.tts.voices.yandex.pace import Pace
from kamerton.tts.voices.yandex.speakers import known_roles
from kamerton.vendors.rpc.channels import Channels
from kamerton.vendors.rpc.failures import CutOff, answered
from kamerton.vendors.yandex.credentials import Metadata, YandexCredentials, secrets_of
from kamerton.vendors.yandex.failures import speechkit_at

if TYPE_CHECKING:
    import grpc.aio

_log = logging.getLogger(__name__)


class Synthesis:
    """Asks the service. Shared by all calls; belongs to one event loop.

    Args:
        options: of the voice.
        credentials: of the account.
        channels: to the service.
        counts: is told of `requests` and `second_attempts`.
    """

    def __init__(
        self, options: YandexVoiceOptions, credentials: YandexCredentials, channels: Channels, counts: Counter[str]
    ) -> None:
        self._options = options
        self._credentials = credentials
        self._channels = channels
        self._counts = counts
        self.service = speechkit_at(options.endpoint)
        """Who is asked, for messages."""
        self._closed = False

    def close(self) -> None:
        """Try nothing once more: the connections are about to be closed."""
        self._closed = True

    async def answers(self, request: Any, pace: Pace) -> AsyncGenerator[Any, None]:
        """Yield the messages that answer a request. Closing it cancels the request at once.

        A connection that breaks before it answered, and a token that is refused while there may be a newer one, are
        tried once more within the same wait.

        Args:
            request: an `UtteranceSynthesisRequest`.
            pace: how long may be waited; whoever takes the answers tells it what audio they had.

        Raises:
            VendorError: the service failed.
        """
        for last in (False, True):
            metadata = await self._metadata(pace)
            begun = False
            self._counts["requests"] += 1
            try:
                async with aclosing(self._attempt(request, metadata, pace)) as messages:
                    async for message in messages:
                        begun = True
                        yield message
            except VendorError as error:
                if begun or last or not await self._may_go_better(error, metadata, pace):
                    raise
                self._counts["second_attempts"] += 1
                _log.warning("a request is sent once more", extra={"service": self.service.where, "reason": str(error)})
            else:
                return

    async def _may_go_better(self, error: VendorError, metadata: Metadata, pace: Pace) -> bool:
        if self._closed:
            return False
        if error.fault != "unauthorised":
            return error.fault == "connection" and pace.left_s > 0
        try:
            with anyio.move_on_after(pace.left_s):
                return await self._credentials.refused(metadata)
        except ConfigurationError as unreadable:
            raise self._locked_out(unreadable) from None
        return False

    async def _metadata(self, pace: Pace) -> Metadata:
        started_s = anyio.current_time()
        try:
            with anyio.fail_after(pace.left_s):
                return await self._credentials.metadata()
        except TimeoutError:
            raise self.service.timed_out("could not be asked: no IAM token came in time") from None
        except ConfigurationError as error:
            raise self._locked_out(error) from None
        finally:
            pace.spend(anyio.current_time() - started_s)

    def _locked_out(self, error: ConfigurationError) -> VendorError:
        """A secret that cannot be read any more, which the next voice does not need."""
        return VendorError(f"{self.service.where} was not asked: {error}", "unauthorised")

    async def _attempt(self, request: Any, metadata: Metadata, pace: Pace) -> AsyncGenerator[Any, None]:
        import grpc.aio
        from yandex.cloud.ai.tts.v3.tts_service_pb2_grpc import SynthesizerStub

        async with self._channels.channel() as channel:
            call: Any = SynthesizerStub(channel).UtteranceSynthesis(request, metadata=metadata)
            failure: VendorError | None = None
            try:
                while (message := await self._next(call, pace)) is not grpc.aio.EOF:
                    if message is None:
                        # So gRPC tells of bytes that are no message.
                        raise self.service.broken("sent something that is no answer")
                    yield message
            except (grpc.aio.AioRpcError, VendorError) as error:
                failure = self._told(error, metadata)
                if failure.fault in ("timeout", "connection"):
                    self._channels.distrust(channel)
            finally:
                call.cancel()
            if failure is not None:
                # Not within `except`: gRPC's error holds whatever the service said, and would hang on to this one.
                raise failure

    def _told(self, error: grpc.aio.AioRpcError | VendorError, metadata: Metadata) -> VendorError:
        if isinstance(error, VendorError):
            return error
        return explained(self.service.failed(error, secrets_of(metadata)), self._options)

    async def _next(self, call: Any, pace: Pace) -> Any:
        """The next message, or the end."""
        started_s, limit_s = anyio.current_time(), pace.left_s
        try:
            with anyio.fail_after(limit_s):
                return await answered(call.read())
        except TimeoutError:
            what = f"fell more than {self._options.gap_s:g} s behind" if pace.begun else self._no_audio
            raise self.service.timed_out(what) from None
        except (CutOff, asyncio.InvalidStateError):
            raise self.service.cut_off("broke off a speech") from None
        finally:
            pace.spend(anyio.current_time() - started_s)

    @property
    def _no_audio(self) -> str:
        return f"gave no audio within {self._options.first_audio_s:g} s"


def explained(error: VendorError, options: YandexVoiceOptions) -> VendorError:
    """A refusal with what is known of the voice."""
    roles = known_roles(options.voice)
    if error.fault != "rejected":
        return error
    if roles is None:
        hint = f"voice '{options.voice}' is not in the vendor's list, unless it is a Brand Voice of yours"
    elif options.role and options.role not in roles:
        hint = f"voice '{options.voice}' has {'the roles ' + ', '.join(roles) if roles else 'no roles'}"
    else:
        return error
    return VendorError(f"{error}; {hint}", error.fault, retry_after_s=error.retry_after_s)
