"""`kamerton model-latency` over real HTTP: a process of its own, real instants."""

from __future__ import annotations

import anyio
import httpx
import pytest

from kamerton.testing.caller.model_latency import measure
from kamerton.testing.caller.model_process import model_process
from kamerton.testing.model_server import ModelScript

pytestmark = pytest.mark.socket


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_calls_are_measured_on_both_sides() -> None:
    figures = await measure(3)
    measured = figures["first_audio_ms"]["count"]
    assert measured == figures["stream_freed_ms"]["count"] == 3 - figures["calls_failed"]
    assert measured > 0
    assert 0 < figures["audio_in_hand_ms"]["p50"] <= figures["first_audio_ms"]["p50"]
    assert figures["stream_freed_ms"]["p50"] > 0


@pytest.mark.anyio
async def test_a_server_tells_at_its_end_what_it_saw_on_the_common_clock() -> None:
    begun_s = anyio.current_time()
    question = {"model": "any", "messages": [{"role": "user", "content": "как дела"}]}
    async with model_process(ModelScript(first_token_ms=0, token_ms=0)) as server:
        async with httpx.AsyncClient() as client:
            (await client.post(f"{server.base_url}/chat/completions", json=question)).raise_for_status()
        assert server.seen == []
    (seen,) = server.seen
    assert (seen.question, seen.outcome) == ("как дела", "completed")
    assert seen.ended_at_s is not None
    assert begun_s < seen.received_at_s <= seen.ended_at_s < anyio.current_time()
