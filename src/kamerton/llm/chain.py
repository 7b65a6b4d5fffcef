"""Language models in order of preference as one: when one fails or is late, the next one is asked within the turn."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import anyio

from kamerton.domain.errors import ConfigurationError, EngineError, VendorError
from kamerton.domain.language_model import GenerationEnded, LanguageModel, ModelEvent, ModelRequest, TextDelta
from kamerton.llm.model_errors import model_error
from kamerton.vendors.breaker import BreakerSettings
from kamerton.vendors.hedge import CLOSE_S, Contestant, Won, first_result
from kamerton.vendors.link import FirstResultLink

log = logging.getLogger(__name__)

_BROKEN_OFF: Final = TextDelta("")
"""Stands for an end without `GenerationEnded`."""


@dataclass(frozen=True, slots=True)
class ModelChainSettings:
    """When another model is asked. Seconds."""

    first_token_s: float = 2.5
    """Longest wait for a model's first token while another one could be asked."""
    hedge: bool = False
    """Ask the next model as well when one takes longer than nine of ten times: a tenth of the requests cost twice."""
    shortest_hedge_s: float = 0.3
    """The next one is never asked earlier than this for being slow."""


class ModelLink(FirstResultLink):
    """One model of a chain.

    Args:
        name: as in the settings.
        model: the chain closes it.
        breaker: when it is passed over.
        patience_s: a request that was given up after so long without a result counts as a failure.
    """

    def __init__(
        self, name: str, model: LanguageModel, breaker: BreakerSettings | None = None, patience_s: float = 2.5
    ) -> None:
        super().__init__(name, "model", breaker, patience_s)
        self.model = model


class ModelChain:
    """A `LanguageModel` made of several. Which one answers is settled by the first token; after that it stays.

    Models that failed rest, and are passed over; when all of them rest nobody is asked, so that a call need not wait
    to hear so. After a rest one request tries a model again.

    Args:
        links: best first; at least one. The chain closes them.
        settings: when another one is asked.

    Raises:
        ConfigurationError: there is no link.
    """

    def __init__(self, links: Sequence[ModelLink], settings: ModelChainSettings | None = None) -> None:
        if not links:
            raise ConfigurationError("a chain of language models needs at least one; name one in model.engine")
        self._links = tuple(links)
        self._settings = settings or ModelChainSettings()

    @property
    def name(self) -> str:
        """The models in order: `gpt-4o-mini@https://api.openai.com/v1+qwen3:8b@http://127.0.0.1:11434/v1`."""
        return "+".join(link.model.name for link in self._links)

    @property
    def links(self) -> Sequence[ModelLink]:
        """The models, best first, for metrics."""
        return self._links

    async def generate(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Yield what the first model that answers does. Closing or cancelling frees every request at once.

        Raises:
            EngineError: every model failed or rests, or the one that had begun broke off.
        """
        left = iter(self._links)
        won: Won[ModelEvent] = await self._first(request, left)
        link = next(link for link in self._links if link.name == won.name)
        link.times.record(won.waited_s)
        asked_s: float | None = None
        try:
            event = won.first
            yield event
            while not isinstance(event, GenerationEnded):
                asked_s = anyio.current_time()
                event = await anext(won.rest, _BROKEN_OFF)
                asked_s = None
                if event is _BROKEN_OFF:
                    raise model_error(link.model.name, "broke off in the middle of its answer; ask again", "broken")
                yield event
            link.served()
        except EngineError as error:
            asked_s = None
            link.failed(error, 0.0, begun=True)
            raise
        except (GeneratorExit, anyio.get_cancelled_exc_class()):
            link.left(0.0 if asked_s is None else anyio.current_time() - asked_s)
            raise
        finally:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await won.rest.aclose()

    async def aclose(self) -> None:
        """Close every model, also when some fail to."""
        with anyio.CancelScope(shield=True):
            for link in self._links:
                try:
                    await link.model.aclose()
                except (EngineError, OSError) as error:
                    log.warning("a language model did not close", extra={"model": link.name, "reason": str(error)})

    async def _first(self, request: ModelRequest, left: Iterator[ModelLink]) -> Won[ModelEvent]:
        asked = False

        def next_one() -> Contestant[ModelEvent] | None:
            nonlocal asked
            now_s = anyio.current_time()
            link = next((link for link in left if link.breaker.admits(now_s)), None)
            if link is None:
                return None
            asked = True
            link.counts["requests"] += 1
            return self._contestant(link, request)

        try:
            return await first_result(next_one)
        except EngineError:
            if asked:
                raise
            raise self._all_rest() from None

    def _contestant(self, link: ModelLink, request: ModelRequest) -> Contestant[ModelEvent]:
        usual_s = link.times.p90_s if self._settings.hedge else None
        return Contestant(
            link.name,
            lambda: link.model.generate(request),
            link,
            self._settings.first_token_s,
            math.inf if usual_s is None else max(usual_s, self._settings.shortest_hedge_s),
        )

    def _all_rest(self) -> VendorError:
        reasons = "; ".join(f"{link.name} rests after: {link.breaker.last_reason}" for link in self._links)
        return VendorError(f"no language model can be asked now: {reasons}", "failed")
