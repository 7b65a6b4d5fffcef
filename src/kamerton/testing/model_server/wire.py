"""What a model writes: the cutting into tokens, the texts that are made up, the pieces of an answer."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kamerton.domain.language_model import ChatMessage, Message, ToolDefinition, ToolResult
from kamerton.testing.model_server.http_connection import BadRequestError
from kamerton.testing.model_server.script import Reply, ScriptedCall, asks_for_summary

PROXY_PAGE: Final = "<html><body><h1>502 Bad Gateway</h1></body></html>"

SWITCHED: Final = {
    "en": "Sure, let me help you with that. What would you like to know about your car insurance?",
    "uk": "Звісно, допоможу. Що саме ви хотіли б дізнатися про страхування?",
    "ru": "Конечно, помогу. Что именно вы хотели бы узнать о страховании?",
}

_FILLING: Final = (
    "Расскажу подробнее. Стоимость полиса зависит от мощности двигателя, стажа водителя и места регистрации. "
    "Чем больше стаж без аварий, тем ниже цена. Кроме того, учитывается число водителей и срок договора. "
)
_TOKEN: Final = re.compile(r"\s*\S{1,4}|\s+")
_SUMMARY_LINES: Final = 12
_SUMMARY_LINE_WORDS: Final = 14
_MESSAGE_TOKENS: Final = 4
"""What a message costs besides its words, as with OpenAI's models."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The next thing that a model writes."""

    text: str
    """Of the answer, the refusal or a call's arguments."""
    kind: str = "text"
    """`text`, `refusal` or `call`."""
    index: int = 0
    """Of the call."""
    call: ScriptedCall | None = None
    first: bool = False
    """The call begins."""


def tokens(text: str) -> list[str]:
    """The text in pieces such as models write: up to four characters with the space before them."""
    return _TOKEN.findall(text)


def written(reply: Reply, messages: Sequence[Message]) -> str:
    """What the model writes for a reply; a summary is plain text."""
    thoughts = "" if reply.thoughts is None else f"<think>{reply.thoughts}</think>\n\n"
    return thoughts + _answered(reply, messages)


def _answered(reply: Reply, messages: Sequence[Message]) -> str:
    if reply.raw is not None:
        return reply.raw
    if reply.refusal is not None or (reply.tool_calls and not reply.answer):
        return ""
    if asks_for_summary(messages):
        return reply.answer or summary_of(messages)
    answer = reply.answer
    if reply.language is not None:
        answer = SWITCHED[reply.language]
    if reply.words is not None:
        answer = " ".join(itertools.islice(itertools.cycle(_FILLING.split()), reply.words))
    return json.dumps({"is_safe": reply.is_safe, "answer": answer}, ensure_ascii=False, separators=(",", ":"))


def pieces(text: str, reply: Reply) -> Iterator[Piece]:
    """What the model writes, token by token: the text, a refusal, then the calls. An endless answer never ends."""
    yield from (Piece(token) for token in ([text] if reply.one_delta else tokens(text)))
    while reply.endless:
        yield from (Piece(token) for token in tokens(" " + _FILLING.rstrip()))
    yield from (Piece(token, "refusal") for token in tokens(reply.refusal or ""))
    for index, call in enumerate(reply.tool_calls):
        parts = [call.arguments] if reply.one_delta else tokens(call.arguments) or [""]
        for number, part in enumerate(parts):
            yield Piece(part, "call", index, call, number == 0)


def prompt_tokens(messages: Sequence[Message], tools: Sequence[ToolDefinition]) -> int:
    """Tokens of all messages and tools, by this server's own way of cutting."""
    said = sum(len(tokens(_all_of(message))) + _MESSAGE_TOKENS for message in messages)
    known = (f"{tool.name} {tool.description} {json.dumps(dict(tool.parameters))}" for tool in tools)
    return said + sum(len(tokens(text)) for text in known)


def require_answered_calls(messages: Sequence[Message]) -> None:
    """Refuse a conversation in which a call has no result, or a result no call, as vendors do.

    Raises:
        BadRequestError: it is one.
    """
    owed: list[str] = []
    for message in messages:
        if isinstance(message, ToolResult):
            if message.call_id not in owed:
                raise BadRequestError(f"the result {message.call_id} does not follow a message with its tool call")
            owed.remove(message.call_id)
            continue
        if owed:
            raise BadRequestError(f"the tool calls {', '.join(owed)} have no result behind them")
        owed = [call.id for call in message.tool_calls]
    if owed:
        raise BadRequestError(f"the tool calls {', '.join(owed)} have no result behind them")


def _all_of(message: Message) -> str:
    calls = message.tool_calls if isinstance(message, ChatMessage) else ()
    return " ".join((message.text, *(f"{call.name} {call.arguments}" for call in calls)))


def summary_of(messages: Sequence[Message]) -> str:
    """A plausible summary: the newest lines of what is to be summarised, each shortened, those with figures first."""
    lines = [line.strip() for message in messages[1:] for line in message.text.splitlines() if line.strip()]
    numbered = list(enumerate(lines))
    chosen = sorted(numbered, key=lambda item: (not re.search(r"\d", item[1]), -item[0]))[:_SUMMARY_LINES]
    return "\n".join(" ".join(line.split()[:_SUMMARY_LINE_WORDS]) for _, line in sorted(chosen))
