"""The bot's side of an exchange: deciding, speaking, fillers and prompts, and what became of each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
from anyio.abc import TaskGroup

from kamerton.domain.dialogue import END_CALL, TRANSFER
from kamerton.domain.errors import EngineError
from kamerton.domain.media import CallMedia
from kamerton.domain.notices import (
    ErrorOccurred,
    MindState,
    MindStateChanged,
    Notice,
    TranscriptUpdated,
    TurnPath,
)
from kamerton.orchestrator.call_events import CallEvent, ReplyFailed, ReplyStarted
from kamerton.orchestrator.conversation import Conversation
from kamerton.orchestrator.exchange import Exchange
from kamerton.orchestrator.fillers import FillerChoice
from kamerton.orchestrator.playout import Playout
from kamerton.orchestrator.router import Decision
from kamerton.orchestrator.services import CallServices
from kamerton.orchestrator.speaker import Speaker
from kamerton.orchestrator.utterance import Settled, Source, Utterance

PROMPT_PATHS: dict[str, TurnPath] = {
    "still_there": "silence",
    "silence_goodbye": "silence",
    "not_heard": "fallback",
    "max_length": "silence",
    "apology": "error",
}


class Replies:
    """Answers the turns of one call. Replies are prepared in tasks of the call's group, one at a time."""

    def __init__(
        self,
        media: CallMedia,
        services: CallServices,
        conversation: Conversation,
        playout: Playout,
        post: Callable[[CallEvent], None],
        publish: Callable[[Notice], None],
    ) -> None:
        self._services = services
        self._conversation = conversation
        self._format = media.info.format
        self._post = post
        self._publish = publish
        self._speaker = Speaker(services.voice, playout, self._format, publish, services.call.patience.voice_stall_s)
        self._fillers = FillerChoice(services.fillers)
        self._tasks: TaskGroup | None = None
        self._thinking = anyio.CancelScope()
        self._speculating = anyio.CancelScope()
        self._spoken: dict[int, Exchange] = {}
        self._finished = 0
        self._own_fillers: tuple[str, ...] = ()
        self._fillers_said = 0
        self.current: Exchange | None = None
        """The exchange that is being answered, or was answered last."""

    def start(self, tasks: TaskGroup) -> None:
        """Say the greeting; from now on replies run in this group."""
        self._tasks = tasks
        exchange = Exchange(0, "greeting", self._conversation.session.current_state_id)
        exchange.decision = self._conversation.opening
        self._launch(exchange, "greeting")

    def think(self, exchange: Exchange, failed: bool) -> None:
        """Answer a turn; when its words are not known, ask for it again."""
        if failed or not exchange.readings:
            exchange.path = "fallback"
            self._launch(exchange, "prompt", (self._services.phrases["not_heard"],))
        else:
            self._launch(exchange, "reply")

    def prompt(self, key: str, closing: bool) -> None:
        """Say a system phrase."""
        exchange = Exchange(0, PROMPT_PATHS.get(key, "silence"), self._conversation.session.current_state_id)
        self._launch(exchange, "prompt", (self._services.phrases[key],), closing)

    def filler(self, first: bool) -> None:
        """Cover the wait, if the assistant has something at hand for it."""
        self._fillers_said = 0 if first else self._fillers_said
        text = self._fillers.next(first, self._own_fillers, self._fillers_said)
        if text is not None and self._speaker.say_filler(text):
            self._fillers_said += 1

    def cancel(self) -> None:
        """Drop the reply that is being prepared: it will not be asked for again."""
        self.stop()
        self.current = None

    def stop(self) -> None:
        """Prepare no more of the reply."""
        self._thinking.cancel()

    def ahead(self, readings: tuple[str, ...]) -> None:
        """Prepare the answer to words that may turn out to be the whole turn."""
        self._speculating.cancel()
        self._speculating = anyio.CancelScope()
        if self._tasks is not None:
            self._tasks.start_soon(self._speculate, readings, self._speculating)

    def commit(self, exchange: Exchange) -> None:
        """The answer starts to sound: the conversation moves on."""
        if exchange.decision is not None and exchange.path != "greeting":
            self._conversation.commit(exchange.decision)

    def unfinished_turn(self, onset_s: float) -> bool:
        """Take the last decision back when speech at `onset_s` came too soon to be a reaction to its answer."""
        exchange = self.current
        ended_s = exchange.timeline.at_s("t_eos") if exchange is not None else None
        limit_s = self._services.call.patience.premature_ms / 1000
        if exchange is None or ended_s is None or onset_s - ended_s > limit_s or exchange.decision is None:
            return False
        self._conversation.take_back(exchange.readings)
        return True

    def on_started(self, utterance: Utterance) -> None:
        """Playout sends the first frame of an utterance."""
        self._publish(MindStateChanged(MindState.SPEAKING, utterance.source))
        exchange = self._spoken.get(utterance.id)
        if exchange is not None:
            exchange.timeline.mark("t6", anyio.current_time())
            self._publish(TranscriptUpdated("bot", utterance.text, final=False, turn=exchange.index))

    def settled(self, settled: Settled) -> None:
        """An utterance has its outcome: publish the exchange that it answered."""
        exchange = self._spoken.pop(settled.utterance_id, None)
        if exchange is None:
            return
        self._publish(TranscriptUpdated("bot", settled.heard_text, final=True, turn=exchange.index))
        decision = exchange.decision
        state_after = decision.session.current_state_id if decision else self._conversation.session.current_state_id
        exchange.index = self._finished
        self._finished += 1
        self._publish(exchange.finished(settled, state_after))

    def _launch(
        self, exchange: Exchange, source: Source, texts: Sequence[str] | None = None, closing: bool = False
    ) -> None:
        self.stop()
        self._thinking = anyio.CancelScope()
        self.current = exchange
        self._own_fillers = ()
        if self._tasks is not None:
            generation = self._speaker.generation
            self._tasks.start_soon(self._answer, exchange, source, texts, closing, self._thinking, generation)

    async def _answer(
        self,
        exchange: Exchange,
        source: Source,
        texts: Sequence[str] | None,
        closing: bool,
        scope: anyio.CancelScope,
        generation: int,
    ) -> None:
        with scope:
            try:
                interruptible = True
                if texts is None:
                    decision = exchange.decision or await self._decide(exchange)
                    texts = self._texts(decision)
                    closing = decision.action == END_CALL
                    interruptible = decision.interruptible
                    self._own_fillers = tuple(item.text for item in decision.fillers)

                def ready(utterance: Utterance) -> None:
                    self._spoken[utterance.id] = exchange
                    self._post(ReplyStarted(exchange, interruptible, closing))

                await self._speaker.say(source, texts, exchange, ready, generation)
            except EngineError as error:
                self._post(ReplyFailed(exchange, str(error)))

    async def _decide(self, exchange: Exchange) -> Decision:
        exchange.timeline.mark("t3", anyio.current_time())
        self._publish(MindStateChanged(MindState.CHECKING_CACHE))
        decision = await self._conversation.decide(exchange.readings)
        exchange.decision = decision
        if decision.path == "error":
            self._publish(ErrorOccurred("Шаг сценария не выполнился.", decision.detail))
        return decision

    def _texts(self, decision: Decision) -> list[str]:
        texts = [item.text for item in decision.playlist]
        if decision.action == TRANSFER:
            # No transport here can transfer a call yet, and the caller must not be left waiting for a person.
            texts.append(self._services.phrases["operator_unavailable"])
        return texts

    async def _speculate(self, readings: tuple[str, ...], scope: anyio.CancelScope) -> None:
        with scope:
            try:
                await self._conversation.speculate(readings, self._format)
            except EngineError as error:
                # The reply itself will meet the same fault and answer for it.
                self._publish(ErrorOccurred("Не получилось подготовить ответ заранее.", str(error)))
