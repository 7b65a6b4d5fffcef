"""Claude as an engine that the settings can name."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from kamerton.domain.errors import ConfigurationError
from kamerton.domain.language_model import LanguageModel
from kamerton.llm.limits import ModelTimeouts
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext, EngineType


@dataclass(frozen=True, slots=True)
class AnthropicModelOptions:
    """The model, how it is asked, and the bounds of waiting for it. Seconds."""

    model: str = "claude-haiku-5-5"
    """Its id at the vendor's. Haiku answers first; Sonnet and Opus know more and are slower."""
    thinking: Literal["off", "between_tools", "adaptive", "default"] = "off"
    """`off`: it answers at once, where the model can; `default`: as the model does when nothing is said."""
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    """How much work it puts into an answer; None: the model's own. Models that cannot stop thinking get `low`."""
    thinking_room_tokens: int = 2_000
    """Added to the longest answer where the model may think: thoughts count towards it."""
    cache: Literal["off", "5m", "1h"] = "5m"
    """How long the vendor keeps what it has read of the tools, the instructions and the conversation."""
    json_by: Literal["format", "tool", "words"] = "format"
    """How a JSON answer is promised: by the API's output format, by a tool, or by the instructions alone."""
    timeouts: ModelTimeouts = field(default_factory=ModelTimeouts)
    """How long it is waited for; nothing is retried. Pings of the API are no sign of life."""
    connections: int = 100
    """Answers at once; a further one waits `timeouts.connect_s`."""
    url: str = "https://api.anthropic.com"
    """Where the API is; `/v1` at its end may be left out."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's: for a proxy of one's own."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: a value is out of its range, or the address is none.
        """
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ConfigurationError(f"model.anthropic.{name} is {value}; it must be from {low:g} to {high:g}")
        if not self.model.strip():
            raise ConfigurationError("model.anthropic.model is empty; set it, or leave it out for the default")
        address = urlsplit(self.url)
        if address.username or address.password or address.query:
            raise ConfigurationError("model.anthropic.url holds a login or a query; leave only the address in it")
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ConfigurationError(f"model.anthropic.url '{self.url}' is no address; set https://api.anthropic.com")

    @property
    def shown_url(self) -> str:
        """The address for messages and names, without its version."""
        address = urlsplit(self.url)
        return f"{address.scheme}://{address.netloc}{address.path.rstrip('/').removesuffix('/v1')}"


_RANGES: Final[tuple[tuple[str, float, float], ...]] = (
    ("thinking_room_tokens", 0, 100_000),
    ("connections", 1, 1000),
)


async def _open(options: AnthropicModelOptions, context: EngineContext) -> LanguageModel:
    model: LanguageModel = await (await _opening()).open_model(options, context)
    return model


async def _check(options: AnthropicModelOptions, context: EngineContext) -> Check:
    found: Check = await (await _opening()).check_model(options, context)
    return found


async def _opening() -> Any:
    """The module that has the SDK in it, which takes seconds to be imported: not on the loop that paces calls."""
    return await anyio.to_thread.run_sync(importlib.import_module, "kamerton.llm.anthropic.opening")


ENGINE: Final = EngineType("anthropic", AnthropicModelOptions, _open, _check)
