"""What the stand-in model says and when: rules, answers, delays and faults, from Python values or a YAML/JSON file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from kamerton.domain.errors import ConfigurationError
from kamerton.domain.language_model import ChatMessage, Message, ToolResult

_ASKS_FOR_SUMMARY: Final = re.compile(
    r"\b(?:состав|сдела|напиш|склад|зроб|напиш)\w*\s+(?:\w+\s+)?(?:конспект|пересказ|резюме|підсумок)|\bsummari[sz]e\b",
    re.IGNORECASE,
)

_CALLER: Final = re.compile(r"<caller>(.*?)</caller>", re.DOTALL)
"""Kamerton's own prompts fence the caller's words off from what they say about the situation."""

FaultName = Literal["down", "status", "cut", "stalled", "stream_error", "non_json", "instead", "slow_loris"]
FinishName = Literal["stop", "tool_calls", "length", "content_filter", "refusal"]
Quirk = Literal[
    "null_choices", "no_choices", "ping", "empty_reason", "comments", "empty_data", "repeated_end", "skewed_clock"
]
"""What servers put between the chunks of a sound stream: `empty_reason` goes into every chunk, `comments` follow an
`id:` line, `empty_data` is an event with nothing behind `data:`. `repeated_end` says the end twice, `skewed_clock` has
timestamps of another age."""


class ScriptedCall(BaseModel):
    """A tool call that the model makes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    arguments: str = "{}"
    """JSON; sent as it is, broken or not."""
    id: str = ""
    """Empty: made up."""


class Reply(BaseModel):
    """What the server does with one request. Without a fault it is an answer in the structured JSON form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer: str = ""
    """What is said; goes out as `{"is_safe": …, "answer": …}`."""
    is_safe: bool = True
    raw: str | None = None
    """Exactly what the model writes, instead of the JSON form."""
    words: int | None = Field(default=None, ge=1)
    """Make an answer of so many words instead of `answer`."""
    language: Literal["ru", "uk", "en"] | None = None
    """Answer with a fixed sentence in this language instead of `answer`."""
    tool_calls: tuple[ScriptedCall, ...] = ()
    """What it calls, behind its text; without `raw`, `answer` and the like it writes no text."""
    refusal: str | None = None
    """What the model says instead of an answer that it will not give, in the vendor's own form of a refusal."""
    finish: FinishName = "stop"
    """Why it ends; told as `tool_calls` or `refusal` by itself where there are any."""
    cached_tokens: int = Field(default=0, ge=0)
    """How many tokens of the prompt the server claims to have had in its cache, at most all."""
    first_token_ms: float | None = Field(default=None, ge=0)
    """From the whole request to the first token; the script's own delay when missing."""
    token_ms: float | None = Field(default=None, ge=0)
    """From token to token; the script's own delay when missing."""
    slow_ms: float = Field(default=0, ge=0)
    """Before even the head of the response."""
    endless: bool = False
    """Say it again and again, whatever `max_tokens` says, until the client has enough."""
    down: bool = False
    """Close the connection without a response."""
    status: int | None = Field(default=None, ge=400, le=599)
    """Answer with this HTTP error."""
    retry_after_s: float | None = Field(default=None, ge=0)
    """The `Retry-After` that goes with `status`."""
    cut_after: int | None = Field(default=None, ge=0)
    """Break off after so many characters of what the model writes."""
    code: str | None = None
    """The vendor's word for the error that goes with `status`: `insufficient_quota`."""
    cut: Literal["connection", "stream", "half_close", "reset", "garbage"] = "connection"
    """How to break off: drop the connection; end the stream politely without saying that the answer is over; close only
    the sending side; reset the connection; or go on with bytes that are no HTTP."""
    stall_after: int | None = Field(default=None, ge=0)
    """Fall silent after so many characters, until the client leaves."""
    error_after: int | None = Field(default=None, ge=0)
    """Send an error inside the stream after so many characters."""
    slow_loris_ms: float | None = Field(default=None, gt=0)
    """Send the response byte by byte, with such a pause after each, for ever: never a whole head."""
    non_json: bool = False
    """Send what is not the protocol at all: a proxy's page in place of the JSON."""
    instead: Literal["page", "whole"] | None = None
    """Answer a wish for a stream with HTTP 200 and a web page, or with the whole completion as one JSON document."""
    quirks: tuple[Quirk, ...] = ()
    """Oddities between the chunks, each of them before every chunk; they are no faults."""
    one_delta: bool = False
    """Write everything in one chunk."""
    thoughts: str | None = None
    """What the model thinks aloud before the answer, between `<think>` and `</think>`."""
    remark: str | None = None
    """The words of the error that `status` or `error_after` sends."""

    @model_validator(mode="after")
    def _one_fault(self) -> Self:
        faults = self.faults
        if len(faults) > 1:
            raise ValueError(f"a reply has one fault at most, this one has {', '.join(faults)}")
        if self.retry_after_s is not None and self.status is None:
            raise ValueError("retry_after_s goes with status")
        if self.code is not None and self.status is None:
            raise ValueError("code goes with status")
        return self

    @property
    def faults(self) -> tuple[FaultName, ...]:
        """The faults that are asked for; at most one in a valid reply."""
        found: dict[FaultName, bool] = {
            "down": self.down,
            "status": self.status is not None,
            "cut": self.cut_after is not None,
            "stalled": self.stall_after is not None,
            "stream_error": self.error_after is not None,
            "non_json": self.non_json,
            "instead": self.instead is not None,
            "slow_loris": self.slow_loris_ms is not None,
        }
        return tuple(name for name, present in found.items() if present)

    @property
    def ends_with(self) -> FinishName:
        """Why a whole answer ends."""
        if self.refusal is not None:
            return "refusal"
        return "tool_calls" if self.tool_calls and self.finish == "stop" else self.finish

    @property
    def breaks_after(self) -> int | None:
        """Characters after which the text of a cut, stalled or failing stream breaks off."""
        for limit in (self.cut_after, self.stall_after, self.error_after):
            if limit is not None:
                return limit
        return None


