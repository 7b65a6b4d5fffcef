"""The suite that every language model's adapter must pass, against the stand-in server over real HTTP.

A test module makes a subclass of `LanguageModelConformance` that overrides `make_model`, and `dialect` where the vendor
does not speak OpenAI's. The adapter is to use `API_KEY`, and to wait no longer than `PATIENCE_S` for a connection, for
the first token and between tokens, so that the tests of slow servers end soon.
"""

from __future__ import annotations

import json
import re
import socket
import traceback
from contextlib import aclosing
from typing import Final, get_args

import anyio
import pytest

from kamerton.domain.errors import EngineError, Fault, VendorError
from kamerton.domain.language_model import (
    GenerationEnded,
    LanguageModel,
    ModelEvent,
    TextDelta,
)
from kamerton.testing.llm_stage import (
    ANSWER,
    API_KEY,
    DEADLINE_S,
    LONG_WAIT_MS,
    PATIENCE_S,
    SCHEMA,
    SCRIPT,
    SPOKEN,
    CountedUsage,
    asking,
    collected,
    scripted,
    written,
)
from kamerton.testing.llm_tool_conformance import ToolConformance
from kamerton.testing.model_server import Rule, serve_model
from kamerton.testing.model_server.script import Quirk

__all__ = [
    "ANSWER",
    "API_KEY",
    "PATIENCE_S",
    "SCHEMA",
    "SCRIPT",
    "CountedUsage",
    "LanguageModelConformance",
    "asking",
    "collected",
    "scripted",
    "written",
]

FAULTS: Final = (
    (Rule(match=("fault",), down=True), r"connect|reach|running"),
    (Rule(match=("fault",), status=401), r"key"),
    (Rule(match=("fault",), status=404), r"model|url"),
    (Rule(match=("fault",), status=429, retry_after_s=7), r"limit|often|quota|many|busy"),
    (Rule(match=("fault",), status=500), r"500|server"),
    (Rule(match=("fault",), status=503), r"503|server"),
    (Rule(match=("fault",), answer=SPOKEN, cut_after=40), r"cut|broke|lost|ended|closed"),
    (Rule(match=("fault",), answer=SPOKEN, cut_after=40, cut="stream"), r"cut|broke|lost|ended|closed"),
    (Rule(match=("fault",), answer=SPOKEN, cut_after=0, cut="stream"), r"cut|broke|lost|ended|closed|nothing"),
    (Rule(match=("fault",), answer=SPOKEN, error_after=40), r"error|broke|failed"),
    (Rule(match=("fault",), answer=SPOKEN, stall_after=40), r"\bs\b|slow|seconds|silent|wait"),
    (Rule(match=("fault",), first_token_ms=LONG_WAIT_MS), r"\bs\b|slow|seconds|silent|wait"),
    (Rule(match=("fault",), slow_ms=LONG_WAIT_MS), r"\bs\b|slow|seconds|silent|wait"),
    (Rule(match=("fault",), answer=SPOKEN, cut_after=40, cut="half_close"), r"cut|broke|lost|ended|closed"),
    (Rule(match=("fault",), answer=SPOKEN, cut_after=40, cut="reset"), r"cut|broke|lost|ended|closed"),
    (Rule(match=("fault",), answer=SPOKEN, cut_after=40, cut="garbage"), r"cut|broke|lost|ended|closed"),
    (Rule(match=("fault",), slow_loris_ms=20), r"\bs\b|slow|seconds|silent|wait"),
    (Rule(match=("fault",), non_json=True), r"JSON|understood|protocol|OpenAI|unexpected"),
    (Rule(match=("fault",), instead="page"), r"url leads to no streaming API"),
    (Rule(match=("fault",), instead="whole"), r"url leads to no streaming API"),
)
"""Each fault, and what its message must speak of."""

JUDGED: Final[tuple[tuple[Rule, Fault], ...]] = (
    (Rule(match=("fault",), status=401), "unauthorised"),
    (Rule(match=("fault",), status=403), "unauthorised"),
    (Rule(match=("fault",), status=404), "rejected"),
    (Rule(match=("fault",), status=429), "rate_limited"),
    (Rule(match=("fault",), status=500), "failed"),
    (Rule(match=("fault",), status=503), "failed"),
    (Rule(match=("fault",), down=True), "connection"),
    (Rule(match=("fault",), answer=SPOKEN, cut_after=10), "connection"),
    (Rule(match=("fault",), answer=SPOKEN, cut_after=10, cut="stream"), "connection"),
    (Rule(match=("fault",), slow_ms=LONG_WAIT_MS), "timeout"),
    (Rule(match=("fault",), answer=SPOKEN, stall_after=10), "timeout"),
    (Rule(match=("fault",), answer=SPOKEN, error_after=10), "failed"),
    (Rule(match=("fault",), non_json=True), "broken"),
    (Rule(match=("fault",), instead="page"), "broken"),
)
"""How each fault is to be told to whoever decides whether the service is asked again."""

