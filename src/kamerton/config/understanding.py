"""Opens what compares meanings, once for every embedder of the chain: classifier, instant answers, remembered answers.

The last embedder of the chain is prepared before the first call. The others are prepared beside the calls, because
indexing thousands of texts at a service's quota takes minutes, and join as soon as they are ready; a service that is
away is tried again.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from kamerton.answers.answer_cache import AnswerCache
from kamerton.answers.answer_cache_chain import AnswerCacheChain
from kamerton.answers.answer_cache_settings import AnswerCacheSettings
from kamerton.answers.answers_chain import AnswersChain
from kamerton.answers.instant import InstantAnswers
from kamerton.config.answers import Progress, open_answers, vector_folder
from kamerton.config.assistant_folder import Assistant
from kamerton.config.engines import engine_context
from kamerton.config.settings import Settings
from kamerton.domain.embedding import Embedder
from kamerton.domain.errors import EngineError
from kamerton.domain.work import Worker
from kamerton.embeddings.chain import ChainLink, EmbedderChain, open_chain
from kamerton.intent_classifier import ClassifierChain, IntentClassifier
from kamerton.vendors import registry
from kamerton.vendors.engine import EngineType
from kamerton.vendors.usage import UsageMeter

_GRACE_S: Final = 5.0
"""How long a start waits for embedders whose vectors are all on disk."""
_LONGEST_RETRY_S: Final = 600.0

CacheMaker = Callable[[Embedder, AnswerCacheSettings], AnswerCache]
"""Makes the cache of remembered answers for an embedder."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Understanding:
    """What compares meanings, under whichever embedder works."""

    classifier: ClassifierChain
    answers: AnswersChain
    remembered: AnswerCacheChain | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every link is opened with."""

    assistant: Assistant
    settings: Settings
    worker: Worker
    progress: Progress | None
    cache: CacheMaker | None
    """None where nothing is remembered."""
    retry_s: float = 30.0
    """Until an embedder that cannot be prepared is tried again; twice as long each time, up to ten minutes."""
    joined: Callable[[str], None] = lambda name: None
    """Told the engine's name when its part has joined."""


@dataclass(frozen=True, slots=True)
class _Part:
    classifier: IntentClassifier
    answers: InstantAnswers
    remembered: AnswerCache | None


def chosen_embedders(settings: Settings) -> Sequence[tuple[EngineType[Embedder], Any]]:
    """The configured embedders with their options, in the order in which they are asked."""
    section = settings.understanding
    engines = registry.engines_in(section.package)
    return tuple((engines[name], section.options(name)) for name in section.chain)


async def open_embedders(
    settings: Settings, language: str, progress: Progress | None = None, usage: UsageMeter | None = None
) -> EmbedderChain:
    """The configured embedders, which tell `usage` what they use; nothing is sent yet. The caller closes them.

    Raises:
        ConfigurationError: an option or a credential cannot work.
        ModelError: no model can be loaded.
    """
    context = engine_context(settings, language, progress or (lambda line: None), usage)
    return await open_chain(chosen_embedders(settings), context)


def link_folder(settings: Settings, assistant: Assistant, chain: EmbedderChain, link: ChainLink) -> Path:
    """Where the vectors of an assistant under one embedder are kept: of each but the last in a folder of its own."""
    folder = vector_folder(settings, assistant)
    if link is chain.last:
        return folder
    identity = link.embedder.identity
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', identity)[:60]}-{digest}"


@asynccontextmanager
async def open_understanding(chain: EmbedderChain, around: Surroundings) -> AsyncIterator[Understanding]:
    """What compares meanings, while the context is open; its links join by themselves.

    Raises:
        ConfigurationError: the language is unknown, or the calibration is broken.
        EngineError: the last embedder failed.
    """
    async with AsyncExitStack() as stack:
        last = await stack.enter_async_context(_open_part(chain, chain.last, around))
        await last.answers.find(around.assistant.title)  # loads what is loaded on first use before the first call
        remembered = AnswerCacheChain(last.remembered) if last.remembered is not None else None
        understanding = Understanding(ClassifierChain(last.classifier), AnswersChain(last.answers), remembered)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        if last.remembered is not None:
            tasks.start_soon(last.remembered.run)
        tried = [anyio.Event() for _ in chain.links[:-1]]
        for place, event in enumerate(tried):
            tasks.start_soon(partial(_join, chain, place, around, understanding, event))
        with anyio.move_on_after(_GRACE_S):
            for event in tried:
                await event.wait()
        yield understanding


async def _join(
    chain: EmbedderChain, place: int, around: Surroundings, understanding: Understanding, tried: anyio.Event
) -> None:
    """Prepare a link and let it answer, until cancelled; a link that cannot be prepared yet is tried again later."""
    link, pause_s = chain.links[place], around.retry_s
    while True:
        try:
            async with _open_part(chain, link, around) as part:
                _install(place, link, part, understanding)
                tried.set()
                around.joined(link.name)
                if part.remembered is not None:
                    await part.remembered.run()
                await anyio.sleep_forever()
        except EngineError as error:
            reason = str(error)
        except Exception as error:  # the boundary beside the calls: the other links go on answering them
            _log.exception("an embedder broke while it was prepared", extra={"engine": link.name})
            reason = repr(error)
        _log.warning(
            "an embedder cannot be prepared now; the next ones of the chain answer, it is tried again",
            extra={"engine": link.name, "reason": reason, "retry_s": pause_s},
        )
        tried.set()
        await anyio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_RETRY_S)


def _install(place: int, link: ChainLink, part: _Part, understanding: Understanding) -> None:
    """Let a link answer. Prepared answers stay with a calibrated link: without a calibration they are strict."""
    understanding.classifier.install(place, part.classifier)
    if part.answers.is_calibrated or not understanding.answers.is_calibrated:
        understanding.answers.install(place, part.answers, lambda: link.ready)
    else:
        _log.warning(
            "prepared answers are searched by the next embedders of the chain until kamerton answers calibrate is run",
            extra={"engine": link.name},
        )
    if part.remembered is not None and understanding.remembered is not None:
        understanding.remembered.install(place, part.remembered)
    _log.info("an embedder has joined", extra={"engine": link.name})


@asynccontextmanager
async def _open_part(chain: EmbedderChain, link: ChainLink, around: Surroundings) -> AsyncIterator[_Part]:
    """Everything under one embedder; vectors that are missing are prepared first."""
    assistant = around.assistant
    folder = link_folder(around.settings, assistant, chain, link)
    prepare = partial(
        IntentClassifier.prepare, assistant.intents, assistant.faq, link.embedder, folder, assistant.language
    )
    classifier = await anyio.to_thread.run_sync(prepare, abandon_on_cancel=True)
    opened = open_answers(
        assistant,
        around.settings,
        link.embedder,
        around.worker,
        around.progress,
        folder=folder,
        elastic=link is chain.links[0],
    )
    async with opened as (answers, questions):
        suited = AnswerCacheSettings().suited(questions.strangers)
        yield _Part(classifier, answers, around.cache(link.embedder, suited) if around.cache is not None else None)
