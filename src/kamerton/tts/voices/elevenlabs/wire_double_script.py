"""What the stand-in for ElevenLabs is to do, and what it saw: plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio

TroubleKind = Literal[
    "refuse",
    "hang",
    "reset",
    "half_close",
    "close",
    "error",
    "garbage",
    "not_json",
    "bad_base64",
    "slow",
    "no_final",
    "short",
]
Where = Literal["handshake", "websocket", "http"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault, used up by the first requests it fits.

    `refuse` answers with `status`; `hang` sends nothing more; `reset` and `half_close` end the connection; `close`
    closes the WebSocket with `code`; `error` tells `word` in a message and closes it with 1008; `garbage` sends what is
    no frame and no HTTP; `not_json` and `bad_base64` a message that is wrong; `slow` goes on byte by byte, one every
    50 ms; `no_final` never ends the context; `short` ends it before the text is said.
    """

    kind: TroubleKind
    where: Where = "websocket"
    after: int = 0
    """Pieces of audio that the request gets before."""
    times: int = 1
    status: int = 500
    word: str = "internal_error"
    message: str = "something went wrong"
    retry_after: str | None = None
    code: int = 1011
    location: str | None = None
    """Where a `refuse` with a status of 3xx sends the client."""


@dataclass(frozen=True, slots=True)
class VendorScript:
    """How the stand-in behaves."""

    key: str = "xi-test-key"
    voices: tuple[str, ...] = ("JBFqnCBsd6RMkjVDRZzb", "voice-uk")
    models: tuple[str, ...] = ("eleven_flash_v2_5", "eleven_multilingual_v2", "eleven_v3")
    languages: tuple[str, ...] = ("ru", "uk", "en")
    characters_left: int = 10_000
    restricted_key: bool = False
    """The key may speak, but not see models, voices and subscription."""
    troubles: tuple[Trouble, ...] = ()
    first_audio_s: float = 0.0
    piece_s: float = 0.0
    """Wait before each further piece of audio."""
    ms_per_character: int = 50
    characters_in_piece: int = 24
    spelling: Literal["camel", "snake"] = "camel"
    times: Literal["right", "none", "backwards", "beyond", "from_start"] = "right"
    """How the times of characters are told; `from_start`: they do not restart in each message."""
    odd_bytes: bool = False
    """Cut audio in the middle of samples."""
    late_audio: int = 0
    """Pieces of audio that come after the end of each context, and a second end behind them."""


@dataclass(slots=True)
class SeenContext:
    """A context as the server knew it."""

    name: str
    socket: int
    first: dict[str, Any]
    query: dict[str, str]
    texts: list[str] = field(default_factory=list)
    keep_alives: int = 0
    closed_by_client: bool = False
    final: bool = False
    phantom: bool = False
    """Opened by a message that may not open one."""

    @property
    def text(self) -> str:
        """All that it was asked to say."""
        return "".join(self.texts).strip()


@dataclass(slots=True)
class SeenRequest:
    """An HTTP request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    given_up: bool = False
    """The client left before the answer was complete."""


@dataclass(slots=True)
class Seen:
    """All that the server saw; `until` waits for a state of it."""

    contexts: list[SeenContext] = field(default_factory=list)
    requests: list[SeenRequest] = field(default_factory=list)
    handshakes: int = 0
    sockets_open: int = 0
    most_sockets: int = 0
    most_contexts: int = 0
    breaches: list[str] = field(default_factory=list)
    """Rules that the client broke."""
    _changed: anyio.Event = field(default_factory=anyio.Event)

    def note(self) -> None:
        """Something changed."""
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, reached: Callable[[Seen], bool]) -> None:
        """Wait until a state is reached; give it a deadline."""
        while not reached(self):
            await self._changed.wait()
