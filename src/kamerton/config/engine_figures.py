"""Shows the engines of every chain at `/metrics`."""

from __future__ import annotations

import anyio
from prometheus_client import CollectorRegistry

from kamerton.domain.recognition import SpeechToText
from kamerton.embeddings.chain import EmbedderChain
from kamerton.llm.chain import ModelChain
from kamerton.observability.engine_metrics import EngineMetrics
from kamerton.tts.tts_manager import TTSManager


def show_engines(
    registry: CollectorRegistry,
    recognizer: SpeechToText,
    model: ModelChain | None,
    embedders: EmbedderChain,
    voice: TTSManager,
) -> None:
    """Read their links and connections whenever the metrics of this registry are asked for."""
    shown = EngineMetrics(anyio.current_time)
    shown.follow("recognizer", recognizer)
    shown.follow("model", model)
    shown.follow("embeddings", embedders)
    shown.follow("voice", voice)
    shown.follow_connections(lambda: voice.connections)
    registry.register(shown)
