from pathlib import Path

import anyio.from_thread
import pytest
from pydantic import SecretStr

from kamerton.domain.language_model import LanguageModel
from kamerton.llm.limits import ModelTimeouts
from kamerton.llm.local import engine as local
from kamerton.llm.openai import engine as openai
from kamerton.testing.llm_conformance import API_KEY, PATIENCE_S, LanguageModelConformance
from kamerton.vendors.accounts.openai import OpenAIAccount
from kamerton.vendors.engine import EngineContext, EngineType
from kamerton.vendors.usage import UsageMeter

pytestmark = pytest.mark.socket

PATIENCE = ModelTimeouts(PATIENCE_S, PATIENCE_S, PATIENCE_S)
ACCOUNT = OpenAIAccount(SecretStr(API_KEY))


def opened(engine: EngineType[LanguageModel], options: object, usage: UsageMeter) -> LanguageModel:
    """As the settings open it; on a loop of its own, for the suite makes models in plain calls."""
    context = EngineContext("ru", Path(), (ACCOUNT,), usage)
    with anyio.from_thread.start_blocking_portal() as portal:
        return portal.call(engine.open, options, context)


class TestOpenAI(LanguageModelConformance):
    def make_model(self, base_url: str, usage: UsageMeter) -> LanguageModel:
        options = openai.OpenAIModelOptions(model="stand-in", url=base_url, timeouts=PATIENCE)
        return opened(openai.ENGINE, options, usage)


class TestLocal(LanguageModelConformance):
    """As servers of one's own are asked: a wish for JSON without a schema."""

    promises_schema = False

    def make_model(self, base_url: str, usage: UsageMeter) -> LanguageModel:
        options = local.LocalModelOptions(base_url, "stand-in", SecretStr(API_KEY), timeouts=PATIENCE)
        return opened(local.ENGINE, options, usage)
