"""What goes over the wire: the JSON of chat completions, the cutting into tokens, the texts that are made up."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from kamerton.domain.language_model import ChatMessage
from kamerton.testing.model_server.records import ServedRequest
from kamerton.testing.model_server.script import Quirk, Reply, asks_for_summary

CREATED: Final = 1_700_000_000
"""The `created` of every response: a stand-in needs no calendar."""

DONE: Final = "data: [DONE]\n\n"
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


def tokens(text: str) -> list[str]:
    """The text in pieces such as models write: up to four characters with the space before them."""
    return _TOKEN.findall(text)


def written(reply: Reply, messages: Sequence[ChatMessage]) -> str:
    """What the model writes for a reply; a summary is plain text."""
    thoughts = "" if reply.thoughts is None else f"<think>{reply.thoughts}</think>\n\n"
    return thoughts + _answered(reply, messages)


def _answered(reply: Reply, messages: Sequence[ChatMessage]) -> str:
    if reply.raw is not None:
        return reply.raw
    if asks_for_summary(messages):
        return reply.answer or summary_of(messages)
    answer = reply.answer
    if reply.language is not None:
        answer = SWITCHED[reply.language]
    if reply.words is not None:
        answer = " ".join(itertools.islice(itertools.cycle(_FILLING.split()), reply.words))
    return json.dumps({"is_safe": reply.is_safe, "answer": answer}, ensure_ascii=False, separators=(",", ":"))


def pieces(text: str, reply: Reply) -> Iterator[str]:
    """The tokens of an answer; those of an endless one never end."""
    yield from [text] if reply.one_delta else tokens(text)
    while reply.endless:
        yield from tokens(" " + _FILLING.rstrip())


def summary_of(messages: Sequence[ChatMessage]) -> str:
    """A plausible summary: the newest lines of what is to be summarised, each shortened, those with figures first."""
    lines = [line.strip() for message in messages[1:] for line in message.text.splitlines() if line.strip()]
    numbered = list(enumerate(lines))
    chosen = sorted(numbered, key=lambda item: (not re.search(r"\d", item[1]), -item[0]))[:_SUMMARY_LINES]
    return "\n".join(" ".join(line.split()[:_SUMMARY_LINE_WORDS]) for _, line in sorted(chosen))


def sse(value: Any) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def quirk(record: ServedRequest, name: Quirk) -> str:
    """What a server puts between two chunks."""
    head = _head(record, "chat.completion.chunk")
    return {
        "null_choices": sse(head | {"choices": None}),
        "no_choices": sse(head),
        "ping": f"event: ping\n{sse({'type': 'ping', 'at': CREATED})}",
        "empty_reason": "",
        "comments": f"id: {record.number}\n: still here\n\n",
        "empty_data": "data:\n\n",
    }[name]


def chunk(record: ServedRequest, delta: dict[str, str], finish: str | None = None) -> str:
    """One event of a streamed answer."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return sse(_head(record, "chat.completion.chunk") | {"choices": [choice]})


def usage_chunk(record: ServedRequest) -> str:
    """The event with the token counts; it has no choice in it."""
    return sse(_head(record, "chat.completion.chunk") | {"choices": [], "usage": _usage(record)})


def completion(record: ServedRequest, text: str, finish: str) -> dict[str, Any]:
    """A whole answer in one JSON object."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return _head(record, "chat.completion") | {"choices": [choice], "usage": _usage(record)}


def error_body(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """The JSON that goes with an HTTP error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _head(record: ServedRequest, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{record.number}", "object": kind, "created": CREATED, "model": record.model}


def _usage(record: ServedRequest) -> dict[str, int]:
    return {
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "total_tokens": record.prompt_tokens + record.completion_tokens,
    }
