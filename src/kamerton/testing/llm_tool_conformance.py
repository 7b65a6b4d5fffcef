"""The part of the language models' suite that is about tools."""

from __future__ import annotations

import json
from contextlib import aclosing

import anyio
import pytest

from kamerton.domain.errors import EngineError
from kamerton.domain.language_model import (
    ChatMessage,
    GenerationEnded,
    LanguageModel,
    ModelEvent,
    ModelRequest,
    TextDelta,
    ToolCall,
    ToolCallBegun,
    ToolResult,
)
from kamerton.testing.llm_stage import (
    ANSWER,
    CALLS,
    DEADLINE_S,
    FIND,
    STOCK,
    TRANSFER,
    ModelStage,
    asking,
    called,
    collected,
    scripted,
    with_tools,
    written,
)
from kamerton.testing.model_server import Rule
from kamerton.testing.model_server.script import ScriptedCall


@pytest.mark.anyio
class ToolConformance(ModelStage):
    """What an adapter owes to tools: definitions out, whole calls in, results out."""

    async def test_tools_are_offered_as_they_were_given(self) -> None:
        """Names, descriptions, schemas and the choice arrive."""
        for choice in ("auto", "none", "required"):
            async with self.stage() as (model, server):
                request = ModelRequest(asking("привет").messages, 500, tools=(STOCK, TRANSFER), tool_choice=choice)
                await collected(model, request)
                (record,) = server.requests
                assert record.tools == (STOCK, TRANSFER)
                assert record.tool_choice == choice

    @pytest.mark.parametrize("one_delta", [False, True])
    async def test_tool_calls_come_whole_and_in_order(self, one_delta: bool) -> None:
        """Behind the text; each is announced as soon as its name is known; the reason is `tool_calls`."""
        rule = Rule(match=("odd",), raw="Сейчас посмотрю.", tool_calls=CALLS, one_delta=one_delta)
        async with self.stage(scripted(rule)) as (model, _):
            events = await collected(model, with_tools("odd"))
            assert written(events) == "Сейчас посмотрю."
            assert isinstance(events[-1], GenerationEnded)
            assert events[-1].reason == "tool_calls"
            calls = called(events)
            assert [(call.id, call.name) for call in calls] == [("call-a1", "find_tyres"), ("call-b2", "transfer")]
            assert [call.parsed() for call in calls] == [{"size": "205/55 R16 — зима"}, {}]
            begun = [event for event in events if isinstance(event, ToolCallBegun)]
            assert [(event.id, event.name) for event in begun] == [(call.id, call.name) for call in calls]
            assert all(events.index(one) < events.index(call) for one, call in zip(begun, calls, strict=True))
            assert not any(isinstance(event, TextDelta) for event in events[events.index(begun[0]) :])

    async def test_a_tool_call_is_announced_while_its_arguments_are_written(self) -> None:
        """So that a wait can be filled early."""
        long_call = ScriptedCall(name="find_tyres", arguments='{"size":"' + "205 " * 300 + '"}')
        rule = Rule(match=("odd",), tool_calls=(long_call,), token_ms=5)
        async with (
            self.stage(scripted(rule)) as (model, server),
            aclosing(model.generate(with_tools("odd"))) as events,
        ):
            with anyio.fail_after(DEADLINE_S):
                assert isinstance(await anext(events), ToolCallBegun)
            assert server.running == 1

    async def test_results_of_tools_are_sent_back(self) -> None:
        """Also one that failed; the model goes on from them."""
        calls = (ToolCall("call-a1", "find_tyres", '{"size":"205/55 R16"}'), ToolCall("call-b2", "transfer", "{}"))
        messages = (
            *asking("есть шины?").messages,
            ChatMessage("assistant", "Сейчас посмотрю.", calls),
            ToolResult("call-a1", '{"found": 4}'),
            ToolResult("call-b2", "линия занята", failed=True),
        )
        again = (*messages, ChatMessage("assistant", "", (ToolCall("call-c3", "transfer", "{}"),)))
        again = (*again, ToolResult("call-c3", "соединяю"))
        async with self.stage() as (model, server):
            for sent in (messages, again):
                events = await collected(model, ModelRequest(sent, 500, tools=(STOCK, TRANSFER)))
                assert json.loads(written(events))["answer"] == ANSWER
                assert [_told(message) for message in server.requests[-1].messages] == [_told(one) for one in sent]

    async def test_broken_arguments_are_handed_on(self) -> None:
        """Whoever reads them is told."""
        rule = Rule(match=("odd",), tool_calls=(FIND.model_copy(update={"arguments": '{"size": '}),))
        async with self.stage(scripted(rule)) as (model, _):
            (call,) = called(await collected(model, with_tools("odd")))
            with pytest.raises(EngineError, match="find_tyres"):
                call.parsed()

    async def test_a_tool_call_cut_off_at_the_limit_does_not_come(self) -> None:
        """Half of the arguments may mean something else."""
        rule = Rule(match=("odd",), tool_calls=(FIND,))
        async with self.stage(scripted(rule)) as (model, _):
            events = await collected(model, with_tools("odd", max_tokens=3))
            assert called(events) == []
            assert isinstance(events[-1], GenerationEnded)
            assert events[-1].reason == "length"

    @pytest.mark.parametrize("fault", ["cut", "error", "stall"])
    async def test_a_tool_call_that_broke_off_does_not_come(self, fault: str) -> None:
        """Nothing is called that the model did not ask for to the end."""
        rule = Rule.model_validate({"match": ("odd",), "tool_calls": (FIND,), f"{fault}_after": 12})
        events: list[ModelEvent] = []
        note = events.append

        async def keep(model: LanguageModel) -> None:
            async with aclosing(model.generate(with_tools("odd"))) as generated:
                async for event in generated:
                    note(event)

        async with self.stage(scripted(rule)) as (model, _):
            with pytest.raises(EngineError), anyio.fail_after(DEADLINE_S):
                await keep(model)
        assert [type(event) for event in events] == [ToolCallBegun]


def _told(message: ChatMessage | ToolResult) -> object:
    """What of a message arrives whatever the vendor's form: arguments as values, failures by their text."""
    if isinstance(message, ToolResult):
        return message.call_id, message.text
    return message.role, message.text, [(call.id, call.name, call.parsed()) for call in message.tool_calls]
