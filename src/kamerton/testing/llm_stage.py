"""What the suites of language models share: scripts, requests, and a model with its stand-in server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

import anyio

from kamerton.domain.language_model import (
    AnswerSchema,
    ChatMessage,
    GenerationEnded,
    LanguageModel,
    ModelEvent,
    ModelRequest,
    TextDelta,
    ToolCall,
    ToolDefinition,
)
from kamerton.testing.model_server import ModelScript, ModelServer, Reply, Rule, serve_model
from kamerton.testing.model_server.dialect import Dialect
from kamerton.testing.model_server.openai_dialect import OpenAIDialect
from kamerton.testing.model_server.script import ScriptedCall
from kamerton.vendors.usage import Usage, UsageMeter, UsageUnit

API_KEY: Final = "sk-conformance-9f3b7c1e5a"
"""What the adapter is to send, and never to show."""
PATIENCE_S: Final = 1.0
DEADLINE_S: Final = 20.0
LONG_WAIT_MS: Final = 60_000

ANSWER: Final = "Полис стоит 12 500 ₽ — «каско»? Да 🙂"
SPOKEN: Final = "Это ответ, который не дойдёт до конца."

SCRIPT: Final = ModelScript(
    first_token_ms=0,
    token_ms=1,
    otherwise=Reply(answer=ANSWER),
    rules=(
        Rule(match=("endless",), endless=True, answer="И ещё."),
        Rule(match=("long",), words=300),
        Rule(match=("filtered",), raw="", finish="content_filter"),
        Rule(match=("waiting",), first_token_ms=0.8 * 1000 * PATIENCE_S),
        *(Rule(match=(f"number {number}$",), raw=f"ответ {number}") for number in range(12)),
    ),
)


SCHEMA: Final = AnswerSchema(
    "spoken_answer",
    {
        "type": "object",
        "properties": {"is_safe": {"type": "boolean"}, "answer": {"type": "string"}},
        "required": ["is_safe", "answer"],
        "additionalProperties": False,
    },
)
STOCK: Final = ToolDefinition(
    "find_tyres",
    "Ищет шины на складе по размеру",
    {
        "type": "object",
        "properties": {"size": {"type": "string", "description": "205/55 R16"}},
        "required": ["size"],
        "additionalProperties": False,
    },
    strict=True,
)
TRANSFER: Final = ToolDefinition("transfer", "Соединяет с оператором")
FIND: Final = ScriptedCall(name="find_tyres", arguments='{"size":"205/55 R16 — зима"}', id="call-a1")
CALLS: Final = (FIND, ScriptedCall(name="transfer", id="call-b2"))


def with_tools(text: str, *, max_tokens: int = 2000) -> ModelRequest:
    """A request that offers tools."""
    return ModelRequest(asking(text).messages, max_tokens, tools=(STOCK, TRANSFER))


def called(events: list[ModelEvent]) -> list[ToolCall]:
    """The whole calls of a generation."""
    return [event for event in events if isinstance(event, ToolCall)]


def scripted(*rules: Rule) -> ModelScript:
    """The suite's script with other rules."""
    return SCRIPT.model_copy(update={"rules": rules})


class CountedUsage:
    """A `UsageMeter` that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Usage] = []

    def record(self, usage: Usage) -> None:
        """Keep it."""
        self.told.append(usage)

    @property
    def totals(self) -> dict[UsageUnit, float]:
        """Amounts by unit."""
        sums: Counter[UsageUnit] = Counter()
        for usage in self.told:
            sums[usage.unit] += int(usage.amount)
        return dict(sums)


def asking(text: str, *, max_tokens: int = 2000, schema: AnswerSchema | None = None) -> ModelRequest:
    """A request with instructions, a past and a turn."""
    messages = (
        ChatMessage("system", "Ты помощник."),
        ChatMessage("user", "добрый день"),
        ChatMessage("assistant", "Здравствуйте!"),
        ChatMessage("user", text),
    )
    return ModelRequest(messages, max_tokens, schema)


async def collected(model: LanguageModel, request: ModelRequest) -> list[ModelEvent]:
    """All events of a generation, within the suite's deadline."""
    with anyio.fail_after(DEADLINE_S):
        async with aclosing(model.generate(request)) as events:
            return [event async for event in events]


def written(events: list[ModelEvent]) -> str:
    """The text of a generation."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


class ModelStage:
    """Who is tested, and against which wire."""

    dialect: Dialect = OpenAIDialect()
    """What the vendor speaks."""
    promises_schema = True
    """The adapter sends the schema of an answer, and not only the wish for JSON."""
    quota: Rule = Rule(match=("fault",), status=429, code="insufficient_quota")
    """How the vendor says that the account's money is used up."""

    def make_model(self, base_url: str, usage: UsageMeter) -> LanguageModel:
        """A new adapter for the server at this address, with the key and the patience that the module names."""
        raise NotImplementedError

    @asynccontextmanager
    async def stage(
        self, script: ModelScript = SCRIPT, usage: UsageMeter | None = None
    ) -> AsyncIterator[tuple[LanguageModel, ModelServer]]:
        """A model and its server; in the end no request may be running."""
        async with serve_model(script, dialect=self.dialect) as server:
            model = self.make_model(server.base_url, usage or CountedUsage())
            try:
                yield model, server
            finally:
                await model.aclose()
            with anyio.fail_after(DEADLINE_S):
                await server.until_running(0)

    async def works(self, model: LanguageModel) -> bool:
        """Whether the model answers a plain request in full."""
        events = await collected(model, asking("привет"))
        return isinstance(events[-1], GenerationEnded) and json.loads(written(events))["answer"] == ANSWER
