"""Claude against the stand-in server, which speaks the Messages API."""

from __future__ import annotations

from pathlib import Path

import anyio.from_thread
import pytest
from pydantic import SecretStr

from kamerton.domain.language_model import LanguageModel
from kamerton.llm.anthropic.engine import ENGINE, AnthropicModelOptions
from kamerton.llm.limits import ModelTimeouts
from kamerton.testing.llm_conformance import API_KEY, PATIENCE_S, LanguageModelConformance
from kamerton.testing.model_server import Rule
from kamerton.testing.model_server.anthropic_dialect import AnthropicDialect
from kamerton.vendors.accounts.anthropic import AnthropicAccount
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.usage import UsageMeter

pytestmark = pytest.mark.socket

PATIENCE = ModelTimeouts(PATIENCE_S, PATIENCE_S, PATIENCE_S)


class TestClaude(LanguageModelConformance):
    dialect = AnthropicDialect()
    quota = Rule(match=("fault",), status=400, remark="Your credit balance is too low to access the Anthropic API.")

    def make_model(self, base_url: str, usage: UsageMeter) -> LanguageModel:
        options = AnthropicModelOptions(url=base_url, timeouts=PATIENCE)
        context = EngineContext("ru", Path(), (AnthropicAccount(SecretStr(API_KEY)),), usage)
        with anyio.from_thread.start_blocking_portal() as portal:
            return portal.call(ENGINE.open, options, context)


del LanguageModelConformance
