import pytest

from kamerton.llm.limits import ModelTimeouts
from kamerton.llm.openai.model import OpenAICompatibleModel, OpenAICompatibleSettings
from kamerton.testing.llm_conformance import PATIENCE_S, LanguageModelConformance

pytestmark = pytest.mark.socket


class TestOpenAICompatible(LanguageModelConformance):
    def make_model(self, base_url: str) -> OpenAICompatibleModel:
        patience = ModelTimeouts(connect_s=PATIENCE_S, first_token_s=PATIENCE_S, between_tokens_s=PATIENCE_S)
        return OpenAICompatibleModel(OpenAICompatibleSettings(base_url, "stand-in", timeouts=patience))
