"""OpenAI as an engine that the settings can name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from kamerton.domain.errors import ConfigurationError
from kamerton.domain.language_model import LanguageModel
from kamerton.llm.limits import ModelTimeouts
from kamerton.llm.openai.server_settings import JsonMode, OpenAICompatibleSettings, TokenLimitField
from kamerton.vendors.accounts.openai import OpenAIAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext, EngineType
from kamerton.vendors.secrets import require_secret

NAME: Final = "openai"


@dataclass(frozen=True, slots=True)
class OpenAIModelOptions:
    """Which of OpenAI's models answers, and how it is asked."""

    model: str = "gpt-4o-mini"
    """OpenAI switches models off at announced dates; this one on 2027-01-14 (docstrings of its Python client 3.52)."""
    url: str = "https://api.openai.com/v1"
    """With the version. Regional addresses: `https://eu.api.openai.com/v1`."""
    json_mode: JsonMode = "schema"
    """How JSON is promised: by its schema; `object` for models before 2024-08; `off`: not at all."""
    token_limit_field: TokenLimitField = "max_completion_tokens"
    """`max_tokens` for a proxy that knows only the old name."""
    temperature: float | None = None
    """0 to 2; None leaves it to the model. Reasoning models refuse it."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    """How long a reasoning model thinks before its first word; its thoughts count into `limits.max_tokens`."""
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    """`priority` answers faster and costs more; None: as the account's project is set."""
    timeouts: ModelTimeouts = field(default_factory=ModelTimeouts)
    """How long its server is waited for; nothing is retried."""
    keep_alive_s: float = 60.0
    """An unused connection is kept so long; a new one costs a turn some 100 ms."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's: for a proxy of one's own."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: a value is out of its range, or the address is none.
        """
        require_numbers("model.openai", self.temperature, self.keep_alive_s)
        self.server(None)

    def server(self, account: OpenAIAccount | None) -> OpenAICompatibleSettings:
        """How the server is asked. Blocking when the key is in a file.

        Raises:
            ConfigurationError: the address is none, no model is named, or the account has no key.
        """
        key = None
        if account is not None:
            key = require_secret(account.api_key, account.api_key_file, "accounts.openai.api_key")
        return OpenAICompatibleSettings(
            base_url=self.url,
            model=self.model,
            api_key=key,
            project=account.project if account is not None else None,
            json_mode=self.json_mode,
            temperature=self.temperature,
            token_limit_field=self.token_limit_field,
            timeouts=self.timeouts,
            reasoning_effort=self.reasoning_effort,
            service_tier=self.service_tier,
            ca_file=self.ca_file,
            keep_alive_s=self.keep_alive_s,
        )


def require_numbers(where: str, temperature: float | None, keep_alive_s: float) -> None:
    """Refuse numbers that no server takes.

    Raises:
        ConfigurationError: the first one that is wrong, by its name.
    """
    if temperature is not None and not 0 <= temperature <= 2:
        raise ConfigurationError(f"{where}.temperature is {temperature}; it must be from 0 to 2")
    if not 0 <= keep_alive_s <= 3600:
        raise ConfigurationError(f"{where}.keep_alive_s is {keep_alive_s}; it must be from 0 to 3600")


async def _open(options: OpenAIModelOptions, context: EngineContext) -> LanguageModel:
    from kamerton.llm.openai.opening import open_model  # the client takes a second to import

    return await open_model(options.server(context.account(OpenAIAccount)), context.usage, NAME)


async def _check(options: OpenAIModelOptions, context: EngineContext) -> Check:
    from kamerton.llm.openai.opening import check_model

    try:
        settings = options.server(context.account(OpenAIAccount))
    except ConfigurationError as error:
        return Check(reachable=False, fix=str(error))
    return await check_model(settings, context.usage, NAME)


ENGINE: Final = EngineType(NAME, OpenAIModelOptions, _open, _check)