class Rule(Reply):
    """A reply to certain words of the last user message."""

    match: tuple[str, ...] = Field(min_length=1)
    """Regular expressions, found at the start of a word, in any case and with е for ё; one of them is enough."""
    times: int | None = Field(default=None, ge=1)
    """Use the rule only so often, then go on with the rules below it."""
    name: str = ""

    @field_validator("match", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"'{pattern}' is no regular expression: {error}") from error
        return value

    @property
    def label(self) -> str:
        """Its name, for logs and records."""
        return self.name or self.match[0]

    def matches(self, text: str) -> bool:
        """Whether the rule is about this user message."""
        plain = _plain(text)
        return any(re.search(rf"(?<!\w)(?:{_plain(pattern)})", plain, re.IGNORECASE) for pattern in self.match)


class ModelScript(BaseModel):
    """The whole behaviour of a stand-in model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = ()
    """Tried in order."""
    otherwise: Reply = Reply(answer="Понял вас. Уточните, пожалуйста, что именно вы хотите узнать?")
    summary: Reply | None = None
    """What a request for a summary gets, as plain text; without an answer, one is made of what was to be summed up."""
    first_token_ms: float = Field(default=400, ge=0)
    token_ms: float = Field(default=10, ge=0)
    api_key: str | None = None
    """Whoever does not send it as a bearer token is refused with 401; None: anybody is served."""


def asks_for_summary(messages: Sequence[Message]) -> bool:
    """Whether the instructions (the first message, if it is the system's) ask to summarise a conversation."""
    first = messages[0] if messages else None
    told = isinstance(first, ChatMessage) and first.role == "system"
    return told and first is not None and bool(_ASKS_FOR_SUMMARY.search(first.text))


def last_user_text(messages: Sequence[Message]) -> str:
    """What the caller said last: of the last user message the part in `<caller>`, where there is one.

    Right after results of tools it is theirs, line by line: rules can answer them as well.
    """
    if messages and isinstance(messages[-1], ToolResult):
        return "\n".join(message.text for message in messages if isinstance(message, ToolResult))
    said = (message for message in reversed(messages) if isinstance(message, ChatMessage) and message.role == "user")
    text = next((message.text for message in said), "")
    fenced = _CALLER.findall(text)
    return fenced[-1].strip() if fenced else text


def load_script(path: Path) -> ModelScript:
    """Read a script from a YAML or JSON file.

    Raises:
        ConfigurationError: the file cannot be read or says something that a script cannot; every fault is listed.
    """
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the model script {path} cannot be read: {error}; check the path") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the model script {path} is neither YAML nor JSON: {error}") from error
    try:
        return ModelScript.model_validate(fields if fields is not None else {})
    except ValidationError as error:
        faults = "\n  - ".join(f"{_place(fault['loc'])}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError(f"the model script {path} is wrong, correct it:\n  - {faults}") from error


def _place(parts: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in parts) or "the whole file"


def _plain(text: str) -> str:
    return text.replace("ё", "е").replace("Ё", "Е")
