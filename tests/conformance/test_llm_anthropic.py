"""Claude against the stand-in server, which speaks the Messages API."""

from __future__ import annotations

import ssl

import pytest

from kamerton.domain.language_model import LanguageModel
from kamerton.llm.anthropic.client import AnthropicClient, ClientSettings
from kamerton.llm.anthropic.model import AnthropicModel
from kamerton.llm.anthropic.request import Manner
from kamerton.llm.limits import ModelTimeouts
from kamerton.testing.llm_conformance import API_KEY, PATIENCE_S, LanguageModelConformance
from kamerton.testing.model_server import Rule
from kamerton.testing.model_server.anthropic_dialect import AnthropicDialect
from kamerton.vendors.usage import UsageMeter

pytestmark = pytest.mark.socket

TLS = ssl.create_default_context()


class ClaudeConformance(LanguageModelConformance):
    dialect = AnthropicDialect()
    quota = Rule(match=("fault",), status=400, remark="Your credit balance is too low to access the Anthropic API.")
    manner = Manner("claude-haiku-5-5")

    def make_model(self, base_url: str, usage: UsageMeter) -> LanguageModel:
        url = base_url.removesuffix("/v1")
        settings = ClientSettings(url, API_KEY, f"Claude at {url}", PATIENCE_S, 100)
        patience = ModelTimeouts(connect_s=PATIENCE_S, first_token_s=PATIENCE_S, between_tokens_s=PATIENCE_S)
        return AnthropicModel(AnthropicClient(settings, TLS), self.manner, patience, usage)


class TestClaude(ClaudeConformance):
    pass


del ClaudeConformance, LanguageModelConformance
