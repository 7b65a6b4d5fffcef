"""A chain of language models on the virtual clock: failures, deadlines, rests, hedging."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from kamerton.domain.errors import ConfigurationError, EngineError, VendorError
from kamerton.domain.language_model import ChatMessage, GenerationEnded, ModelEvent, ModelRequest, TextDelta
from kamerton.llm.chain import ModelChain, ModelChainSettings, ModelLink
from kamerton.testing.scripted_model import ScriptedAnswer, ScriptedModel
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.vendors.health import FEWEST, FirstResultTimes

pytestmark = pytest.mark.anyio

ASKED = ModelRequest((ChatMessage("user", "привет"),), 100)
BROKEN = ScriptedAnswer("", failure="it is down")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}


class VendorModel(ScriptedModel):
    """Fails as a service does, as long as `fault` is set."""

    fault: VendorError | None = None

    async def generate(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        if self.fault is not None:
            self.requests.append(request)
            raise self.fault
        async with aclosing(super().generate(request)) as events:
            async for event in events:
                yield event


def model(text: str, first_token_s: float = 0.4, **more: Any) -> VendorModel:
    return VendorModel(otherwise=ScriptedAnswer("", raw=text, **more), first_token_s=first_token_s)


def failing(failure: str) -> VendorModel:
    return VendorModel(otherwise=ScriptedAnswer("", failure=failure), first_token_s=0.1)


def chain_of(*models: VendorModel, **settings: Any) -> ModelChain:
    links = [ModelLink(f"m{number}", one) for number, one in enumerate(models)]
    return ModelChain(links, ModelChainSettings(**settings))


async def answer(chain: ModelChain) -> str:
    async with aclosing(chain.generate(ASKED)) as events:
        found = [event async for event in events]
    assert isinstance(found[-1], GenerationEnded)
    return "".join(event.text for event in found if isinstance(event, TextDelta))


async def test_the_best_one_answers_and_nobody_else_is_asked() -> None:
    first, second = model("первая"), model("вторая")
    chain = chain_of(first, second)
    assert await answer(chain) == "первая"
    assert second.requests == []
    assert chain.links[0].counts == {"requests": 1, "answers": 1}
    assert chain.name == "scripted+scripted"


async def test_a_failure_before_the_first_token_moves_on_within_the_turn() -> None:
    first, second = failing("its server is down"), model("вторая")
    chain = chain_of(first, second)
    started_s = anyio.current_time()
    assert await answer(chain) == "вторая"
    assert anyio.current_time() - started_s < 0.6
    assert chain.links[0].counts["failures:broken"] == 1


async def test_a_late_first_token_moves_on_and_frees_the_late_one() -> None:
    first, second = model("первая", first_token_s=30.0), model("вторая")
    chain = chain_of(first, second, first_token_s=2.0)
    async with aclosing(chain.generate(ASKED)) as events:
        assert await anext(events) == TextDelta("вторая")
        assert anyio.current_time() == pytest.approx(first.freed_s[0] + 0.4)
    assert chain.links[0].counts["failures:timeout"] == 1
    assert first.running == 0


async def test_the_last_one_is_waited_for_beyond_the_deadline() -> None:
    """Nobody else could be asked: a late answer is better than none."""
    assert await answer(chain_of(model("единственная", first_token_s=5.0), first_token_s=2.0)) == "единственная"
    late = chain_of(failing("down"), model("вторая", first_token_s=5.0), first_token_s=2.0)
    assert await answer(late) == "вторая"


async def test_after_the_first_token_it_stays_and_a_break_is_told() -> None:
    """What was said cannot be taken back."""
    first, second = model("начало и конец", cut_after=6), model("вторая")
    first.token_s = 0.1
    chain = chain_of(first, second)
    events: list[ModelEvent] = []
    note = events.append

    async def listen() -> None:
        async with aclosing(chain.generate(ASKED)) as generated:
            async for event in generated:
                note(event)

    with pytest.raises(EngineError, match="broke off"):
        await listen()
    assert second.requests == []
    assert events == [TextDelta("начало")]
    assert chain.links[0].counts["failures:broken"] == 1


async def test_when_every_one_fails_each_ones_reason_is_told() -> None:
    first, second = model(""), model("")
    first.fault = VendorError("its key is refused", "unauthorised")
    second.fault = VendorError("it is overloaded", "rate_limited", retry_after_s=9)
    with pytest.raises(VendorError, match="m0: its key is refused; m1: it is overloaded") as caught:
        await answer(chain_of(first, second))
    assert (caught.value.fault, caught.value.retry_after_s) == ("rate_limited", 9)


async def test_one_that_failed_rests_and_is_tried_again_by_one_request() -> None:
    first, second = model("первая"), model("вторая")
    first.fault = VendorError("down", "connection")
    chain = chain_of(first, second)
    for _ in range(5):
        assert await answer(chain) == "вторая"
    assert len(first.requests) == 2
    await anyio.sleep(16)
    first.fault = None
    assert await answer(chain) == "первая"
    assert chain.links[0].breaker.state(anyio.current_time()) == "closed"


async def test_while_every_one_rests_nobody_is_asked() -> None:
    """The caller hears so at once instead of waiting for the same failure again."""
    only = model("первая")
    only.fault = VendorError("money is used up", "quota")
    chain = chain_of(only)
    for text in ("money is used up", "m0 rests after: money is used up"):
        with pytest.raises(EngineError, match=text):
            await answer(chain)
    assert len(only.requests) == 1
    await anyio.sleep(61)
    only.fault = None
    assert await answer(chain) == "первая"


async def test_a_probe_that_is_given_up_leaves_the_next_request_to_probe() -> None:
    only = model("первая")
    only.fault = VendorError("money is used up", "quota")
    chain = chain_of(only)
    with pytest.raises(EngineError):
        await answer(chain)
    await anyio.sleep(61)
    only.fault = None
    with anyio.move_on_after(0.1):
        await answer(chain)
    assert only.running == 0
    assert await answer(chain) == "первая"


async def test_silence_that_its_listener_gave_up_is_a_failure() -> None:
    """The bounds of a spoken answer may be shorter than the server's own."""
    hangs = model("первая", first_token_s=0.1)
    hangs.token_s = 60.0
    never = model("вторая", first_token_s=60.0)
    for one in (hangs, never):
        chain = chain_of(one, first_token_s=2.0)
        with anyio.move_on_after(6.0):
            await answer(chain)
        assert chain.links[0].counts["failures:timeout"] == 1
        assert one.running == 0


