"""Reading the JSON of a request for a chat completion."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from kamerton.domain.language_model import ChatMessage
from kamerton.testing.model_server.http_connection import BadRequestError
from kamerton.testing.model_server.wire import tokens

Role = Literal["system", "user", "assistant"]
_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_MESSAGE_TOKENS = 4
"""What a message costs besides its words, as with OpenAI's models."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a client asks for."""

    model: str
    messages: tuple[ChatMessage, ...]
    streamed: bool
    with_usage: bool
    json_answer: bool
    max_tokens: int | None

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all messages, by this server's own way of cutting."""
        return sum(len(tokens(message.text)) + _MESSAGE_TOKENS for message in self.messages)


def parse_chat_request(body: bytes) -> ChatRequest:
    """Read a request.

    Raises:
        BadRequestError: it is not what the protocol asks for; the message says what is wrong.
    """
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise BadRequestError(f"the request is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise BadRequestError("the request must be a JSON object")
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequestError("you must provide a model")
    limit = fields.get("max_completion_tokens", fields.get("max_tokens"))
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise BadRequestError("max_tokens must be a whole number above 0")
    return ChatRequest(
        model=model,
        messages=_messages(fields.get("messages")),
        streamed=bool(fields.get("stream")),
        with_usage=bool(_object(fields, "stream_options").get("include_usage")),
        json_answer=_object(fields, "response_format").get("type", "text") != "text",
        max_tokens=limit,
    )


def _object(fields: dict[str, Any], name: str) -> dict[str, Any]:
    value = fields.get(name) or {}
    if not isinstance(value, dict):
        raise BadRequestError(f"{name} must be a JSON object")
    return value


def _messages(value: Any) -> tuple[ChatMessage, ...]:
    if not isinstance(value, list) or not value:
        raise BadRequestError("messages must be a list with at least one message")
    return tuple(_message(item) for item in value)


def _message(item: Any) -> ChatMessage:
    fields = item if isinstance(item, dict) else {}
    role = _ROLES.get(str(fields.get("role")))
    content = fields.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if role is None or not isinstance(content, str):
        raise BadRequestError("a message needs a role (system, user, assistant) and content")
    return ChatMessage(role, content)
