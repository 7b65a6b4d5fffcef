from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.domain.language_model import ChatMessage
from kamerton.llm.context import MESSAGE_TOKENS
from kamerton.llm.dual_context import (
    BACKLOG_WINDOWS,
    FIRST_PAUSE_S,
    KEPT_EXCHANGES,
    ContextPair,
    DualContextController,
    SummaryBatch,
    shortened,
)
from kamerton.llm.token_counts import estimate_tokens
from kamerton.testing.virtual_loop import VirtualLoop

WINDOW = 1000


def words(text: str) -> int:
    """Tokens of texts whose words are tokens."""
    return len(text.split())


def said(number: int, length: int = 21) -> tuple[str, str]:
    """An exchange of 2 * length + 8 tokens, recognisable by its number."""
    return f"в{number} " + "слово " * (length - 1), f"о{number} " + "слово " * (length - 1)


def numbers(messages: Sequence[ChatMessage]) -> list[int]:
    """Numbers of the exchanges that messages show word for word."""
    spoken = "\n".join(message.text for message in messages if message.role == "user")
    return [int(number) for number in re.findall(r"в(\d+)", spoken)]


def tokens(messages: Sequence[ChatMessage]) -> int:
    return sum(words(message.text) + MESSAGE_TOKENS for message in messages)


def filled(exchanges: int) -> ContextPair:
    """A pair after so many exchanges of 50 tokens."""
    pair = ContextPair(WINDOW, words)
    for number in range(exchanges):
        pair.add(*said(number))
    return pair


def due(pair: ContextPair) -> SummaryBatch:
    batch = pair.due()
    assert batch is not None
    return batch


def test_a_summary_is_due_at_half_of_the_window() -> None:
    assert filled(9).due() is None
    batch = due(filled(10))
    assert numbers(batch.messages) == list(range(10 - KEPT_EXCHANGES))


def test_contexts_are_exchanged_at_nine_tenths_and_not_before() -> None:
    pair = filled(10)
    pair.take(due(pair), "конспект")
    for number in range(10, 17):
        pair.add(*said(number))
    assert numbers(pair.messages()) == list(range(17))
    pair.add(*said(17))
    messages = pair.messages()
    assert messages[0] == ChatMessage("system", "конспект")
    assert numbers(messages) == list(range(7, 18))


def test_what_is_said_while_a_summary_is_made_is_kept() -> None:
    pair = filled(10)
    batch = due(pair)
    for number in range(10, 15):
        pair.add(*said(number))
    pair.take(batch, "конспект")
    for number in range(15, 18):
        pair.add(*said(number))
    assert numbers(pair.messages()) == list(range(7, 18))


def test_a_late_summary_leaves_the_oldest_out_and_takes_them_in_when_it_comes() -> None:
    pair = filled(10)
    batch = due(pair)
    for number in range(10, 30):
        pair.add(*said(number))
    assert numbers(pair.messages()) == list(range(12, 30))
    assert pair.left_out == 12
    pair.take(batch, "конспект до седьмого")
    assert pair.left_out == 30 - 7 - len(numbers(pair.messages()))
    second = due(pair)
    assert second.messages[0].text == "конспект до седьмого"
    assert numbers(second.messages) == list(range(7, 17))
    pair.take(second, "конспект до семнадцатого")
    assert numbers(pair.messages()) == list(range(17, 30))
    assert pair.left_out == 0


def test_a_summary_that_never_comes_does_not_grow_the_memory() -> None:
    pair = filled(10)
    batch = due(pair)
    for number in range(10, 500):
        pair.add(*said(number))
    kept = BACKLOG_WINDOWS * WINDOW // 50
    assert pair.given_up == 500 - kept
    assert pair.left_out == kept - 18
    pair.take(batch, "поздно")
    assert numbers(due(pair).messages)[0] == 500 - kept


def test_the_vendors_count_of_the_instructions_narrows_the_room() -> None:
    pair = filled(8)
    pair.messages()
    pair.calibrate(400 + 350)
    assert due(pair).until == 8 - KEPT_EXCHANGES
    for number in range(8, 20):
        pair.add(*said(number))
    assert tokens(pair.messages()) + 350 <= WINDOW


def test_instructions_as_long_as_the_window_leave_some_room() -> None:
    pair = filled(3)
    pair.messages()
    pair.calibrate(5 * WINDOW)
    assert numbers(pair.messages()) == [0, 1, 2]


def test_a_resumed_call_begins_with_its_summary() -> None:
    pair = ContextPair(WINDOW, words)
    pair.add(*said(0))
    pair.restore("был разговор")
    pair.restore("другой")
    assert pair.messages()[0] == ChatMessage("system", "был разговор")


def test_an_exchange_without_words_is_none() -> None:
    pair = ContextPair(WINDOW, words)
    pair.add(" ", "")
    assert pair.messages() == ()


def test_long_texts_are_shortened() -> None:
    pair = ContextPair(WINDOW, words)
    pair.add("слово " * 3000, "ответ " * 3000)
    user, heard = pair.messages()
    assert user.text.endswith("…")
    assert words(user.text) == 50
    assert words(heard.text) <= 50