async def test_closing_an_answer_frees_it_and_counts_it_as_served() -> None:
    first = model("очень длинный ответ", endless=True)
    chain = chain_of(first)
    async with aclosing(chain.generate(ASKED)) as events:
        await anext(events)
    assert first.running == 0
    assert chain.links[0].counts["answers"] == 1


async def usual(chain: ModelChain) -> None:
    """Let the first model have a usual time."""
    for _ in range(FEWEST):
        await answer(chain)


async def test_a_slow_one_is_hedged_at_its_usual_longest_time_and_loses() -> None:
    first, second = model("первая", first_token_s=0.5), model("вторая", first_token_s=0.2)
    chain = chain_of(first, second, hedge=True)
    await usual(chain)
    assert second.requests == []
    first.first_token_s = 2.0
    started_s = anyio.current_time()
    async with aclosing(chain.generate(ASKED)) as events:
        assert await anext(events) == TextDelta("вторая")
        assert anyio.current_time() - started_s == pytest.approx(0.7)
        assert first.running == 0
    assert chain.links[0].counts["overtaken"] == 1
    assert chain.links[1].counts["answers"] == 1


async def test_the_hedge_loses_when_the_first_one_comes_after_all() -> None:
    first, second = model("первая", first_token_s=0.5), model("вторая", first_token_s=0.5)
    chain = chain_of(first, second, hedge=True)
    await usual(chain)
    first.first_token_s = 0.7
    assert await answer(chain) == "первая"
    assert second.running == 0
    assert chain.links[1].counts == {"requests": 1, "overtaken": 1}


async def test_without_hedging_a_slow_one_is_waited_for() -> None:
    first, second = model("первая", first_token_s=0.5), model("вторая", first_token_s=0.2)
    chain = chain_of(first, second)
    await usual(chain)
    first.first_token_s = 2.0
    assert await answer(chain) == "первая"
    assert second.requests == []


async def test_cancelling_frees_both_of_a_hedge() -> None:
    first, second = model("первая", first_token_s=0.5), model("вторая", first_token_s=9.0)
    chain = chain_of(first, second, hedge=True)
    await usual(chain)
    first.first_token_s = 9.0
    with anyio.move_on_after(1.0):
        await answer(chain)
    assert len(second.requests) == 1
    assert first.running == second.running == 0


async def test_an_adapter_that_breaks_is_passed_over() -> None:
    class Broken(VendorModel):
        async def generate(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
            if request.messages:
                raise RuntimeError("a fault of ours")
            yield TextDelta("")

    assert await answer(chain_of(Broken(), model("вторая"))) == "вторая"


def test_the_tail_is_known_once_there_are_enough_times() -> None:
    def tail(*waits_s: float) -> float | None:
        times = FirstResultTimes()
        for waited_s in waits_s:
            times.record(waited_s)
        return times.p90_s

    tenths = [tenth / 10 for tenth in range(1, 10)]
    assert tail(*tenths) is None
    assert tail(*tenths, 9.0) == 0.9
    assert tail(*tenths, 9.0, *[0.3] * 100) == 0.3


def test_a_chain_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"model\.engine"):
        ModelChain([])
