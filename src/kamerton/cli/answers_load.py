"""`kamerton answers load`: everything that calls need of an assistant's prepared answers, made beforehand.

Vectors and audio go to the data folder; where Redis or Elasticsearch are configured, audio and index go there as well,
so that several processes find them. What is as it was costs nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import anyio.to_thread

from kamerton.answers.answer_cache import forget_answers
from kamerton.answers.catalogue_manifest import Manifest
from kamerton.answers.elastic_index import plan_index
from kamerton.answers.elastic_load import load_index
from kamerton.answers.instant import vector_file
from kamerton.answers.vector_search import QuestionVectors
from kamerton.cache.clip_cache import ClipCache
from kamerton.cache.redis_store import RedisStore
from kamerton.cli.common import progress_line
from kamerton.config.answers import open_index, question_progress
from kamerton.config.assistant_folder import Assistant
from kamerton.config.composition import CALL_FORMATS
from kamerton.config.settings import Settings
from kamerton.config.understanding import link_folder, open_embedders
from kamerton.config.voices import open_voice
from kamerton.domain.errors import ConfigurationError
from kamerton.domain.storage import Store
from kamerton.embeddings.chain import ChainLink, EmbedderChain
from kamerton.intent_classifier import IntentClassifier
from kamerton.orchestrator.workers import ThreadWorker
from kamerton.tts.tts_manager import TTSManager

_PROBED_KEY: Final = "clip:probe"
_PROGRESS_STEP: Final = 10


async def load_answers(settings: Settings, assistant: Assistant) -> tuple[str, ...]:
    """Load them and return what changed, one line a fact. Safe to cancel: run again, it goes on where it stopped.

    Raises:
        ConfigurationError: a recording, the manifest or a setting cannot be used.
        EngineError: the embedding model or a voice failed, or Redis or Elasticsearch are away.
    """
    path = settings.data_dir / "answers" / f"{assistant.name}.json"
    manifest = await anyio.to_thread.run_sync(Manifest.of, assistant.answers, assistant.folder / "audio")
    changes = Manifest.read(path).changes(manifest)
    progress_line("building the index")
    told = [f"{assistant.name}: {changes.summary()}"]
    told += [f"  {kind:<9} {', '.join(ids)}" for kind, ids in changes.listed()]
    chain = await open_embedders(settings, assistant.language, progress_line)
    try:
        for link in chain.links:
            told += await _embedded(settings, assistant, chain, link)
    finally:
        await chain.aclose()
    told += [f"  audio     {await _voiced(settings, assistant)}"]
    manifest.write(path)
    return tuple(told)


async def forget_kept(settings: Settings, assistant: Assistant) -> int:
    """Remove the model's answers that were kept for an assistant; returns how many there were.

    Raises:
        ConfigurationError: no Redis is configured.
        EngineError: Redis is away.
    """
    async with _shared_store(settings) as store:
        if store is None:
            raise ConfigurationError(
                "no Redis is configured (store.redis.url): kept answers live in the serving process and end with it"
            )
        return await forget_answers(store, assistant.name)


async def _embedded(settings: Settings, assistant: Assistant, chain: EmbedderChain, link: ChainLink) -> tuple[str, ...]:
    """Have the vectors of an embedder on disk; the index in Elasticsearch is that of the first embedder."""
    folder = link_folder(settings, assistant, chain, link)
    told_of = question_progress(lambda line: progress_line(f"{link.name}: {line}"))
    vectors = vector_file(folder, assistant.language)
    prepare = partial(QuestionVectors.prepare, assistant.searched, link.patient, vectors, told_of)
    questions, prepared = await anyio.to_thread.run_sync(prepare, abandon_on_cancel=True)
    if link is not chain.last:
        examples = (assistant.intents, assistant.faq, link.patient, folder, assistant.language)
        await anyio.to_thread.run_sync(partial(IntentClassifier.prepare, *examples), abandon_on_cancel=True)
    reason = f" ({prepared.reason})" if prepared.reason else ""
    told = [f"  vectors   {link.name}: {prepared.computed} questions computed, {prepared.reused} kept{reason}"]
    if link is chain.links[0]:
        told += [f"  elastic   {line}" for line in await _indexed(settings, assistant, questions)]
    return tuple(told)


async def _indexed(settings: Settings, assistant: Assistant, questions: QuestionVectors) -> tuple[str, ...]:
    """Bring the index in Elasticsearch up to date, if one is configured."""
    async with open_index(settings.answers) as connection:
        if connection is None:
            return ("not configured; calls search in their own process",)
        progress_line(f"loading Elasticsearch at {connection.url}")
        plan = plan_index(assistant.name, assistant.searched, assistant.language, questions)
        return (await load_index(connection, plan)).lines()


async def _voiced(settings: Settings, assistant: Assistant) -> str:
    """Have the audio of all answers on disk, and in Redis if one is configured."""
    async with _shared_store(settings) as store:
        with ThreadWorker(1, "clips") as worker:
            shared = ClipCache(store, worker) if store is not None else None
            opened = open_voice(assistant, settings, stand_ins=False, progress=progress_line, shared=shared)
            async with opened as voice:
                await render(assistant, voice, partial(_progress, "audio"))
                made = voice.counts.get("syntheses", 0)
    where = f"in the data folder and in {settings.store.redis.place}" if settings.store.redis else "in the data folder"
    return f"{len(assistant.answers)} answers {where}, {made} texts spoken anew"


async def render(assistant: Assistant, voice: TTSManager, progress: Callable[[int, int], None]) -> None:
    """Have the audio of all answers ready at the rates of calls, and under their keys where processes share it.

    Raises:
        EngineError: an answer could not be spoken.
    """
    names = {entry.answer: entry.audio_key(assistant.name) for entry in assistant.answers}
    await voice.prerender(list(names), CALL_FORMATS, progress, names)


@asynccontextmanager
async def _shared_store(settings: Settings) -> AsyncIterator[Store | None]:
    """The configured Redis, which has to answer: whoever loads wants to know that it is loaded."""
    if settings.store.redis is None:
        yield None
        return
    store = RedisStore(settings.store.redis)
    try:
        await store.keys(_PROBED_KEY)
        yield store
    finally:
        await store.aclose()


def _progress(what: str, done: int, total: int) -> None:
    if done == total or done % _PROGRESS_STEP == 0:
        progress_line(f"{what}: {done} of {total}")
