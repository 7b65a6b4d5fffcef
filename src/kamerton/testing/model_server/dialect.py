"""What differs between vendors on the wire: how a request is read, and what each step of an answer looks like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from kamerton.domain.language_model import AnswerSchema, Message, ToolDefinition
from kamerton.testing.model_server.records import ServedRequest
from kamerton.testing.model_server.script import FinishName, Quirk, Reply, ScriptedCall


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a client asks for, whatever it was written in."""

    model: str
    messages: tuple[Message, ...]
    streamed: bool
    with_usage: bool
    json_answer: bool
    """It wants JSON, with a schema or without."""
    max_tokens: int | None
    prompt_tokens: int
    """Of everything, by this server's own way of cutting."""
    answer_schema: AnswerSchema | None = None
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: str = "auto"


class AnswerWriter(Protocol):
    """Writes one streamed answer, event by event. Each method returns what goes over the wire, ready to be sent."""

    def opening(self) -> str:
        """What comes before the first piece of the answer."""
        ...

    def text(self, piece: str) -> str:
        """A piece of the text."""
        ...

    def refusal(self, piece: str) -> str:
        """A piece of what the model says instead of an answer that it will not give."""
        ...

    def call(self, index: int, call: ScriptedCall, part: str, *, first: bool) -> str:
        """A part of a tool call's arguments; with `first` the call begins.

        Args:
            index: number of the call in this answer, from zero.
            call: the call.
            part: the next piece of its arguments; may be empty.
            first: nothing of the call was sent yet.
        """
        ...

    def quirk(self, name: Quirk) -> str:
        """An oddity that goes before the next piece; empty for those that are none of this vendor's."""
        ...

    def ending(self, finish: FinishName) -> str:
        """Everything after the last piece: why the answer ends, the counts, and the end of the stream."""
        ...

    def error(self, remark: str) -> str:
        """An error inside the stream."""
        ...


class Dialect(Protocol):
    """A vendor's wire."""

    @property
    def path(self) -> str:
        """Where answers are asked for, behind `/v1`: `/chat/completions`."""
        ...

    def parse(self, body: bytes) -> ChatRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not what the protocol asks for; the message says what is wrong.
        """
        ...

    def writer(self, record: ServedRequest, asked: ChatRequest, reply: Reply) -> AnswerWriter:
        """Who writes the answer to this request as a stream."""
        ...

    def whole(self, record: ServedRequest, text: str, reply: Reply, finish: FinishName) -> dict[str, Any]:
        """A whole answer in one JSON document."""
        ...

    def refused(self, status: int, remark: str | None, code: str | None) -> dict[str, Any]:
        """The JSON that goes with an HTTP error.

        Args:
            status: of the response.
            remark: its words; None: the vendor's usual ones.
            code: the vendor's word for the error; None: the one that goes with the status.
        """
        ...


@runtime_checkable
class DescribesModels(Protocol):
    """A dialect whose vendor tells of a single model, at `/models/ID`."""

    def described(self, model: str, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and document of the answer.

        Args:
            model: its id.
            headers: of the request, names in lower case.
        """
        ...


def event(value: Any, kind: str = "") -> str:
    """One server-sent event."""
    head = f"event: {kind}\n" if kind else ""
    return f"{head}data: {json.dumps(value, ensure_ascii=False)}\n\n"
