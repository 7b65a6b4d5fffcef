"""A client of Asterisk's manager interface: actions and their answers, and the stream of events.

One reader per connection hands answers to whoever waits for them, by their ActionID, and events to one queue.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio.abc import SocketStream

from kamerton.domain.errors import ExchangeError, ProtocolError
from kamerton.transports.asterisk.ami_codec import AmiDecoder, AmiMessage, encode_action
from kamerton.transports.asterisk.settings import AmiSettings

logger = logging.getLogger(__name__)

WAITING_EVENTS: Final = 2000
"""Events that may wait to be read. With more the connection is given up: one left out might be the one that counts."""
MAX_LISTED: Final = 20_000
"""Events of one listing."""
_OWN_ACTIONS: Final = "kamerton-"
"""Begins the id of every action, so that what comes too late for one is known and dropped."""
_READ_BYTES: Final = 65536


class AmiClient:
    """A connection that is logged in; made by `connect_ami`. Any number of tasks may send actions.

    Every method raises `ExchangeError` when the connection is lost; the message says how.
    """

    def __init__(self, stream: SocketStream, settings: AmiSettings) -> None:
        self._stream = stream
        self._settings = settings
        self._decoder = AmiDecoder()
        self._numbers = itertools.count(1)
        self._answers: dict[str, _Answer] = {}
        self._told, self._events = anyio.create_memory_object_stream[AmiMessage](WAITING_EVENTS)
        self._lost: str | None = None
        self._sending = anyio.Lock()
        self._greeted = anyio.Event()

    @property
    def banner(self) -> str:
        """What the exchange calls itself."""
        return self._decoder.banner or ""

    @property
    def lost(self) -> bool:
        """Whether the connection is gone; nothing works any more then."""
        return self._lost is not None

    async def action(self, name: str, *fields: tuple[str, str]) -> AmiMessage:
        """Send an action; its response. Safe to cancel: a late response is dropped.

        Raises:
            ExchangeError: it was refused, was not answered in time, or the connection is lost.
            ValueError: a field holds a line break.
        """
        response, _ = await self._ask(name, fields, listing=False)
        return response

    async def listing(self, name: str, *fields: tuple[str, str]) -> tuple[AmiMessage, ...]:
        """Send an action that is answered with a list of events; these. Safe to cancel.

        Raises:
            ExchangeError: it was refused, was not answered in time, or the connection is lost.
            ValueError: a field holds a line break.
        """
        _, rows = await self._ask(name, fields, listing=True)
        return rows

    async def next_event(self) -> AmiMessage:
        """The next event that belongs to no action, waiting for it. Safe to cancel.

        Raises:
            ExchangeError: the connection is lost, and all events that came have been read.
        """
        try:
            return await self._events.receive()
        except anyio.EndOfStream:
            raise self._loss() from None

    async def _ask(
        self, name: str, fields: tuple[tuple[str, str], ...], *, listing: bool
    ) -> tuple[AmiMessage, tuple[AmiMessage, ...]]:
        if self.lost:
            raise self._loss()
        action_id = f"{_OWN_ACTIONS}{next(self._numbers)}"
        message = encode_action(name, action_id, fields)
        answer = self._answers[action_id] = _Answer(listing)
        try:
            with anyio.fail_after(self._settings.action_s):
                await self._send(message)
                await answer.complete.wait()
        except TimeoutError:
            raise ExchangeError(
                f"{self._place} did not answer '{name}' within {self._settings.action_s:g} s; is Asterisk overloaded?"
            ) from None
        finally:
            del self._answers[action_id]
        if answer.response is None:
            raise self._loss()
        if not answer.response.succeeded:
            raise ExchangeError(
                f"{self._place} refused '{name}': {answer.response.value('Message') or 'no reason given'}; "
                f"check the rights of user '{self._settings.user}' in manager.conf"
            )
        return answer.response, tuple(answer.rows)

    async def log_in(self) -> None:
        """Log in; the secret itself does not cross the network.

        Raises:
            ExchangeError: the exchange does not greet in time, or refuses.
        """
        with anyio.move_on_after(self._settings.connect_s) as waited:
            await self._greeted.wait()
        if waited.cancelled_caught:
            raise ExchangeError(f"{self._place} sent no greeting; is this the manager port (manager.conf)?")
        try:
            challenge = await self.action("Challenge", ("AuthType", "MD5"))
            mixed = (challenge.value("Challenge") + self._settings.secret).encode()
            key = hashlib.md5(mixed, usedforsecurity=False).hexdigest()
            await self.action(
                "Login",
                ("AuthType", "MD5"),
                ("Username", self._settings.user),
                ("Key", key),
                ("Events", "call,user"),
            )
        except ExchangeError as error:
            if self._lost is not None:
                raise
            raise ExchangeError(
                f"{self._place} does not let user '{self._settings.user}' in ({error}): compare ami.user and "
                "KAMERTON_AMI__SECRET with manager.conf, and its deny and permit lines with this machine's address"
            ) from None

    async def read(self) -> None:
        """Read until the connection is lost, or this is cancelled; tells everybody who waits."""
        try:
            while True:
                self._take(await self._receive())
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self._lost = "Asterisk closed the connection"
        except TimeoutError:
            self._lost = (
                f"nothing came within {self._settings.ping_s + self._settings.action_s:g} s, not even to a ping"
            )
        except (OSError, anyio.BrokenResourceError, ExchangeError) as error:
            self._lost = f"the connection broke ({error or type(error).__name__})"
        except anyio.WouldBlock:
            self._lost = f"more than {WAITING_EVENTS} events waited to be read"
        except ProtocolError as error:
            self._lost = str(error)
        finally:
            self._told.close()
            self._greeted.set()
            for answer in self._answers.values():
                answer.complete.set()

    async def _receive(self) -> bytes:
        with anyio.move_on_after(self._settings.ping_s):
            return await self._stream.receive(_READ_BYTES)
        with anyio.fail_after(self._settings.action_s):
            await self._send(encode_action("Ping", "ping"))
            return await self._stream.receive(_READ_BYTES)

    async def _send(self, message: bytes) -> None:
        async with self._sending:
            try:
                await self._stream.send(message)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                raise self._loss() from None

    def _take(self, data: bytes) -> None:
        messages = self._decoder.feed(data)
        if self._decoder.banner is not None:
            self._greeted.set()
        for message in messages:
            answer = self._answers.get(message.action_id)
            if answer is not None:
                answer.take(message)
            elif message.event and not message.action_id.startswith(_OWN_ACTIONS):
                self._told.send_nowait(message)

    @property
    def _place(self) -> str:
        return f"Asterisk's manager interface at {self._settings.host}:{self._settings.port}"

    def _loss(self) -> ExchangeError:
        return ExchangeError(f"{self._place} is lost: {self._lost or 'the connection is closed'}")

    def close(self) -> None:
        """Give the queue of events back."""
        self._told.close()
        self._events.close()


@asynccontextmanager
async def connect_ami(settings: AmiSettings) -> AsyncIterator[AmiClient]:
    """A connection, logged in, with its reader running; closed when the context is left.

    Raises:
        ExchangeError: nobody answers there, the log-in is refused; the message says what to do.
    """
    where = f"{settings.host}:{settings.port}"
    try:
        with anyio.fail_after(settings.connect_s):
            stream = await anyio.connect_tcp(settings.host, settings.port)
    except (OSError, TimeoutError) as error:
        raise ExchangeError(
            f"Asterisk's manager interface at {where} cannot be reached ({error or 'no answer in time'}): is Asterisk "
            "running, is AMI enabled in manager.conf, do ami.host and ami.port fit its bindaddr and port?"
        ) from error
    client = AmiClient(stream, settings)
    failure: ExchangeError | None = None
    async with stream:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.read)
                try:
                    await client.log_in()
                    yield client
                except ExchangeError as error:
                    # Raised outside the group, which would wrap it.
                    failure = error
                tasks.cancel_scope.cancel()
        finally:
            client.close()
    if failure is not None:
        raise failure


class _Answer:
    """What has come of the answer to one action."""

    __slots__ = ("_listing", "complete", "response", "rows")

    def __init__(self, listing: bool) -> None:
        self.complete = anyio.Event()
        self.response: AmiMessage | None = None
        self.rows: list[AmiMessage] = []
        self._listing = listing

    def take(self, message: AmiMessage) -> None:
        if not message.event:
            self.response = message
            if not self._listing or not message.succeeded:
                self.complete.set()
        elif message.value("EventList") == "Complete":
            self.complete.set()
        elif len(self.rows) < MAX_LISTED:
            self.rows.append(message)
