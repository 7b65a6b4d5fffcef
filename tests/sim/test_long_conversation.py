from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from kamerton.domain.errors import EngineError
from kamerton.domain.language_model import ChatMessage
from kamerton.llm.context import MESSAGE_TOKENS
from kamerton.llm.dual_context import KEPT_EXCHANGES, DualContextController
from kamerton.llm.token_counts import estimate_tokens
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio

WINDOW = 4000
INSTRUCTIONS_TOKENS = 600
VENDOR_SCALE = 1.3
"""The vendor's tokens per estimated one."""
HOURS = 10
TURN_S = 12.0
FACT = re.compile(r"факт-\d+")


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class FactSummarizer:
    """Keeps the facts of what it reads; takes its time, is away now and then, and for twenty minutes on end."""

    def __init__(self, seed: int = 7) -> None:
        self._random = random.Random(seed)
        self.made = 0
        self.failed = 0

    async def __call__(self, messages: Sequence[ChatMessage]) -> str:
        await anyio.sleep(self._random.uniform(1.0, 40.0))
        away = 0 <= anyio.current_time() - 4 * 3600 < 1200
        if away or self._random.random() < 0.2:
            self.failed += 1
            raise EngineError("the model is away")
        self.made += 1
        facts = sorted({fact for message in messages for fact in FACT.findall(message.text)})
        return f"Конспект {self.made}: " + ", ".join(facts)


def vendor_tokens(messages: Sequence[ChatMessage]) -> int:
    estimated = sum(estimate_tokens(message.text) + MESSAGE_TOKENS for message in messages)
    return INSTRUCTIONS_TOKENS + round(VENDOR_SCALE * estimated)


@asynccontextmanager
async def running(contexts: DualContextController) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(contexts.run)
        yield
        group.cancel_scope.cancel()


async def test_ten_hours_stay_within_the_window_and_forget_no_fact() -> None:
    summarizer = FactSummarizer()
    contexts = DualContextController(WINDOW, summarizer, estimate_tokens)
    words = random.Random(3)
    turns = int(HOURS * 3600 / TURN_S)
    most_left_out = swaps = 0
    before = ""
    async with running(contexts):
        for turn in range(turns):
            fact = f"факт-{turn // 300} " if turn % 300 == 0 else ""
            said = f"реплика-{turn} {fact}" + "слово " * words.randrange(2, 40)
            asked_at_s = anyio.current_time()
            messages = contexts.messages()
            assert anyio.current_time() == asked_at_s
            used = vendor_tokens(messages)
            assert used <= WINDOW
            contexts.calibrate(used)
            contexts.add(said, f"ответ-{turn} " + "ладно " * words.randrange(2, 60))
            most_left_out = max(most_left_out, contexts.left_out)
            summary = contexts.context.summary
            swaps += summary != before
            before = summary
            await anyio.sleep(TURN_S)
        await anyio.sleep(3600)
    assert contexts.left_out == 0
    assert turns == 3000
    assert swaps > 50
    assert summarizer.failed > 10
    assert most_left_out > 50
    text = "\n".join(message.text for message in contexts.messages())
    assert [f"факт-{number}" for number in range(turns // 300) if f"факт-{number}" not in text] == []
    assert all(f"реплика-{turns - 1 - back} " in text for back in range(KEPT_EXCHANGES))


async def test_a_model_that_is_never_there_costs_bounded_memory() -> None:
    async def never(messages: Sequence[ChatMessage]) -> str:
        raise EngineError("the model is away")

    contexts = DualContextController(WINDOW, never, estimate_tokens)
    kept: list[int] = []
    async with running(contexts):
        for turn in range(2000):
            contexts.add(f"реплика-{turn:04} " + "слово " * 20, "ладно " * 20)
            kept.append(contexts.left_out + len(contexts.context.exchanges))
            await anyio.sleep(TURN_S)
    assert kept[1000] == kept[1999] < 300
