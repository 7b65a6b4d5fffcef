"""A server of one's own as an engine that the settings can name; it needs no account."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from kamerton.domain.errors import ConfigurationError
from kamerton.domain.language_model import LanguageModel
from kamerton.llm.limits import ModelTimeouts
from kamerton.llm.openai.engine import require_numbers
from kamerton.llm.openai.server_settings import JsonMode, OpenAICompatibleSettings, TokenLimitField
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext, EngineType
from kamerton.vendors.secrets import read_secret

NAME: Final = "local"


@dataclass(frozen=True, slots=True)
class LocalModelOptions:
    """Any server with OpenAI's chat completions, and one of its models."""

    url: str = "http://127.0.0.1:11434/v1"
    """With the version; the default is Ollama's, vLLM has port 8000, llama.cpp 8080."""
    model: str = ""
    """What the server calls it; needed."""
    api_key: SecretStr | None = field(default=None, repr=False)
    """Sent as a bearer token; without one nothing is sent."""
    api_key_file: Path | None = None
    """A file that holds the key."""
    project: str = ""
    """Sent as `OpenAI-Project`; the folder of YandexGPT."""
    json_mode: JsonMode = "object"
    """How JSON is asked for: `schema`, `object`, or `off` for servers that refuse both."""
    token_limit_field: TokenLimitField = "max_tokens"
    """`max_completion_tokens` for a server that knows only the new name."""
    temperature: float | None = None
    """0 to 2; None leaves it to the server."""
    timeouts: ModelTimeouts = field(default_factory=ModelTimeouts)
    """How long the server is waited for; nothing is retried."""
    keep_alive_s: float = 60.0
    """An unused connection is kept so long."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""

    def __post_init__(self) -> None:
        """Refuse what cannot work; that no model is named is told when the engine is chosen.

        Raises:
            ConfigurationError: a value is out of its range, or the address is none.
        """
        require_numbers("model.local", self.temperature, self.keep_alive_s)
        self._server(self.model.strip() or "none", None)

    def server(self) -> OpenAICompatibleSettings:
        """How the server is asked. Blocking when the key is in a file.

        Raises:
            ConfigurationError: no model is named, or the key cannot be read.
        """
        if not self.model.strip():
            raise ConfigurationError(
                "model.local.model is missing; set it to a model of the server (`ollama list`): "
                "KAMERTON_MODEL__LOCAL__MODEL"
            )
        return self._server(self.model, read_secret(self.api_key, self.api_key_file, "model.local.api_key"))

    def _server(self, model: str, key: str | None) -> OpenAICompatibleSettings:
        return OpenAICompatibleSettings(
            base_url=self.url,
            model=model,
            api_key=key,
            project=self.project or None,
            json_mode=self.json_mode,
            temperature=self.temperature,
            token_limit_field=self.token_limit_field,
            timeouts=self.timeouts,
            ca_file=self.ca_file,
            keep_alive_s=self.keep_alive_s,
        )


async def _open(options: LocalModelOptions, context: EngineContext) -> LanguageModel:
    from kamerton.llm.openai.opening import open_model  # the client takes a second to import

    return await open_model(options.server(), context.usage, NAME)


async def _check(options: LocalModelOptions, context: EngineContext) -> Check:
    from kamerton.llm.openai.opening import check_model

    try:
        settings = options.server()
    except ConfigurationError as error:
        return Check(reachable=False, fix=str(error))
    return await check_model(settings, context.usage, NAME)


ENGINE: Final = EngineType(NAME, LocalModelOptions, _open, _check)
