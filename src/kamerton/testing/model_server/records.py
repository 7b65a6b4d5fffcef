"""What the stand-in server has seen: one record per request, and the events of all requests in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import anyio

from kamerton.domain.language_model import AnswerSchema, Message, ToolDefinition

KEPT_REQUESTS: Final = 10_000
"""Records and events kept; the oldest go first, the counts go on."""

EventKind = Literal["received", "first_token", "completed", "closed_early", "failed"]


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """Something that happened to a request, at an instant of the loop clock.

    `completed`: everything was sent. `closed_early`: the client left before that. `failed`: the script's fault was
    played.
    """

    kind: EventKind
    request: int
    at_s: float


@dataclass(slots=True)
class ServedRequest:
    """A request for an answer. Instants are seconds on the loop clock; None until they have come."""

    number: int
    """Counts from one."""
    model: str
    messages: tuple[Message, ...]
    streamed: bool
    json_answer: bool
    max_tokens: int | None
    prompt_tokens: int
    received_at_s: float
    answer_schema: AnswerSchema | None = None
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: str = "auto"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The request's JSON as it came."""
    rule: str = ""
    completion_tokens: int = 0
    first_token_at_s: float | None = None
    ended_at_s: float | None = None
    outcome: Literal["running", "completed", "closed_early", "failed"] = "running"


@dataclass(slots=True)
class ServerCounts:
    """Totals since the start; `running` is the number of requests in progress now."""

    requests: int = 0
    running: int = 0
    completed: int = 0
    closed_early: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def as_dict(self) -> dict[str, int]:
        """The totals by name."""
        return asdict(self)


class RequestLedger:
    """Keeps the records, the events and the counts; the only writer of them."""

    def __init__(self) -> None:
        self.requests: deque[ServedRequest] = deque(maxlen=KEPT_REQUESTS)
        self.events: deque[ServerEvent] = deque(maxlen=4 * KEPT_REQUESTS)
        self.counts = ServerCounts()
        self._changed = anyio.Event()

    def received(self, record: ServedRequest) -> None:
        """A request came in."""
        self.counts.requests += 1
        self.counts.running += 1
        self.counts.prompt_tokens += record.prompt_tokens
        self.requests.append(record)
        self._note("received", record, record.received_at_s)

    def token_sent(self, record: ServedRequest) -> None:
        """A token went out."""
        record.completion_tokens += 1
        self.counts.completion_tokens += 1
        if record.first_token_at_s is None:
            record.first_token_at_s = anyio.current_time()
            self._note("first_token", record, record.first_token_at_s)

    def ended(self, record: ServedRequest, outcome: Literal["completed", "closed_early", "failed"]) -> None:
        """A request is over; only the first outcome counts."""
        if record.outcome != "running":
            return
        record.outcome = outcome
        record.ended_at_s = anyio.current_time()
        self.counts.running -= 1
        setattr(self.counts, outcome, getattr(self.counts, outcome) + 1)
        self._note(outcome, record, record.ended_at_s)

    async def changed(self) -> None:
        """Wait for the next event."""
        await self._changed.wait()

    def _note(self, kind: EventKind, record: ServedRequest, at_s: float) -> None:
        self.events.append(ServerEvent(kind, record.number, at_s))
        self._changed.set()
        self._changed = anyio.Event()