CODED: Final = {
    "model_timeout": Rule(match=("fault",), slow_ms=LONG_WAIT_MS),
    "model_connection": Rule(match=("fault",), down=True),
    "model_http": Rule(match=("fault",), status=503),
    "model_stream": Rule(match=("fault",), answer=SPOKEN, cut_after=10),
}
"""A fault for each code of an `EngineError` that an adapter gives."""


@pytest.mark.anyio
class LanguageModelConformance(ToolConformance):
    """Rules of `kamerton.domain.language_model.LanguageModel`, tested from outside."""

    async def test_deltas_then_the_end_with_the_counts(self) -> None:
        """The text is whole, the end comes last and once, the counts are the server's."""
        async with self.stage() as (model, server):
            events = await collected(model, asking("привет"))
            (record,) = server.requests
            assert json.loads(written(events)) == {"is_safe": True, "answer": ANSWER}
            ended = events[-1]
            assert isinstance(ended, GenerationEnded)
            assert ended.reason == "stop"
            assert (ended.prompt_tokens, ended.completion_tokens) == (record.prompt_tokens, record.completion_tokens)
            assert ended.response_id
            assert all(isinstance(event, TextDelta) and event.text for event in events[:-1])
            assert len(events) > 5

    async def test_the_server_is_asked_what_was_asked(self) -> None:
        """Messages, limit and the wish for JSON arrive; the answer is streamed."""
        request = asking("привет", max_tokens=77, schema=SCHEMA)
        async with self.stage() as (model, server):
            await collected(model, request)
            await collected(model, asking("привет"))
            first, second = server.requests
            assert first.messages == request.messages
            assert (first.max_tokens, first.streamed, first.json_answer) == (77, True, True)
            assert first.answer_schema == (SCHEMA if self.promises_schema else None)
            assert not second.json_answer
            assert first.tools == ()

    async def test_text_is_yielded_while_the_model_writes(self) -> None:
        """The first delta is there long before the server is done."""
        async with self.stage() as (model, server), aclosing(model.generate(asking("long"))) as events:
            with anyio.fail_after(DEADLINE_S):
                await anext(events)
            assert server.running == 1

    async def test_an_answer_at_its_limit_says_so(self) -> None:
        """The reason is `length`, the text what was written until then."""
        async with self.stage() as (model, _):
            events = await collected(model, asking("long", max_tokens=20))
            assert isinstance(events[-1], GenerationEnded)
            assert (events[-1].reason, events[-1].completion_tokens) == ("length", 20)
            assert written(events)

    async def test_an_answer_withheld_by_the_vendor_says_so(self) -> None:
        """It is no answer."""
        async with self.stage() as (model, _):
            events = await collected(model, asking("filtered"))
            assert isinstance(events[-1], GenerationEnded)
            assert events[-1].withheld

    async def test_a_refusal_of_the_model_says_so(self) -> None:
        """What it says instead is not yielded as the answer."""
        rule = Rule(match=("odd",), refusal="Извините, с этим я помочь не могу.")
        async with self.stage(scripted(rule)) as (model, _):
            events = await collected(model, asking("odd"))
            assert isinstance(events[-1], GenerationEnded)
            assert events[-1].reason == "refused"
            assert written(events) == ""

    async def test_counts_tell_what_came_from_the_vendors_cache(self) -> None:
        """They are a part of the prompt's; the meter is told of them apart."""
        usage = CountedUsage()
        async with self.stage(scripted(Rule(match=("odd",), answer="Да.", cached_tokens=7)), usage) as (model, server):
            ended = (await collected(model, asking("odd")))[-1]
            (record,) = server.requests
            assert isinstance(ended, GenerationEnded)
            assert (ended.prompt_tokens, ended.cached_tokens) == (record.prompt_tokens, 7)
            assert usage.totals == {
                "input_tokens": record.prompt_tokens - 7,
                "cached_tokens": 7,
                "output_tokens": record.completion_tokens,
            }
            assert {told.part for told in usage.told} == {"model"}

    async def test_what_was_given_up_is_counted_too(self) -> None:
        """The vendor charges for it; its counts never come, so it is an estimate."""
        usage = CountedUsage()
        async with self.stage(usage=usage) as (model, _), aclosing(model.generate(asking("endless"))) as events:
            with anyio.fail_after(DEADLINE_S):
                await anext(events)
        assert usage.totals["input_tokens"] > 10
        assert usage.totals["output_tokens"] > 0

    async def test_a_refused_request_costs_nothing(self) -> None:
        """Nothing was written."""
        usage = CountedUsage()
        async with self.stage(scripted(Rule(match=("fault",), status=429)), usage) as (model, _):
            with pytest.raises(EngineError):
                await collected(model, asking("fault"))
        assert usage.told == []

    @pytest.mark.parametrize("words", ["endless", "long"])
    async def test_closing_frees_the_servers_stream(self, words: str) -> None:
        """The server notices that nobody listens any more, and the next request works."""
        async with self.stage() as (model, server):
            async with aclosing(model.generate(asking(words))) as events:
                with anyio.fail_after(DEADLINE_S):
                    await anext(events)
            with anyio.fail_after(DEADLINE_S):
                await server.until_running(0)
            assert [event.request for event in server.closed_early] == [1]
            assert await self.works(model)

    async def test_cancelling_before_the_first_token_frees_the_servers_stream(self) -> None:
        """Also while the server has not said anything."""
        async with self.stage() as (model, server):
            async with anyio.create_task_group() as group:
                group.start_soon(collected, model, asking("waiting"))
                with anyio.fail_after(DEADLINE_S):
                    await server.until_running(1)
                group.cancel_scope.cancel()
            with anyio.fail_after(DEADLINE_S):
                await server.until_running(0)
            assert server.requests[0].outcome == "closed_early"
            assert await self.works(model)

    async def test_a_first_token_within_patience_is_waited_for(self) -> None:
        """A slow model is not a broken one."""
        async with self.stage() as (model, _):
            assert written(await collected(model, asking("waiting"))) == '{"is_safe":true,"answer":""}'

    @pytest.mark.parametrize(("rule", "speaks_of"), FAULTS, ids=lambda value: _fault_name(value))
    async def test_a_fault_is_an_engine_error_and_passes(self, rule: Rule, speaks_of: str) -> None:
        """Its message names the server or the model and the trouble; it is asked once; the next request works."""
        async with self.stage(SCRIPT.model_copy(update={"rules": (rule,)})) as (model, server):
            with pytest.raises(EngineError, match=re.compile(speaks_of, re.IGNORECASE)) as caught:
                await collected(model, asking("fault"))
            message = str(caught.value)
            assert str(server.port) in message or model.name in message
            assert len(message) < 600
            assert API_KEY not in "".join(traceback.format_exception(caught.value))
            assert server.counts.requests == 1
            assert await self.works(model)

    @pytest.mark.parametrize(("rule", "fault"), JUDGED, ids=lambda value: _fault_name(value))
    async def test_a_fault_is_judged(self, rule: Rule, fault: Fault) -> None:
        """Whoever chooses between vendors knows how this one failed."""
        async with self.stage(scripted(rule)) as (model, _):
            with pytest.raises(VendorError) as caught:
                await collected(model, asking("fault"))
            assert caught.value.fault == fault

    async def test_a_used_up_quota_is_no_passing_overload(self) -> None:
        """A person has to do something."""
        async with self.stage(scripted(self.quota)) as (model, _):
            with pytest.raises(VendorError) as caught:
                await collected(model, asking("fault"))
            assert caught.value.fault == "quota"

    async def test_a_wait_that_the_server_asks_for_is_told(self) -> None:
        """In seconds."""
        async with self.stage(scripted(Rule(match=("fault",), status=429, retry_after_s=7))) as (model, _):
            with pytest.raises(VendorError) as caught:
                await collected(model, asking("fault"))
            assert (caught.value.fault, caught.value.retry_after_s) == ("rate_limited", 7)

    async def test_the_key_is_shown_nowhere(self) -> None:
        """Not even when the server repeats it."""
        refused = Rule(match=("fault",), status=401, remark=f"Incorrect API key provided: {API_KEY}.")
        failed = Rule(match=("fault",), error_after=10, answer=SPOKEN, remark=f"{API_KEY} is used up")
        for rule in (refused, failed):
            async with self.stage(scripted(rule)) as (model, server):
                with pytest.raises(EngineError) as caught:
                    await collected(model, asking("fault"))
                shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(model)
                assert API_KEY not in shown
                assert any(API_KEY in value for value in server.requests[0].headers.values())

    @pytest.mark.parametrize(
        "reply",
        [
            *(Rule(match=("odd",), answer=ANSWER, quirks=(quirk,)) for quirk in get_args(Quirk)),
            Rule(match=("odd",), answer=ANSWER, quirks=get_args(Quirk), one_delta=True),
            Rule(match=("odd",), answer=ANSWER, quirks=("empty_reason",), token_ms=700, one_delta=True),
            Rule(match=("odd",), answer=ANSWER, thoughts='Надо {"is_safe": false}? Нет.'),
            Rule(match=("odd",), answer=ANSWER, thoughts="", one_delta=True),
        ],
        ids=lambda rule: "-".join((*rule.quirks, *(["thoughts"] if rule.thoughts is not None else []))),
    )
    async def test_an_odd_stream_gives_the_whole_answer(self, reply: Rule) -> None:
        """Nothing that servers put between the chunks is fatal, and no thought becomes part of the answer."""
        async with self.stage(SCRIPT.model_copy(update={"rules": (reply,)})) as (model, _):
            events = await collected(model, asking("odd"))
            assert json.loads(written(events)) == {"is_safe": True, "answer": ANSWER}
            assert isinstance(events[-1], GenerationEnded)
            assert events[-1].reason == "stop"

    async def test_no_reason_yet_is_no_end(self) -> None:
        """A server that sends an empty reason with every chunk may take its time between them."""
        rule = Rule(match=("odd",), raw="раз два", quirks=("empty_reason",), token_ms=700)
        async with self.stage(SCRIPT.model_copy(update={"rules": (rule,)})) as (model, _):
            assert written(await collected(model, asking("odd"))) == "раз два"

    @pytest.mark.parametrize("rule", [Rule(match=("fault",), status=500), Rule(match=("fault",), error_after=10)])
    async def test_a_servers_own_words_are_shown_without_escapes(self, rule: Rule) -> None:
        """Nothing of them moves a cursor, colours a terminal or begins a line of a log."""
        loud = rule.model_copy(update={"remark": "\x1b[31mout of\r\n\x1b]0;title\x07memory\u202e\x00 now"})
        async with self.stage(SCRIPT.model_copy(update={"rules": (loud,)})) as (model, _):
            with pytest.raises(EngineError, match="out of memory now") as caught:
                await collected(model, asking("fault"))
            assert str(caught.value).isprintable()

    async def test_a_fault_has_a_code(self) -> None:
        """Metrics count by it."""
        codes = {}
        for name, rule in CODED.items():
            async with self.stage(SCRIPT.model_copy(update={"rules": (rule,)})) as (model, _):
                with pytest.raises(EngineError) as caught:
                    await collected(model, asking("fault"))
                codes[name] = caught.value.code
        assert codes == {name: name for name in CODED}

    async def test_text_before_a_fault_is_yielded(self) -> None:
        """What was written before the connection broke stands; no end is made up."""
        rule = Rule(match=("fault",), answer=SPOKEN, cut_after=60)
        events: list[ModelEvent] = []
        note = events.append

        async def keep(model: LanguageModel) -> None:
            async with aclosing(model.generate(asking("fault"))) as generated:
                async for event in generated:
                    note(event)

        async with self.stage(SCRIPT.model_copy(update={"rules": (rule,)})) as (model, _):
            with pytest.raises(EngineError):
                await keep(model)
        assert SPOKEN[:20] in written(events)
        assert not any(isinstance(event, GenerationEnded) for event in events)

    async def test_nobody_at_the_address_is_an_engine_error(self) -> None:
        """The message names the address."""
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            port = reserved.getsockname()[1]
            model = self.make_model(f"http://127.0.0.1:{port}/v1", CountedUsage())
            try:
                with pytest.raises(EngineError, match=str(port)):
                    await collected(model, asking("привет"))
            finally:
                await model.aclose()

    async def test_a_server_that_comes_back_is_used_again(self) -> None:
        """The same model object, after its server was away."""
        async with serve_model(SCRIPT, dialect=self.dialect) as first:
            model = self.make_model(first.base_url, CountedUsage())
            try:
                assert await self.works(model)
                port = first.port
            except BaseException:
                await model.aclose()
                raise
        try:
            with pytest.raises(EngineError):
                await collected(model, asking("привет"))
            async with serve_model(SCRIPT, port=port, dialect=self.dialect):
                assert await self.works(model)
        finally:
            await model.aclose()

    async def test_answers_at_the_same_time_do_not_mix(self) -> None:
        """Each request gets its own answer."""
        answers: dict[int, str] = {}
        async with self.stage() as (model, _):

            async def ask(number: int) -> None:
                answers[number] = written(await collected(model, asking(f"number {number}")))

            async with anyio.create_task_group() as group:
                for number in range(12):
                    group.start_soon(ask, number)
        assert answers == {number: f"ответ {number}" for number in range(12)}

    async def test_closing_twice_and_unused_is_harmless(self) -> None:
        """Also right after it was made; the name does not depend on use."""
        model = self.make_model("http://127.0.0.1:9/v1", CountedUsage())
        name = model.name
        assert name
        await model.aclose()
        await model.aclose()
        assert model.name == name


def _fault_name(value: object) -> str:
    if not isinstance(value, Rule):
        return ""
    if value.status is not None:
        return f"status {value.status}"
    if "slow_loris" in value.faults:
        return "slow loris"
    if value.faults:
        return f"{value.faults[0]} {value.cut if 'cut' in value.faults else ''} {value.breaks_after or ''}".strip()
    return "slow head" if value.slow_ms else "slow first token"
