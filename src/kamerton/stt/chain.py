"""Recognisers in order of preference: when one fails or is late, the next one reads the same turn."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.errors import EngineError, Fault, VendorError
from kamerton.domain.recognition import (
    Final,
    RecognitionHint,
    RecognizerState,
    SpeechToText,
    SttCapabilities,
    SttEvent,
    SttFailed,
    SttStream,
    Watched,
)
from kamerton.stt.event_box import EventBox
from kamerton.stt.turn_keeper import TurnKeeper
from kamerton.vendors.breaker import BreakerSettings, ServiceBreaker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChainPatience:
    """How long a service is waited for, in seconds; engines of this machine bound their own times."""

    open_s: float = 2.0
    """To open a call's stream."""
    final_s: float = 2.5
    """From the end of a turn to its transcript."""


@dataclass(frozen=True, slots=True)
class _Loss:
    """Why an engine is left."""

    reason: str
    fault: Fault | None = None
    retry_after_s: float | None = None


class ChainLink:
    """One recogniser of a chain and how it fares, for all calls.

    Args:
        name: as in the settings.
        stt: the recogniser; the chain closes it.
        is_service: somebody else's server.
        breaker: when it is passed over.
    """

    def __init__(
        self, name: str, stt: SpeechToText, *, is_service: bool, breaker: BreakerSettings | None = None
    ) -> None:
        self.name = name
        self.stt = stt
        self.is_service = is_service
        self.breaker = ServiceBreaker(breaker)
        self.counts: Counter[str] = Counter()
        """`streams`, `turns`, and `failures:FAULT`."""

    def lost(self, loss: _Loss, now_s: float) -> None:
        """It failed a call: note it, and let it rest when it is time."""
        self.counts[f"failures:{loss.fault or 'engine'}"] += 1
        rests = self.breaker.failed(now_s, loss.reason, loss.fault, loss.retry_after_s)
        log.warning("a recogniser failed", extra={"recognizer": self.name, "reason": loss.reason, "rests": rests})


class RecognizerChain:
    """Several recognisers as one. Each call uses one at a time: the best one that does not rest.

    A failure, or a transcript that does not come in time, costs the caller the wait and no word: the next engine is
    told the turn from its beginning. Between turns a call goes back to a better engine that recovered.
    """

    def __init__(self, links: Sequence[ChainLink], patience: ChainPatience | None = None) -> None:
        self._links = tuple(links)
        self._patience = patience or ChainPatience()

    @property
    def name(self) -> str:
        """The engines in order: `yandex+whisper`."""
        return "+".join(link.name for link in self._links)

    @property
    def capabilities(self) -> SttCapabilities:
        """Those of the best one, with the languages and the wish for all audio of any."""
        best = self._links[0].stt.capabilities
        languages = dict.fromkeys(code for link in self._links for code in link.stt.capabilities.languages)
        return SttCapabilities(
            tuple(languages),
            best.partials_while_speaking,
            any(link.stt.capabilities.continuous for link in self._links),
            best.lag_ms,
        )

    @property
    def state(self) -> RecognizerState:
        """That of the first engine which keeps account of itself; in trouble only when every engine is."""
        now_s = anyio.current_time()
        states = [link.stt.state if isinstance(link.stt, Watched) else RecognizerState() for link in self._links]
        troubles = [
            state.trouble or (f"{link.name} rests: {link.breaker.last_reason}" if self._rests(link, now_s) else "")
            for link, state in zip(self._links, states, strict=True)
        ]
        counted = next((state for state in states if state.decoded or state.waiting or state.max_calls), states[0])
        return RecognizerState(
            trouble="; ".join(troubles) if all(troubles) else "",
            max_calls=states[0].max_calls,
            waiting=counted.waiting,
            expected_wait_s=states[0].expected_wait_s,
            decoded=counted.decoded,
            failed=counted.failed,
            refused=counted.refused,
            hung=counted.hung,
        )

    @property
    def links(self) -> Sequence[ChainLink]:
        """The engines, best first, for metrics."""
        return self._links

    @asynccontextmanager
    async def open(self, audio_format: AudioFormat) -> AsyncIterator[SttStream]:
        """Open one call's stream; it stands at once, and what is said before an engine does is kept."""
        stream = _ChainStream(self._links, self._patience, audio_format)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run)
            try:
                yield stream
            finally:
                stream.close()
                tasks.cancel_scope.cancel()

    async def aclose(self) -> None:
        """Close every engine, also when some fail to."""
        for link in self._links:
            try:
                await link.stt.aclose()
            except (EngineError, OSError) as error:
                log.warning("a recogniser did not close", extra={"recognizer": link.name, "reason": str(error)})

    def _rests(self, link: ChainLink, now_s: float) -> bool:
        return link.breaker.state(now_s) == "open"


