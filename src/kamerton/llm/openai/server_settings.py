"""Where a model is and how its server wants to be asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from kamerton.domain.errors import ConfigurationError
from kamerton.llm.limits import ModelTimeouts

JsonMode = Literal["schema", "object", "off"]
TokenLimitField = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True, slots=True)
class OpenAICompatibleSettings:
    """A server with OpenAI's chat completions, and one of its models."""

    base_url: str
    """With the version: `https://api.openai.com/v1`, `http://localhost:11434/v1`."""
    model: str
    api_key: str | None = field(default=None, repr=False)
    """None for local servers that want none: nothing is sent then, whatever the environment holds."""
    project: str | None = None
    """Sent as `OpenAI-Project`; the folder of YandexGPT."""
    json_mode: JsonMode = "object"
    """How a JSON answer is promised: by schema, by `json_object`, or not at all where a server rejects both."""
    temperature: float | None = None
    """None leaves it to the server."""
    token_limit_field: TokenLimitField = "max_tokens"
    """OpenAI's reasoning models know only the second name, most other servers only the first."""
    timeouts: ModelTimeouts = field(default_factory=ModelTimeouts)
    reasoning_effort: str | None = None
    """How long a reasoning model may think; None leaves it to the server, and is not sent."""
    service_tier: str | None = None
    """`priority` and the like; None: not sent."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    keep_alive_s: float = 60.0
    """An unused connection is kept so long: a handshake costs a turn some 100 ms."""

    def __post_init__(self) -> None:
        """Refuse an address that cannot be called.

        Raises:
            ConfigurationError: the address is no HTTP address, or no model is named.
        """
        address = urlsplit(self.base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ConfigurationError(
                f"language model: url '{self.shown_url}' is not an http(s) address; "
                "set it like https://api.openai.com/v1"
            )
        if not self.model.strip():
            raise ConfigurationError(f"language model: no model is named for {self.shown_url}; set model")

    @property
    def shown_url(self) -> str:
        """The address without credentials and queries, for messages and names."""
        address = urlsplit(self.base_url)
        return urlunsplit((address.scheme, address.netloc.rpartition("@")[2], address.path.rstrip("/"), "", ""))

    @property
    def where(self) -> str:
        """Model and address, for messages."""
        return f"the language model '{self.model}' at {self.shown_url}"
