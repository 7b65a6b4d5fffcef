"""Opens the brain of an assistant: scenario, classifier, instant answers, remembered answers, language model."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from kamerton.answers.answer_cache import AnswerCache
from kamerton.answers.answer_cache_chain import AnswerCacheChain
from kamerton.answers.answer_cache_settings import AnswerCacheSettings, AnswerScope, OfferOutcome
from kamerton.answers.answers_chain import AnswersChain
from kamerton.config.answers import Progress
from kamerton.config.assistant_folder import Assistant
from kamerton.config.engine_settings import ModelSettings
from kamerton.config.engines import engine_context, open_chain
from kamerton.config.settings import Settings
from kamerton.config.understanding import CacheMaker, Surroundings, open_embedders, open_understanding
from kamerton.domain.dialogue import FaqResult
from kamerton.domain.embedding import Embedder
from kamerton.domain.errors import EngineError
from kamerton.domain.language_model import LanguageModel
from kamerton.domain.storage import Store
from kamerton.domain.work import Worker
from kamerton.embeddings.chain import EmbedderChain
from kamerton.flow_engine import FlowEngine
from kamerton.intent_classifier import ClassifierChain
from kamerton.llm.chain import ModelChain, ModelChainSettings, ModelLink
from kamerton.llm.conversation_manager import ConversationManager
from kamerton.llm.dual_context import DualContextController
from kamerton.llm.instructions import prompt_version, talk_instructions
from kamerton.llm.summaries import ModelSummarizer, SummaryShelf
from kamerton.llm.token_counts import estimate_tokens
from kamerton.observability.masking import mask_text
from kamerton.orchestrator.model_reply import Talk
from kamerton.orchestrator.router import AnswerSources, Router
from kamerton.vendors.usage import UsageMeter

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Brain:
    """What decides, shared by all calls of an assistant."""

    router: Router
    classifier: ClassifierChain
    """Part of the router."""
    talk: Callable[[str], Talk] | None
    """Opens a call's conversation with the language model, if one is configured."""
    remembered: AnswerCacheChain | None
    """Earlier answers of the language model."""
    embedders: EmbedderChain
    """What compares meanings; part of the router."""


class LearnedAnswers:
    """Keeps what is worth keeping of the model's answers, with its audio.

    Args:
        cache: earlier answers.
        render: makes the audio of a kept answer, for all processes.
    """

    def __init__(self, cache: AnswerCacheChain, render: Callable[[str], Awaitable[None]]) -> None:
        self._cache = cache
        self._render = render

    async def learn(self, question: str, answer: str, personal: Sequence[Any]) -> None:
        """Consider an answer that a caller heard to its end. Never raises: what cannot be kept is made anew."""
        if await self._cache.offer(question, answer, personal=personal) is OfferOutcome.KEPT:
            try:
                await self._render(answer)
            except EngineError as error:
                log.warning("a kept answer has no audio yet", extra={"reason": str(error)})


class _Prepared:
    """Instant answers as the router asks them."""

    def __init__(self, answers: AnswersChain) -> None:
        self._answers = answers

    async def answer(self, text: str) -> FaqResult | None:
        return (await self._answers.find(text)).verdict


class _Remembered:
    """Earlier answers of the model as the router asks them."""

    def __init__(self, cache: AnswerCacheChain) -> None:
        self._cache = cache

    async def answer(self, question: str) -> str | None:
        found = await self._cache.find(question)
        return found.answer if found is not None else None


@asynccontextmanager
async def open_brain(
    assistant: Assistant,
    settings: Settings,
    store: Store,
    worker: Worker,
    model: LanguageModel | None = None,
    progress: Progress | None = None,
    usage: UsageMeter | None = None,
) -> AsyncIterator[Brain]:
    """The brain while the context is open; prepares vectors the first time.

    Args:
        assistant: whose brain.
        settings: the validated settings.
        store: where remembered answers and summaries are kept.
        worker: where work of milliseconds goes.
        model: whom to ask what nothing else answers; the caller closes it.
        progress: told of work that takes long.
        usage: told what embedders of services use.

    Raises:
        ConfigurationError: the language cannot be talked in, or a setting cannot work.
        ModelError: the embedding model is missing.
    """
    flow = FlowEngine(assistant.flow, assistant.phrases, assistant.fillers, assistant.name)
    async with AsyncExitStack() as stack:
        talk: Callable[[str], Talk] | None = None
        cache: CacheMaker | None = None
        if model is not None:
            instructions = talk_instructions(assistant.title, assistant.language, facts=assistant.knowledge)
            talk = partial(_talk, model, instructions, assistant.language, settings.model, store)
            if settings.answers.remember:
                scope = AnswerScope(assistant.name, assistant.language, prompt_version(f"{model.name}\n{instructions}"))
                cache = partial(_cache, store, worker, scope)
        chain = await open_embedders(settings, assistant.language, progress, usage)
        stack.push_async_callback(chain.aclose)
        around = Surroundings(assistant, settings, worker, progress, cache)
        understanding = await stack.enter_async_context(open_understanding(chain, around))
        classifier, remembered = understanding.classifier, understanding.remembered
        sources = AnswerSources(
            _Prepared(understanding.answers),
            _Remembered(remembered) if remembered is not None else None,
            talk is not None,
        )
        router = Router(flow, classifier, assistant.phrases, worker, sources)
        yield Brain(router, classifier, talk, remembered, chain)


@asynccontextmanager
async def open_model(
    settings: Settings, language: str, progress: Progress, usage: UsageMeter | None = None
) -> AsyncIterator[ModelChain | None]:
    """The configured language models as one, which tell `usage` what they use; nothing is sent yet.

    None where none is configured.

    Raises:
        ConfigurationError: one of them cannot work as it is set.
    """
    section = settings.model
    if not section.chain:
        yield None
        return
    async with open_chain("model", section, engine_context(settings, language, progress, usage)) as links:
        models = [ModelLink(link.name, link.part, section.breaker, section.first_token_s) for link in links]
        yield ModelChain(models, ModelChainSettings(section.first_token_s, section.hedge))


def _cache(
    store: Store, worker: Worker, scope: AnswerScope, embedder: Embedder, settings: AnswerCacheSettings
) -> AnswerCache:
    return AnswerCache(store, embedder, worker, scope, _is_personal, settings)


def _talk(
    model: LanguageModel, instructions: str, language: str, settings: ModelSettings, store: Store, call_id: str
) -> ConversationManager:
    shelf = SummaryShelf(store, call_id)
    contexts = DualContextController(
        settings.conversation_tokens, ModelSummarizer(model, language), estimate_tokens, shelf
    )
    return ConversationManager(model, contexts, instructions, settings.limits, language)


def _is_personal(text: str) -> bool:
    return mask_text(text, said=True) != text
