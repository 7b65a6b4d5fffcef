"""Engines of chains and what services cost, as Prometheus reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from kamerton.domain.billing import Bill, BillLine
from kamerton.domain.embedding import Vectors
from kamerton.embeddings.chain import ChainLink as EmbedderLink
from kamerton.embeddings.chain import EmbedderChain
from kamerton.llm.chain import ModelChain, ModelLink
from kamerton.observability.engine_metrics import EngineMetrics
from kamerton.observability.usage_metrics import UsageMetrics
from kamerton.stt.chain import ChainLink, RecognizerChain
from kamerton.stt.standins.scripted import InstantSpeechToText
from kamerton.testing.scripted_model import ScriptedModel
from kamerton.vendors.breaker import BreakerSettings, ServiceBreaker


@dataclass
class VoiceLink:
    """A link as the voices' chain has them."""

    name: str
    breaker: ServiceBreaker = field(default_factory=ServiceBreaker)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass
class Voices:
    """Something with links."""

    links: Sequence[VoiceLink]


class Local:
    """An embedder of this machine."""

    identity = "e5"

    def query(self, texts: Sequence[str]) -> Vectors:
        return np.ones((len(texts), 1), dtype=np.float32)

    wordings = passage = query


class Clock:
    """An instant that tests set."""

    now_s = 0.0


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def engines(registry: CollectorRegistry) -> EngineMetrics:
    shown = EngineMetrics(lambda: Clock.now_s)
    registry.register(shown)
    return shown


def test_the_state_of_a_recogniser_is_that_of_the_moment(registry: CollectorRegistry, engines: EngineMetrics) -> None:
    link = ChainLink("yandex", InstantSpeechToText("да"), is_service=True, breaker=BreakerSettings(1, 10.0))
    engines.follow("recognizer", RecognizerChain([link]))

    def state() -> float | None:
        return registry.get_sample_value("kamerton_engine_state", {"kind": "recognizer", "engine": "yandex"})

    Clock.now_s = 100.0
    assert state() == 0
    link.breaker.failed(100.0, "away")
    assert state() == 2
    Clock.now_s = 111.0
    assert state() == 1
    link.breaker.succeeded()
    assert state() == 0


def test_events_are_counted_and_failures_are_there_before_the_first(
    registry: CollectorRegistry, engines: EngineMetrics
) -> None:
    link = ModelLink("openai", ScriptedModel())
    engines.follow("model", ModelChain([link]))

    def events(what: str) -> float | None:
        labels = {"kind": "model", "engine": "openai", "what": what}
        return registry.get_sample_value("kamerton_engine_events_total", labels)

    assert events("failures:timeout") == 0
    assert events("requests") is None
    link.counts.update({"requests": 3, "failures:timeout": 2, "overtaken": 1, "things out of an answer": 5, "more": 1})
    assert events("requests") == 3
    assert events("failures:timeout") == 2
    assert events("overtaken") == 1
    assert events("other") == 6
    assert events("things out of an answer") is None


def test_embedders_and_voices_are_shown_as_the_others_are(registry: CollectorRegistry, engines: EngineMetrics) -> None:
    local = Local()
    engines.follow("embeddings", EmbedderChain([EmbedderLink("e5", local, local)]))
    voice = VoiceLink("elevenlabs", ServiceBreaker(BreakerSettings(1)), Counter({"failures:quota": 4}))
    engines.follow("voice", Voices([voice]))
    voice.breaker.failed(Clock.now_s, "no money", "quota")
    labels = {"kind": "embeddings", "engine": "e5"}
    assert registry.get_sample_value("kamerton_engine_state", labels) == 0
    labels["what"] = "failures:timeout"
    assert registry.get_sample_value("kamerton_engine_events_total", labels) is None, "nothing is counted of it"
    labels = {"kind": "voice", "engine": "elevenlabs"}
    assert registry.get_sample_value("kamerton_engine_state", labels) == 2
    labels["what"] = "failures:quota"
    assert registry.get_sample_value("kamerton_engine_events_total", labels) == 4


def test_what_is_not_made_of_engines_has_none_to_show(registry: CollectorRegistry, engines: EngineMetrics) -> None:
    engines.follow("model", None)
    engines.follow("recognizer", InstantSpeechToText("да"))
    assert b"kamerton_engine_state{" not in generate_latest(registry)


def test_connections_of_voices_are_shown_now_and_since_the_start(
    registry: CollectorRegistry, engines: EngineMetrics
) -> None:
    assert b"kamerton_voice_connections{" not in generate_latest(registry)
    engines.follow_connections(lambda: {"opened": 7, "lost": 2, "open": 3, "busy": 1, "waiting": 0})
    assert registry.get_sample_value("kamerton_voice_connections", {"state": "open"}) == 3
    assert registry.get_sample_value("kamerton_voice_connections", {"state": "busy"}) == 1
    assert registry.get_sample_value("kamerton_voice_connections", {"state": "waiting"}) == 0
    assert registry.get_sample_value("kamerton_voice_connection_events_total", {"what": "opened"}) == 7
    assert registry.get_sample_value("kamerton_voice_connection_events_total", {"what": "lost"}) == 2


def test_usage_is_summed_over_parts_and_costs_over_models(registry: CollectorRegistry) -> None:
    bills = [Bill()]
    registry.register(UsageMetrics(lambda: bills[-1]))
    assert b"kamerton_usage_total{" not in generate_latest(registry)
    bills.append(
        Bill(
            (
                BillLine("voice", "yandex", "", "requests", Decimal(3), Decimal("0.3"), "RUB"),
                BillLine("embeddings", "yandex", "", "requests", Decimal(2)),
                BillLine("recognizer", "yandex", "general", "seconds", Decimal("1.5"), Decimal("0.1"), "RUB"),
                BillLine("model", "openai", 'a "b"\n', "input_tokens", Decimal(7), Decimal("0.2"), "USD"),
            )
        )
    )

    def usage(vendor: str, model: str, unit: str) -> float | None:
        return registry.get_sample_value("kamerton_usage_total", {"vendor": vendor, "model": model, "unit": unit})

    assert usage("yandex", "", "requests") == 5
    assert usage("yandex", "general", "seconds") == 1.5
    assert usage("openai", 'a "b"\n', "input_tokens") == 7
    assert registry.get_sample_value("kamerton_cost_total", {"vendor": "yandex", "currency": "RUB"}) == 0.4
    assert registry.get_sample_value("kamerton_cost_total", {"vendor": "openai", "currency": "USD"}) == 0.2
    page = generate_latest(registry).decode()
    assert 'model="a \\"b\\"\\n"' in page
