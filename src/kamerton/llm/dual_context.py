"""Two contexts of one conversation: the one in use, and the summarised one that takes its place before it is full.

At half of the window the older part is summarised in the background; at nine tenths the contexts are exchanged, by one
assignment. Whoever asks for the messages never waits for either.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio

from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.domain.language_model import ChatMessage
from kamerton.llm.context import MESSAGE_TOKENS, Exchange, LLMContext, spoken
from kamerton.llm.summaries import SummaryShelf
from kamerton.llm.token_counts import TokenCalibration

logger = logging.getLogger(__name__)

START_SHARE: Final = 0.5
"""Share of the room at which a summary is started."""
SWAP_SHARE: Final = 0.9
"""Share of the room at which the summarised context takes over, and which the messages never exceed."""
KEPT_EXCHANGES: Final = 3
"""The newest exchanges are never summarised: what is being talked about stays word for word."""
BATCH_SHARE: Final = 0.5
"""Most of the window that one request for a summary is given to read."""
BACKLOG_WINDOWS: Final = 4
"""Windows of exchanges kept while no summary comes; beyond that the oldest are given up, counted and logged."""
TEXT_SHARE: Final = 1 / 20
"""Longest message in the history, as a share of the window; what is longer loses its end."""
SUMMARY_SHARE: Final = 1 / 10
"""Longest summary, as a share of the window."""
LEAST_ROOM_SHARE: Final = 1 / 4
"""Room that the conversation gets however long the instructions are."""
MIN_WINDOW_TOKENS: Final = 1000
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 300.0
"""Pauses after failed summaries grow from the first to the longest, doubling."""

_MOST_CHARACTERS_PER_TOKEN: Final = 12

Summarize = Callable[[Sequence[ChatMessage]], Awaitable[str]]
"""Sums up messages (a summary so far comes first, as a system message); raises EngineError when it cannot."""
CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class SummaryBatch:
    """The oldest part of a conversation, to be summarised: everything before the exchange number `until`."""

    messages: tuple[ChatMessage, ...]
    until: int


class ContextPair:
    """The two contexts and the rules of their exchange; plain calls, no clock.

    Args:
        window_tokens: the model's window, without what is reserved for the answer.
        count_tokens: estimate for a text.

    Raises:
        ConfigurationError: the window is too small to talk in.
    """

    def __init__(self, window_tokens: int, count_tokens: CountTokens) -> None:
        if window_tokens < MIN_WINDOW_TOKENS:
            raise ConfigurationError(
                f"a model window of {window_tokens} tokens is too small for a conversation; "
                f"set at least {MIN_WINDOW_TOKENS}, or use a model with a larger window"
            )
        self._window = window_tokens
        self._count = count_tokens
        self._calibration = TokenCalibration(spread=window_tokens // 10)
        self._active = LLMContext()
        self._standby: LLMContext | None = None
        self._first = 0
        self._shown_tokens = 0
        self.given_up = 0
        """Exchanges that no summary covers, because none came for too long."""

    @property
    def context(self) -> LLMContext:
        """The context in use, as far as it fits: the oldest exchanges are left out while a summary is late."""
        active = self._active
        shown = active.newest_within(self._room(SWAP_SHARE) - active.summary_tokens)
        return active.without_oldest(len(active.exchanges) - shown)

    @property
    def left_out(self) -> int:
        """Exchanges that are not shown now and wait for their summary."""
        return len(self._active.exchanges) - len(self.context.exchanges)

    @property
    def newest_summary(self) -> str:
        """The summary that reaches furthest; empty before the first."""
        return (self._standby or self._active).summary

    def messages(self) -> tuple[ChatMessage, ...]:
        """What the model is shown of the conversation: always within the window."""
        context = self.context
        self._shown_tokens = context.token_count
        return context.messages()

    def add(self, user_text: str, heard_text: str) -> None:
        """An exchange is over."""
        limit = int(TEXT_SHARE * self._window / max(1.0, self._calibration.scale))
        user, heard = (shortened(text, limit, self._count) for text in (user_text, heard_text))
        if not user and not heard:
            return
        tokens = sum(self._count(text) + MESSAGE_TOKENS for text in (user, heard) if text)
        exchange = Exchange(user, heard, tokens)
        self._active = self._active.with_exchange(exchange)
        if self._standby is not None:
            self._standby = self._standby.with_exchange(exchange)
        self._settle()

    def calibrate(self, prompt_tokens: int) -> None:
        """The vendor counted so many tokens in the prompt that the messages asked for last went into."""
        self._calibration.observe(self._shown_tokens, prompt_tokens)
        self._settle()

    def restore(self, summary: str) -> None:
        """Begin from an earlier summary of the same call; ignored when there is one already."""
        if summary and not self.newest_summary:
            self._active = self._with_summary(self._active, summary)

    def due(self) -> SummaryBatch | None:
        """What should be summarised now, if anything."""
        active = self._active
        older = len(active.exchanges) - KEPT_EXCHANGES
        if self._standby is not None or older < 1 or active.token_count < self._room(START_SHARE):
            return None
        count = max(1, min(older, active.oldest_within(BATCH_SHARE * self._window / self._calibration.scale)))
        head = (ChatMessage("system", active.summary),) if active.summary else ()
        return SummaryBatch((*head, *spoken(active.exchanges[:count])), self._first + count)

    def take(self, batch: SummaryBatch, summary: str) -> None:
        """The summary of a batch is there; it is used as soon as it is needed."""
        rest = self._active.without_oldest(max(0, batch.until - self._first))
        self._standby = self._with_summary(rest, summary)
        self._settle()

    def _settle(self) -> None:
        if self._standby is not None and self._active.token_count >= self._room(SWAP_SHARE):
            self._first += len(self._active.exchanges) - len(self._standby.exchanges)
            self._active, self._standby = self._standby, None
        while self._active.exchange_tokens > BACKLOG_WINDOWS * self._window:
            self._active = self._active.without_oldest(1)
            self._first += 1
            self.given_up += 1

    def _with_summary(self, context: LLMContext, summary: str) -> LLMContext:
        kept = shortened(summary, int(SUMMARY_SHARE * self._window), self._count)
        return context.with_summary(kept, self._count(kept) + MESSAGE_TOKENS)

    def _room(self, share: float) -> float:
        """Estimated tokens with which the conversation fills a share of what the instructions leave of the window."""
        overhead = min(self._calibration.overhead, (1 - LEAST_ROOM_SHARE) * self._window)
        limit = overhead + share * (self._window - overhead)
        least = share * LEAST_ROOM_SHARE * self._window / self._calibration.scale
        return max(self._calibration.estimate_at(limit), least)


class DualContextController:
    """The history of one call, for the model. `run` is the call's background task; all else are plain calls.

    Args:
        window_tokens: the model's window, without what is reserved for the answer.
        summarize: makes summaries; its EngineError puts them off.
        count_tokens: estimate for a text.
        keep: where summaries outlive the process; None keeps them nowhere.

    Raises:
        ConfigurationError: the window is too small to talk in.
    """

    def __init__(
        self,
        window_tokens: int,
        summarize: Summarize,
        count_tokens: CountTokens,
        keep: SummaryShelf | None = None,
    ) -> None:
        self._pair = ContextPair(window_tokens, count_tokens)
        self._summarize = summarize
        self._keep = keep
        self._changed = anyio.Event()
        self._giving_up = False

    @property
    def context(self) -> LLMContext:
        """What the model is shown now."""
        return self._pair.context

    @property
    def left_out(self) -> int:
        """Exchanges that are not shown now and wait for a late summary."""
        return self._pair.left_out

    def messages(self) -> tuple[ChatMessage, ...]:
        """The conversation so far, within the window, the summary first. Never waits."""
        return self._pair.messages()

    def add(self, user_text: str, heard_text: str) -> None:
        """An exchange is over: what the caller said, and what of the answer was heard. Either may be empty."""
        given_up = self._pair.given_up
        self._pair.add(user_text, heard_text)
        if self._pair.given_up > given_up and not self._giving_up:
            self._giving_up = True
            logger.warning("the oldest exchanges are given up until a summary comes")
        self._changed.set()

    def calibrate(self, prompt_tokens: int) -> None:
        """Correct the estimate by the vendor's count of the whole prompt that `messages` went into last."""
        self._pair.calibrate(prompt_tokens)
        self._changed.set()

    async def run(self) -> None:
        """Summarise whenever it is due, until cancelled. Begins with the summary of a call that is resumed.

        Cancelling gives up a summary in the making; no context is ever half exchanged.
        """
        if self._keep is not None:
            self._pair.restore(await self._keep.load())
        pause_s = FIRST_PAUSE_S
        while True:
            self._changed = anyio.Event()
            batch = self._pair.due()
            if batch is None:
                await self._changed.wait()
                continue
            try:
                self._pair.take(batch, await self._summary(batch))
            except EngineError as error:
                logger.warning("a summary failed and is tried again", extra={"problem": str(error), "pause_s": pause_s})
                await anyio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            pause_s = FIRST_PAUSE_S
            self._giving_up = False
            if self._keep is not None:
                await self._keep.save(self._pair.newest_summary)

    async def _summary(self, batch: SummaryBatch) -> str:
        summary = (await self._summarize(batch.messages)).strip()
        if not summary:
            raise EngineError("the model wrote an empty summary; the conversation is kept word for word meanwhile")
        return summary


def shortened(text: str, limit: int, count_tokens: CountTokens) -> str:
    """The text, or as much of its beginning as `limit` tokens hold, marked with «…»."""
    text = text.strip()
    if len(text) <= limit * _MOST_CHARACTERS_PER_TOKEN and count_tokens(text) <= limit:
        return text
    kept = text[: limit * _MOST_CHARACTERS_PER_TOKEN]
    while kept and (tokens := count_tokens(f"{kept}…")) > limit:
        kept = kept[: int(len(kept) * limit / tokens)]
    return f"{kept.rstrip()}…"