class _ChainStream:
    """One call's stream: `run` keeps an engine behind it."""

    def __init__(self, links: Sequence[ChainLink], patience: ChainPatience, audio_format: AudioFormat) -> None:
        self._links = links
        self._patience = patience
        self._format = audio_format
        self._events = EventBox()
        self._turns = TurnKeeper(anyio.current_time, self._broke)
        self._scope = anyio.CancelScope()
        self._link: ChainLink | None = None
        self._loss: _Loss | None = None
        self._leaving = False
        """The engine is left although it did not fail."""
        self._failed: set[ChainLink] = set()
        """Engines that failed since the last transcript."""
        self.push = self._turns.push
        self.pause = self._turns.pause
        self.resume = self._turns.resume

    @property
    def dropped_ms(self) -> float:
        """Audio that no engine was given."""
        return self._turns.dropped_ms

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        """A turn begins. An engine that failed other calls meanwhile, and rests, is left for another one."""
        self._turns.begin_turn(turn, hint, look_back)
        link = self._link
        if link is not None and link.breaker.state(anyio.current_time()) == "open" and self._untried():
            self._leaving = True
            self._scope.cancel()

    def end_of_turn(self) -> None:
        """The turn is over: its transcript is due."""
        self._turns.end_of_turn()
        self._arm()

    def abandon_turn(self) -> None:
        """It was no turn."""
        self._turns.abandon_turn()

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self._events

    def close(self) -> None:
        """End the iteration."""
        self._events.close()

    async def run(self) -> None:
        """Keep an engine behind the stream until cancelled, or until every one failed; then the iteration raises."""
        try:
            await self._run()
        finally:
            if self._link is not None:
                self._link.breaker.given_up()

    async def _run(self) -> None:
        while (link := self._choose()) is not None:
            link.counts["streams"] += 1
            loss = await self._use(link)
            now_s = anyio.current_time()
            self._link = None
            if loss is None:
                link.breaker.given_up()
            else:
                link.lost(loss, now_s)
                self._failed.add(link)
        reasons = "; ".join(f"{link.name}: {link.breaker.last_reason}" for link in self._links)
        self._events.fail(EngineError(f"no recogniser could read the call: {reasons}"))

    async def _use(self, link: ChainLink) -> _Loss | None:
        """Let an engine hear the call until it is lost, which is returned, or another one is to hear it."""
        self._link, self._loss, self._leaving = link, None, False
        opened = False
        now_s = anyio.current_time()
        try:
            with anyio.CancelScope(deadline=now_s + self._patience.open_s if link.is_service else math.inf) as scope:
                self._scope = scope
                async with link.stt.open(self._format) as stream:
                    opened, scope.deadline = True, math.inf
                    self._turns.attach(stream, continuous=link.stt.capabilities.continuous)
                    self._arm()
                    async for event in stream:
                        if not self._goes_on(link, event):
                            return self._loss
            if scope.cancelled_caught:
                return self._loss or self._late(link, opened=opened)
            return _Loss("its stream ended", "connection" if link.is_service else None)
        except VendorError as error:
            return _Loss(str(error), error.fault, error.retry_after_s)
        except Exception as error:  # the boundary to an engine: its fault costs its stream
            return _Loss(f"{type(error).__name__}: {error}")
        finally:
            self._turns.detach()

    def _goes_on(self, link: ChainLink, event: SttEvent) -> bool:
        """Pass an event on; False when the call is to leave this engine, for `self._loss` or for a better one."""
        if isinstance(event, SttFailed) and event.retryable and self._untried(besides=link):
            self._loss = _Loss(event.reason, "failed" if link.is_service else None)
            return False
        self._turns.told(event)
        self._events.put(event)
        if isinstance(event, Final):
            link.counts["turns"] += 1
            link.breaker.succeeded()
            self._failed.clear()
        self._arm()
        return not (self._turns.settled and self._recovered_before(link))

    def _choose(self) -> ChainLink | None:
        """The best engine that has not failed this turn and does not rest; one that rests when there is no other."""
        left = [link for link in self._links if link not in self._failed]
        now_s = anyio.current_time()
        return next((link for link in left if link.breaker.admits(now_s)), left[-1] if left else None)

    def _untried(self, besides: ChainLink | None = None) -> bool:
        return any(link not in self._failed and link not in (besides, self._link) for link in self._links)

    def _recovered_before(self, link: ChainLink) -> bool:
        """A better engine is not resting any more."""
        now_s = anyio.current_time()
        better = self._links[: self._links.index(link)]
        return any(other.breaker.would_admit(now_s) for other in better)

    def _arm(self) -> None:
        """A service that owes a transcript has a deadline."""
        link = self._link
        if link is None or not link.is_service:
            return
        owed = self._turns.owed
        if owed and self._scope.deadline == math.inf:
            self._scope.deadline = anyio.current_time() + self._patience.final_s
        elif not owed:
            self._scope.deadline = math.inf

    def _late(self, link: ChainLink, *, opened: bool) -> _Loss | None:
        """Why the engine's scope was cancelled: for a deadline, or to leave it, which is no loss."""
        if self._leaving:
            return None
        if not opened:
            return _Loss(f"its stream did not open within {self._patience.open_s:g} s", "timeout")
        return _Loss(f"no transcript within {self._patience.final_s:g} s of the end of a turn", "timeout")

    def _broke(self, reason: str) -> None:
        self._loss = _Loss(reason)
        self._scope.cancel()
