import pytest

from kamerton.llm.limits import ModelTimeouts
from kamerton.llm.openai.model import OpenAICompatibleModel
from kamerton.llm.openai.server_settings import OpenAICompatibleSettings
from kamerton.testing.llm_conformance import API_KEY, PATIENCE_S, LanguageModelConformance
from kamerton.vendors.usage import UsageMeter

pytestmark = pytest.mark.socket

PATIENCE = ModelTimeouts(PATIENCE_S, PATIENCE_S, PATIENCE_S)


class TestOpenAICompatible(LanguageModelConformance):
    """As local servers are asked: a wish for JSON without a schema."""

    promises_schema = False

    def make_model(self, base_url: str, usage: UsageMeter) -> OpenAICompatibleModel:
        return OpenAICompatibleModel(
            OpenAICompatibleSettings(base_url, "stand-in", API_KEY, timeouts=PATIENCE), usage, "local"
        )