@given(st.text(max_size=400), st.integers(1, 60))
def test_a_shortened_text_keeps_its_limit(text: str, limit: int) -> None:
    kept = shortened(text, limit, estimate_tokens)
    assert estimate_tokens(kept) <= limit
    assert kept.removesuffix("…").rstrip() in text


def test_a_window_too_small_to_talk_in_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a model window of 999 tokens is too small"):
        ContextPair(999, words)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 120)),
        st.tuples(st.just("summary"), st.integers(0, 300)),
        st.tuples(st.just("overhead"), st.integers(0, 700)),
    ),
    max_size=150,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_messages_stay_within_the_window_and_nothing_is_lost(taken: list[tuple[str, int]]) -> None:
    pair = ContextPair(WINDOW, words)
    batch: SummaryBatch | None = None
    summarised: set[int] = set()
    added = overhead = 0
    for kind, size in taken:
        if kind == "add":
            pair.add(*said(added, max(1, size)))
            added += 1
        elif kind == "overhead":
            overhead = size
            pair.calibrate(tokens(pair.messages()) + overhead)
        elif batch is None:
            batch = pair.due()
        else:
            summarised.update(numbers(batch.messages))
            pair.take(batch, "с " * size)
            batch = None
        shown = pair.messages()
        assert tokens(shown) + overhead <= WINDOW
        seen = numbers(shown)
        assert seen == list(range(added))[added - len(seen) :]
        assert added == len(seen) + pair.left_out + len(summarised - set(seen)) + pair.given_up or batch is not None
        if overhead <= WINDOW // 4:
            assert len(seen) >= min(added, 1)


class Summarizer:
    """Sums up in a set time, and fails when it is told to."""

    def __init__(self, takes_s: float = 2.0, failures: int = 0, empty: int = 0) -> None:
        self.takes_s = takes_s
        self.failures = failures
        self.empty = empty
        self.asked_at_s: list[float] = []
        self.read: list[list[int]] = []

    async def __call__(self, messages: Sequence[ChatMessage]) -> str:
        self.asked_at_s.append(anyio.current_time())
        self.read.append(numbers(messages))
        await anyio.sleep(self.takes_s)
        if self.failures:
            self.failures -= 1
            raise EngineError("the model is away")
        if self.empty:
            self.empty -= 1
            return " \n"
        return f"конспект {len(self.read)}"


@asynccontextmanager
async def running(contexts: DualContextController) -> AsyncIterator[None]:
    """The controller's background task while the context lasts."""
    async with anyio.create_task_group() as group:
        group.start_soon(contexts.run)
        yield
        group.cancel_scope.cancel()


@pytest.mark.anyio
class TestController:
    @pytest.fixture
    def anyio_backend(self) -> object:
        return ("asyncio", {"loop_factory": VirtualLoop})

    async def test_a_summary_starts_by_itself_and_is_ready_for_the_swap(self) -> None:
        summarizer = Summarizer()
        contexts = DualContextController(WINDOW, summarizer, words)
        async with running(contexts):
            for number in range(18):
                contexts.add(*said(number))
                await anyio.sleep(1.0)
        assert summarizer.read == [list(range(7)), list(range(7, 15))]
        assert contexts.messages()[0].text == "конспект 1"

    async def test_a_failed_or_empty_summary_is_tried_again_with_growing_pauses(self) -> None:
        summarizer = Summarizer(takes_s=1.0, failures=2, empty=1)
        contexts = DualContextController(WINDOW, summarizer, words)
        async with running(contexts):
            for number in range(20):
                contexts.add(*said(number))
            await anyio.sleep(60)
            assert contexts.left_out == 0
            assert contexts.messages()[0].text == "конспект 4"
        first = FIRST_PAUSE_S + 1
        assert summarizer.asked_at_s[:4] == [0.0, first, first + 11.0, first + 11.0 + 21.0]

    async def test_a_calibration_can_make_a_summary_due(self) -> None:
        summarizer = Summarizer()
        contexts = DualContextController(WINDOW, summarizer, words)
        async with running(contexts):
            for number in range(8):
                contexts.add(*said(number))
            contexts.messages()
            await anyio.sleep(1)
            assert summarizer.read == []
            contexts.calibrate(750)
            await anyio.sleep(1)
            assert summarizer.read == [[0, 1, 2, 3, 4]]

    async def test_exchanges_given_up_are_logged_once(self, caplog: pytest.LogCaptureFixture) -> None:
        contexts = DualContextController(WINDOW, Summarizer(), words)
        for number in range(100):
            contexts.add(*said(number))
        assert [record.message for record in caplog.records] == [
            "the oldest exchanges are given up until a summary comes"
        ]

    async def test_cancelling_gives_up_the_summary_and_nothing_else(self) -> None:
        contexts = DualContextController(WINDOW, Summarizer(takes_s=1000), words)
        async with running(contexts):
            for number in range(12):
                contexts.add(*said(number))
            await anyio.sleep(1)
        assert numbers(contexts.messages()) == list(range(12))
