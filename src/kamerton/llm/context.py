"""The conversation as a model is shown it: a summary of what is long past, and the exchanges since, word for word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal

from kamerton.domain.language_model import ChatMessage

MESSAGE_TOKENS: Final = 4
"""What a message costs besides its words (role and separators), as OpenAI counts it."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the caller said and what of the answer was heard. Either may be empty.

    `tokens` is the estimate for both messages.
    """

    user_text: str
    heard_text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class LLMContext:
    """One state of a conversation; every change makes a new one."""

    summary: str = ""
    summary_tokens: int = 0
    exchanges: tuple[Exchange, ...] = ()
    exchange_tokens: int = 0

    @property
    def token_count(self) -> int:
        """Estimated tokens of all messages."""
        return self.summary_tokens + self.exchange_tokens

    def messages(self) -> tuple[ChatMessage, ...]:
        """The summary, if any, as a system message, then the exchanges; roles of the two sides always alternate.

        What one side said in a row (the answer was not heard at all) becomes one message: some servers refuse others.
        """
        head = (ChatMessage("system", self.summary),) if self.summary else ()
        return (*head, *spoken(self.exchanges))

    def with_exchange(self, exchange: Exchange) -> LLMContext:
        """The context after one more exchange."""
        return LLMContext(
            self.summary,
            self.summary_tokens,
            (*self.exchanges, exchange),
            self.exchange_tokens + exchange.tokens,
        )

    def with_summary(self, summary: str, tokens: int) -> LLMContext:
        """The context with another summary, and the same exchanges."""
        return LLMContext(summary, tokens, self.exchanges, self.exchange_tokens)

    def without_oldest(self, count: int) -> LLMContext:
        """The context without its oldest exchanges."""
        gone = sum(exchange.tokens for exchange in self.exchanges[:count])
        return LLMContext(self.summary, self.summary_tokens, self.exchanges[count:], self.exchange_tokens - gone)

    def oldest_within(self, tokens: float) -> int:
        """How many of the oldest exchanges fit into so many tokens together."""
        return _fitting(self.exchanges, tokens)

    def newest_within(self, tokens: float) -> int:
        """How many of the newest exchanges fit into so many tokens together."""
        return _fitting(reversed(self.exchanges), tokens)


def spoken(exchanges: Iterable[Exchange]) -> tuple[ChatMessage, ...]:
    """The messages of exchanges, the words of one side in a row joined."""
    said: list[tuple[Literal["user", "assistant"], str]] = []
    for exchange in exchanges:
        said += [("user", exchange.user_text), ("assistant", exchange.heard_text)]
    present = (item for item in said if item[1])
    return tuple(
        ChatMessage(role, "\n".join(text for _, text in run))
        for role, run in groupby(present, key=lambda item: item[0])
    )


def _fitting(exchanges: Iterable[Exchange], tokens: float) -> int:
    count = 0
    for exchange in exchanges:
        tokens -= exchange.tokens
        if tokens < 0:
            break
        count += 1
    return count
