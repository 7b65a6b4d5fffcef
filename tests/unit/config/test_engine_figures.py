"""The chains and connections of an assistant on its metrics page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from kamerton.config.engine_figures import show_engines
from kamerton.domain.embedding import Vectors
from kamerton.embeddings.chain import ChainLink as EmbedderLink
from kamerton.embeddings.chain import EmbedderChain
from kamerton.llm.chain import ModelChain, ModelLink
from kamerton.orchestrator.workers import InlineWorker
from kamerton.stt.chain import ChainLink, RecognizerChain
from kamerton.stt.standins.scripted import InstantSpeechToText
from kamerton.testing.scripted_model import ScriptedModel
from kamerton.tts.tts_manager import TTSManager
from kamerton.tts.voices.standin import PacedToneTextToSpeech

pytestmark = pytest.mark.anyio


class WarmVoice(PacedToneTextToSpeech):
    """Has connections."""

    figures: Mapping[str, int] = {}

    def expect(self, calls: int) -> None:
        """None are opened."""

    async def run(self) -> None:
        """Nothing to hold."""


class Local:
    """An embedder of this machine."""

    identity = "e5"

    def query(self, texts: Sequence[str]) -> Vectors:
        return np.ones((len(texts), 1), dtype=np.float32)

    wordings = passage = query


async def test_every_chain_is_shown_and_connections_are_those_of_all_voices() -> None:
    registry = CollectorRegistry()
    warm = (WarmVoice(), WarmVoice(ms_per_character=30.0))
    async with TTSManager(warm, language="ru", worker=InlineWorker()) as voice:
        show_engines(
            registry,
            RecognizerChain([ChainLink("whisper", InstantSpeechToText("да"), is_service=False)]),
            ModelChain([ModelLink("local", ScriptedModel())]),
            EmbedderChain([EmbedderLink("e5", Local(), Local())]),
            voice,
        )
        for kind, engine in (("recognizer", "whisper"), ("model", "local"), ("embeddings", "e5")):
            assert registry.get_sample_value("kamerton_engine_state", {"kind": kind, "engine": engine}) == 0

        def connections(state: str) -> float | None:
            return registry.get_sample_value("kamerton_voice_connections", {"state": state})

        assert connections("open") is None, "no voice tells of any"
        warm[0].figures = {"open": 2, "busy": 0, "waiting": 0, "opened": 5}
        warm[1].figures = {"open": 1, "busy": 0, "waiting": 0, "opened": 1}
        assert (connections("open"), connections("busy"), connections("waiting")) == (3, 0, 0)
        assert registry.get_sample_value("kamerton_voice_connection_events_total", {"what": "opened"}) == 6
